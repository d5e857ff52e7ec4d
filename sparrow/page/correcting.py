"""Prompts that wait, or a track that went astray -> a track that follows them; back and forth through the changes.

Each of the long works here is a generator that yields whenever there is something new to show. When the
session's stop event is set, what was reached by then stays, and the rest is as it was; where nothing was reached,
so are the clicks.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from sparrow.backend import Backend
from sparrow.page.pointing import box_of, video_of
from sparrow.page.visit import Draft, Visit, key_of
from sparrow.sessions.record import SessionError
from sparrow.sessions.session import Session
from sparrow.types import MaskTrack, Progress, Prompt, TracksSoFar
from sparrow.work import Pulse

DIRECTIONS = ("both", "forward", "backward", "span")

LEARN_SECONDS = 30.0

SECONDS_BETWEEN_TRACKS = 1.0
"""Masks that come sooner than this after the last ones are not shown."""


def apply(
    backend: Backend, session: Session, visit: Visit, direction: str = "both"
) -> Iterator[None]:
    """Make the track of what was pointed at follow the clicks.

    Args:
        backend: computes it.
        session: whose object it is.
        visit: holds the clicks, and holds none once they are tracked.
        direction: both; forward or backward from the frame clicked; span: within the trim range.

    Raises:
        SessionError: nothing was clicked.
        SparrowError: it cannot be tracked.
    """
    draft, i = _draft(visit), _draft(visit).referent_id
    span, new = _span(direction, draft, session), i not in session.history.tracks
    if not (yield from _track(backend, session, visit, draft.prompts, draft.prompts, span=span)):
        return
    visit.draft = None
    if new and draft.attached and i not in session.attached:
        session.attached = (*session.attached, i)
    session.save()
    yield


def track_again(
    backend: Backend, session: Session, visit: Visit, referent_id: int
) -> Iterator[None]:
    """Track an object anew through the whole video, from the masks on the frames that the visitor pointed at."""
    prompts = accepted(session, referent_id)
    yield from _track(backend, session, visit, prompts, (), before=False)


def learn(backend: Backend, session: Session, visit: Visit, referent_id: int) -> Iterator[None]:
    """Let a copy of the tracker learn what an object looks like, then track it with that.

    Raises:
        SessionError: there is no such object, or it is never seen.
    """
    draft = visit.draft if visit.draft and visit.draft.referent_id == referent_id else None
    fresh = () if draft is None else draft.prompts
    if referent_id in session.history.tracks:
        shown = accepted(session, referent_id)
        # On a frame just pointed at, what the clicks give counts, not what was there.
        prompts = (*(p for p in shown if p.frame not in {f.frame for f in fresh}), *fresh)
    else:
        prompts = fresh
    if not prompts:
        raise SessionError(f"There is no object {referent_id} (any more).")
    tracked = yield from _track(
        backend, session, visit, prompts, fresh, before=False, adapt_seconds=LEARN_SECONDS
    )
    if tracked and draft is not None:
        visit.draft = None
        yield


def accepted(session: Session, referent_id: int) -> tuple[Prompt, ...]:
    """Give the masks of an object where the visitor pointed at it, else where the track is surest.

    Raises:
        SessionError: there is no such object, or it is never seen.
    """
    track = session.history.tracks.get(referent_id)
    if track is None:
        raise SessionError(f"There is no object {referent_id} (any more).")
    frames = {p.frame for p in session.prompts if p.referent_id == referent_id}
    seen = sorted(f for f in frames if track.rles[f] is not None)
    if not seen:
        surest = box_of(track)
        if surest is None:
            raise SessionError(
                "This object is nowhere to be seen: point at it on a frame where it is."
            )
        seen = [surest.frame]
    return tuple(Prompt(referent_id, frame, "mask", track.mask(frame)) for frame in seen)


def undo(session: Session) -> None:
    """Take back the last change of an object."""
    session.undo()
    session.save()


def redo(session: Session) -> None:
    """Make a change again that was taken back."""
    session.redo()
    session.save()


def follow(
    backend: Backend, session: Session, visit: Visit, prompts: Sequence[Prompt]
) -> Iterator[None]:
    """Track what a question pointed at and its answer did not name."""
    yield from _track(backend, session, visit, prompts, prompts)


def _track(
    backend: Backend,
    session: Session,
    visit: Visit,
    prompts: Sequence[Prompt],
    fresh: Sequence[Prompt],
    *,
    span: tuple[int, int] | None = None,
    before: bool = True,
    adapt_seconds: float = 0.0,
) -> Generator[None, None, bool]:
    """Track one referent and make the result its track; say whether there is one to keep.

    Args:
        backend: computes it.
        session: whose object it is.
        visit: shows how it grows.
        prompts: what the tracker goes by.
        fresh: those that the visitor has just made, to be kept.
        span: first frame and the one after the last to change, None for all.
        before: correct the track that there is, rather than make a new one.
        adapt_seconds: learn for so long first.
    """
    video, i = video_of(session), prompts[0].referent_id
    corrected = session.history.tracks.get(i) if before else None
    result: TracksSoFar | None = None
    pulse = Pulse(SECONDS_BETWEEN_TRACKS)
    for event in backend.track(
        video,
        prompts,
        before=None if corrected is None else {i: corrected},
        span=span,
        adapt_seconds=adapt_seconds,
        cancel=session.stop,
        key=key_of(session.id),
    ):
        if isinstance(event, Progress):
            visit.note(session, event)
        else:
            result = event
            # What shows nothing is gone with the next view, and its file with it.
            if _differs(event.tracks[0], corrected) and pulse.due():
                visit.growing = event
        yield
    assert result is not None
    track = result.tracks[0]
    visit.growing = None
    if session.stop.is_set() and not track.complete and not _differs(track, corrected):
        work = "Learning" if adapt_seconds else "Tracking"
        session.tell(f"{work} was stopped: nothing was tracked, and nothing has changed.")
        yield
        return False
    _keep(session, track, fresh)
    visit.selected = i
    name = {r.id: r.phrase for r in session.referents()}[i]
    partial = "" if track.complete else "Stopped: the track is partial. "
    session.tell(f"{partial}{name[:1].upper()}{name[1:]} is marked in the video.")
    session.save()
    yield
    return True


def _differs(track: MaskTrack, before: MaskTrack | None) -> bool:
    """Say whether a track shows anything that was not there before."""
    return bool(track.visible().any()) if before is None else track.rles != before.rles


def _keep(session: Session, track: MaskTrack, fresh: Sequence[Prompt]) -> None:
    i = track.referent_id
    session.remember(i)
    phrase = session.history.phrases.get(i, f"object {i}")
    session.history = session.history.with_track(track, phrase)
    session.prompts = (*session.prompts, *fresh)


def _draft(visit: Visit) -> Draft:
    if visit.draft is None:
        raise SessionError("Point at something in the picture first.")
    return visit.draft


def _span(direction: str, draft: Draft, session: Session) -> tuple[int, int] | None:
    """Give the frames that may change.

    Raises:
        SessionError: only the trim range may, and the clicks are outside it.
    """
    frames = [p.frame for p in draft.prompts]
    if direction == "forward":
        return min(frames), video_of(session).num_frames
    if direction == "backward":
        return 0, max(frames) + 1
    if direction != "span" or session.span is None:
        return None
    start, stop = session.span
    if not all(start <= frame < stop for frame in frames):
        raise SessionError(
            f"The trim range is frames {start} to {stop - 1}, and you pointed at frame "
            f"{next(f for f in frames if not start <= f < stop)}: widen the range, or track everywhere."
        )
    return start, stop
