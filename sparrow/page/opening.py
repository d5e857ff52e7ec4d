"""An uploaded file or an example -> the session's video. Knows no component of the page.

The path that Gradio gives is used once, to take the file into the session's folder under a name of ours.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sparrow.ingest import open_video
from sparrow.limits import Limits
from sparrow.page.examples import Example
from sparrow.page.session import Session, SessionError
from sparrow.page.steps import in_steps
from sparrow.video import Video

if TYPE_CHECKING:
    from sparrow.pipeline import Sparrow

MAX_MEGABYTES = 200
PAGE_LIMITS = Limits(
    max_bytes=MAX_MEGABYTES * 2**20, max_seconds=60.0, max_frames=3600, max_side=1920
)
"""What the page takes: smaller than the library's limits, so that nobody waits long for a neighbour."""


def limits_text(limits: Limits) -> str:
    """Say the limits in a sentence for the visitor."""
    return (
        f"MP4, MOV, WebM, MKV and more · up to {limits.max_seconds:g} seconds, "
        f"{limits.max_bytes // 2**20} MB and {limits.max_frames} frames"
        + (
            f" · pictures wider than {limits.max_side} pixels are scaled down"
            if limits.max_side
            else ""
        )
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
        raise SessionError("The upload did not arrive; please upload the video again.") from error
    return taken


def open_upload(
    sparrow: Sparrow, session: Session, taken: Path, title: str, limits: Limits = PAGE_LIMITS
) -> Iterator[None]:
    """Make the session's video of a file in its folder, which is deleted; on failure the old video stays.

    Raises:
        VideoError: the file cannot be used.
    """
    try:
        yield from _open(sparrow, session, taken, title, (), limits)
    finally:
        session.discard(taken)


def open_example(sparrow: Sparrow, session: Session, example: Example) -> Iterator[None]:
    """Make the session's video of a shipped clip, and offer the questions prepared for it."""
    yield from _open(sparrow, session, example.path, example.title, example.questions, PAGE_LIMITS)


def _open(
    sparrow: Sparrow,
    session: Session,
    path: Path,
    title: str,
    questions: tuple[str, ...],
    limits: Limits,
) -> Iterator[None]:
    folder = session.new_path("video").parent
    video: Video | None = None
    try:
        video = yield from in_steps(
            session,
            lambda report: open_video(
                path, workdir=folder, limits=limits, progress=report, cancel=session.stop
            ),
        )
    finally:
        if video is None:
            session.discard(folder / "video")
    _begin(sparrow, session, video, title, questions)
    yield


def _begin(
    sparrow: Sparrow, session: Session, video: Video, title: str, questions: tuple[str, ...]
) -> None:
    """Start over with a new video and delete the files of the old one."""
    if session.video is not None:
        session.discard(session.video.path)
    if session.results is not None:
        session.discard(session.results.annotated)
        session.discard(session.results.masks)
    if session.pointing is not None:
        session.discard(session.pointing.still)
    session.video, session.chat = video, sparrow.chat(video)
    session.title, session.suggestions = title, questions
    session.exchanges, session.referents, session.tracks, session.prompts = [], {}, {}, {}
    session.attached, session.pointing, session.results = (), None, None
    session.tell("The video is ready. Ask about it, or point at something in it.")
