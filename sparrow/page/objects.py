"""What a visitor does to the objects and to how they look -> changes of the session, in no time.

Knows no component of the page and computes nothing.
"""

from __future__ import annotations

from sparrow.looks import MODES, Look
from sparrow.page.pointing import video_of
from sparrow.page.sent import Sent
from sparrow.page.visit import Visit
from sparrow.sessions.record import MAX_NAME, SessionError
from sparrow.sessions.session import Session

LIGHT = ("select", "show", "hide", "solo", "rename", "recolour")
"""What may be done while work goes on."""

HEAVY = ("delete", "retrack", "learn")


def change(session: Session, visit: Visit, sent: Sent) -> None:
    """Select, show, hide, solo, rename or recolour an object.

    Raises:
        SessionError: there is no such object, or no such colour.
        SentError: made-up data.
    """
    action = sent.one_of("action", LIGHT)
    if action == "select":
        visit.selected = sent.maybe_whole("id", 1, session.history.next_id)
        return
    i = known_id(session, visit, sent)
    if action == "show":
        session.hidden.discard(i)
    elif action == "hide":
        session.hidden.add(i)
    elif action == "solo":
        others = set(session.history.tracks) - {i}
        alone = i not in session.hidden and others <= session.hidden
        session.hidden = set() if alone else others
    elif action == "rename":
        session.rename(i, sent.text("value", 4 * MAX_NAME))
    else:
        session.recolour(i, sent.text("value", 7))
    session.save()


def delete(session: Session, visit: Visit, referent_id: int) -> None:
    """Take an object away; undo brings it back."""
    session.remember(referent_id)
    session.history = session.history.without(referent_id)
    session.prompts = tuple(p for p in session.prompts if p.referent_id != referent_id)
    session.attached = tuple(i for i in session.attached if i != referent_id)
    session.hidden.discard(referent_id)
    if visit.selected == referent_id:
        visit.selected = None
    if visit.draft is not None and visit.draft.referent_id == referent_id:
        visit.draft = None
    session.save()


def known_id(session: Session, visit: Visit, sent: Sent) -> int:
    """Read the id of an object that there is, or that is growing.

    Raises:
        SessionError: there is none of this id.
    """
    i = sent.whole("id", 1, 2**31)
    growing = () if visit.growing is None else visit.growing.tracks
    if i not in session.history.tracks and i not in [t.referent_id for t in growing]:
        raise SessionError(f"There is no object {i} (any more).")
    return i


def look(session: Session, _: Visit, sent: Sent) -> None:
    """Draw the objects another way, here and in the downloads."""
    session.look = Look(
        next(mode for mode in MODES if mode == sent.one_of("mode", MODES)),
        sent.share("opacity"),
        sent.flag("label"),
    )
    session.save()


def trim(session: Session, _: Visit, sent: Sent) -> None:
    """Set the frames that are played and exported; the whole video is no trim."""
    video = video_of(session)
    start = sent.whole("start", 0, video.num_frames - 1)
    stop = sent.whole("stop", start + 1, video.num_frames)
    session.span = None if (start, stop) == (0, video.num_frames) else (start, stop)
    session.save()


def attach(session: Session, visit: Visit, sent: Sent) -> None:
    """Let an object, or what is being pointed at, go along with the next question."""
    i = sent.whole("id", 1, 2**31)
    if visit.draft is not None and visit.draft.referent_id == i:
        visit.attach_draft(True)
    elif i in session.history.tracks and i not in session.attached:
        session.attached = (*session.attached, i)
        session.save()


def detach(session: Session, visit: Visit, sent: Sent) -> None:
    """Ask without an object."""
    i = sent.whole("id", 1, 2**31)
    if visit.draft is not None and visit.draft.referent_id == i:
        visit.attach_draft(False)
    if i in session.attached:
        session.attached = tuple(a for a in session.attached if a != i)
        session.save()
