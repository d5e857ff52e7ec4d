"""An uploaded video or session file, or an example -> the session's video. Knows no component of the page.

The path that Gradio gives is used once, to take the file into the session's folder under a name of ours.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from sparrow.ingest import open_video
from sparrow.limits import Limits
from sparrow.page.examples import Example
from sparrow.page.steps import in_steps
from sparrow.page.visit import Visit
from sparrow.sessions.record import Record, SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.session_file import SUFFIX, VideoWantedError, read_session_file
from sparrow.work import ProgressSink

MAX_MEGABYTES = 200
PAGE_LIMITS = Limits(
    max_bytes=MAX_MEGABYTES * 2**20, max_seconds=60.0, max_frames=3600, max_side=1920
)
"""What the page takes: smaller than the library's limits, so that nobody waits long for a neighbour."""


def limits_text(limits: Limits) -> str:
    """Say the limits in a sentence for the visitor."""
    scaled = (
        f" · pictures wider than {limits.max_side} pixels are scaled down"
        if limits.max_side
        else ""
    )
    return (
        f"MP4, MOV, WebM, MKV and more · up to {limits.max_seconds:g} seconds, "
        f"{limits.max_bytes // 2**20} MB and {limits.max_frames} frames{scaled} · "
        f"or a {SUFFIX} session that you saved here"
    )


def take_upload(session: Session, upload: Path) -> Path:
    """Move an upload into the session's folder, so that no other copy of it stays.

    Raises:
        SessionError: the upload is not there (any more).
    """
    taken = session.new_path("upload")
    try:
        shutil.move(upload, taken)
    except FileNotFoundError as error:
        session.discard(taken)
        raise SessionError("The upload did not arrive; please upload the file again.") from error
    return taken


def open_upload(
    session: Session, visit: Visit, taken: Path, title: str, limits: Limits = PAGE_LIMITS
) -> Iterator[None]:
    """Open a video or a session file that lies in the session's folder; on failure what was open stays.

    A session file that was saved without its video waits for the video, which is to come next.

    Raises:
        SparrowError: the file cannot be used.
    """
    waits = False
    try:
        if title.lower().endswith(SUFFIX):
            yield from _open_session(session, visit, taken, None, limits)
        elif visit.waiting is not None:
            yield from _open_session(session, visit, visit.waiting, taken, limits)
        else:
            yield from _open(session, visit, taken, Record(title=title), limits)
    except VideoWantedError:
        session.discard(visit.waiting)
        visit.waiting, visit.choosing, waits = taken, True, True
        raise
    finally:
        if not waits:
            session.discard(taken)


def open_example(session: Session, visit: Visit, example: Example) -> Iterator[None]:
    """Make the session's video of a shipped clip, and offer the questions prepared for it."""
    record = Record(title=example.title, suggestions=example.questions)
    yield from _open(session, visit, example.path, record, PAGE_LIMITS)


def _open(
    session: Session, visit: Visit, path: Path, record: Record, limits: Limits
) -> Iterator[None]:
    def read(folder: Path, report: ProgressSink) -> Record:
        record.video = open_video(
            path, workdir=folder, limits=limits, progress=report, cancel=session.stop
        )
        record.look = session.look
        return record

    yield from _begin(session, visit, read)
    session.tell("The video is ready. Ask about it, or point at something in it.")
    yield


def _open_session(
    session: Session, visit: Visit, path: Path, video: Path | None, limits: Limits
) -> Iterator[None]:
    def read(folder: Path, report: ProgressSink) -> Record:
        return read_session_file(
            path, folder, video=video, limits=limits, progress=report, cancel=session.stop
        )

    yield from _begin(session, visit, read)
    session.tell("The session is open again: go on where it was saved.")
    yield


def _begin(
    session: Session, visit: Visit, read: Callable[[Path, ProgressSink], Record]
) -> Iterator[None]:
    """Go on with another record: its video, its conversation, its objects."""
    folder = session.new_path("video").parent
    done = False
    try:
        record = yield from in_steps(session, visit, lambda report: read(folder, report))
        session.adopt(record)
        done = True
    finally:
        if not done:
            session.discard(folder / "video")
    session.discard(visit.waiting)
    session.discard(None if visit.download is None else visit.download.path)
    visit.draft = visit.selected = visit.download = visit.waiting = None
    visit.choosing, visit.seek = False, (0, visit.count())
