"""What a session shows -> a file of the format that the visitor wants, made when asked for.

What is seen is what is exported: hidden objects are left out, names, colours, look and trim range are the
visitor's. Knows no component of the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sparrow.export.formats import FORMATS, export
from sparrow.page.pointing import video_of
from sparrow.page.steps import in_steps
from sparrow.page.visit import Ready, Visit
from sparrow.sessions.record import SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.session_file import SUFFIX, write_session_file
from sparrow.sessions.transcript import write_transcript
from sparrow.work import ProgressSink

TRANSCRIPT, SESSION, SESSION_WITHOUT_VIDEO = "transcript", "session", "session-only"

_GROUPS = {
    "mp4": "To watch",
    "gif": "To watch",
    "webm": "To edit",
    "mov": "To edit",
    "rgba": "To edit",
    "all": "To keep",
}
_DATA = "For programs"
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Offer:
    """Something to download."""

    key: str
    group: str
    title: str
    purpose: str
    file: str
    """How the file's name ends."""
    needs_objects: bool = True


OFFERS = tuple(
    sorted(
        (
            *(
                Offer(form.key, _GROUPS.get(form.key, _DATA), form.title, form.purpose, form.file)
                for form in FORMATS
            ),
            Offer(
                TRANSCRIPT,
                "To keep",
                "Conversation",
                "questions and answers as Markdown",
                "conversation.md",
                needs_objects=False,
            ),
            Offer(
                SESSION,
                "To keep",
                "Session",
                "all of this with the video: open it here again",
                f"session{SUFFIX}",
                needs_objects=False,
            ),
            Offer(
                SESSION_WITHOUT_VIDEO,
                "To keep",
                "Session without video",
                "small; opens with the same video",
                f"session-only{SUFFIX}",
                needs_objects=False,
            ),
        ),
        key=lambda offer: ("To watch", "To edit", _DATA, "To keep").index(offer.group),
    )
)
"""Everything, in the order in which it is shown."""


def make(session: Session, visit: Visit, offer: Offer) -> Iterator[None]:
    """Make a file and have the browser download it; the one made before is deleted.

    Raises:
        SparrowError: it cannot be made.
    """
    before = visit.download
    made = yield from in_steps(session, visit, _maker(session, offer))
    # The server tells the browser the file's own name, whatever the link says.
    path = made.rename(made.with_name(f"{safe_name(session.title)}-{offer.file}"))
    visit.download = Ready(path, visit.count())
    if before is not None:
        session.discard(before.path)
    session.tell(f"{offer.title}: the download begins.")
    yield


def offer_of(key: str, session: Session) -> Offer:
    """Find what can be downloaded by its key.

    Raises:
        SessionError: there is no such thing, or nothing to make it of.
    """
    for offer in OFFERS:
        if offer.key == key:
            if offer.needs_objects and not session.history.tracks:
                raise SessionError("Nothing is marked in the video yet: ask or point first.")
            video_of(session)
            return offer
    raise SessionError(f"There is no download called {key[:40]!r}.")


def safe_name(title: str) -> str:
    """Make a title the beginning of a file name: small letters, digits and hyphens only."""
    stem = re.sub(r"\.\w{1,5}$", "", title.lower())
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:_LONGEST_NAME].strip("-") or "video"


def _maker(session: Session, offer: Offer) -> Callable[[ProgressSink], Path]:
    """Say how a file is made."""
    path = session.new_path(offer.file)
    if offer.key == TRANSCRIPT:
        return lambda _: write_transcript(path, session)
    if offer.key in (SESSION, SESSION_WITHOUT_VIDEO):
        return lambda report: write_session_file(
            path,
            session,
            with_video=offer.key == SESSION,
            progress=report,
            cancel=session.stop,
        )
    return lambda report: _export(session, offer, path, report)


def _export(session: Session, offer: Offer, path: Path, report: ProgressSink) -> Path:
    tracks = [
        session.history.tracks[i] for i in sorted(session.history.tracks) if i not in session.hidden
    ]
    extras: tuple[Path, ...] = ()
    if offer.key == "all":
        extras = (write_transcript(path.parent / "conversation.md", session),)
    return export(
        offer.key,
        path.parent,
        video_of(session),
        tracks,
        session.referents(),
        session.look,
        session.span,
        extras=extras,
        progress=report,
        cancel=session.stop,
    )
