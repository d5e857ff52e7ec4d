"""Clicks and boxes on the stage -> prompts of one referent, and the mask they give, shown at once.

Computes no track: correcting.py does, when the visitor applies them. Knows no component of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sparrow.backend import Backend
from sparrow.page.sent import Sent
from sparrow.page.visit import Draft, Visit, key_of
from sparrow.sessions.record import SessionError
from sparrow.sessions.session import Session
from sparrow.types import MaskTrack, Prompt, PromptKind
from sparrow.video import Video

KINDS: tuple[PromptKind, ...] = ("point+", "point-", "box")

MAX_PROMPTS = 64
"""Clicks and boxes of one thing before they are applied."""

_SMALLEST_BOX = 2.0
"""Pixels a side; what is drawn smaller is a click."""


def point(backend: Backend, session: Session, visit: Visit, sent: Sent) -> None:
    """Add what was pointed at on the stage, and see what mask it gives.

    Raises:
        SessionError: there is no video or no such object, or a new thing cannot begin with this.
        SentError: made-up data.
    """
    video = video_of(session)
    known = sent.maybe_whole("object", 1, session.history.next_id)
    new_id = session.history.next_id
    i = new_id if known is None else known
    if i != new_id and i not in session.history.tracks:
        raise SessionError(f"There is no object {i} (any more); point at it as a new thing.")
    prompt = _prompt(i, sent, video)
    before = visit.draft.prompts if visit.draft and visit.draft.referent_id == i else ()
    if prompt.kind == "box":  # a box starts over on its frame
        before = tuple(p for p in before if p.frame != prompt.frame)
    if i == new_id and prompt.kind == "point-" and not _shown_on(before, prompt.frame):
        raise SessionError(
            "Point at the thing itself first; then take away what does not belong to it."
        )
    if len(before) == MAX_PROMPTS:
        raise SessionError(f"That were {MAX_PROMPTS} clicks; apply or discard them first.")
    asks = visit.draft.attached if before and visit.draft else i == new_id
    _propose(backend, session, visit, Draft((*before, prompt), attached=asks))


def take_back(backend: Backend, session: Session, visit: Visit) -> None:
    """Forget the last click or box that is not applied yet."""
    if visit.draft is None:
        return
    earlier = visit.draft.prompts[:-1]
    if earlier:
        _propose(backend, session, visit, replace(visit.draft, prompts=earlier))
    else:
        discard(visit)


def discard(visit: Visit) -> None:
    """Forget the clicks that are not applied yet."""
    visit.draft = None


def prompts_of(session: Session, visit: Visit, ids: Sequence[int]) -> tuple[Prompt, ...]:
    """Give what points at these referents: the clicks just made, else a box of the track where it is surest."""
    prompts: list[Prompt] = []
    for i in ids:
        if visit.draft is not None and visit.draft.referent_id == i and visit.draft.attached:
            prompts += visit.draft.prompts
        elif i in session.history.tracks:
            found = box_of(session.history.tracks[i])
            prompts += [] if found is None else [found]
    return tuple(prompts)


def box_of(track: MaskTrack) -> Prompt | None:
    """Give the box of a track on the frame where it is surest; None where it is never seen."""
    seen = track.visible()
    if not seen.any():
        return None
    frame = int(np.where(seen, track.scores, -1).argmax())
    return Prompt(track.referent_id, frame, "box", track.boxes[frame].copy())


def video_of(session: Session) -> Video:
    """Give the video of a session.

    Raises:
        SessionError: there is none yet.
    """
    if session.video is None:
        raise SessionError("Choose a video first.")
    return session.video


def _shown_on(prompts: Sequence[Prompt], frame: int) -> bool:
    """Say whether any of these prompts shows the thing itself on a frame."""
    return any(p.frame == frame and p.kind != "point-" for p in prompts)


def _propose(backend: Backend, session: Session, visit: Visit, draft: Draft) -> None:
    """Take over prompts that a mask can be drawn from."""
    video = video_of(session)
    here = [p for p in draft.prompts if p.frame == draft.frame]
    before = session.history.tracks.get(draft.referent_id)
    preview = backend.preview(video, here, before, key=key_of(session.id))
    visit.draft = replace(draft, preview=preview)
    visit.selected = draft.referent_id


def _prompt(referent_id: int, sent: Sent, video: Video) -> Prompt:
    height, width = video.size_hw
    frame = sent.whole("frame", 0, video.num_frames - 1)
    kind = sent.one_of("kind", KINDS)
    if kind != "box":
        x, y = sent.shares("at", 2)
        inside = np.array([min(x * width, width - 0.5), min(y * height, height - 0.5)], np.float32)
        return Prompt(referent_id, frame, "point+" if kind == "point+" else "point-", inside)
    x0, y0, x1, y1 = sent.shares("at", 4)
    left, right = sorted((x0 * width, x1 * width))
    top, bottom = sorted((y0 * height, y1 * height))
    if right - left < _SMALLEST_BOX or bottom - top < _SMALLEST_BOX:
        middle = np.array([(left + right) / 2, (top + bottom) / 2], np.float32)
        return Prompt(referent_id, frame, "point+", middle)
    return Prompt(referent_id, frame, "box", np.array([left, top, right, bottom], np.float32))
