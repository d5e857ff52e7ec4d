"""Corrections: the right frames change, Stop keeps what was reached, undo and redo give the same bytes back."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.backend import Backend
from sparrow.page import correcting
from sparrow.page.visit import Draft
from sparrow.sessions.record import SessionError
from sparrow.types import MaskTrack, Prompt
from tests.page.conftest import Opened, run


def box(opened: Opened, referent_id: int = 1, frame: int = 12) -> Draft:
    """Draw a box, without a model."""
    drawn = Prompt(referent_id, frame, "box", np.array([20, 10, 60, 50], np.float32))
    opened.visit.draft = Draft((drawn,), attached=True)
    return opened.visit.draft


def changed(before: MaskTrack, after: MaskTrack) -> list[int]:
    return [t for t in range(before.num_frames) if before.rles[t] != after.rles[t]]


def test_there_must_be_clicks(backend: Backend, opened: Opened) -> None:
    with pytest.raises(SessionError, match="Point at something"):
        run(correcting.apply(backend, opened.session, opened.visit))


def test_a_new_thing_becomes_an_object_that_goes_along(backend: Backend, opened: Opened) -> None:
    box(opened)
    assert run(correcting.apply(backend, opened.session, opened.visit)) > 30
    session = opened.session
    assert session.history.phrases == {1: "object 1"}
    assert session.history.tracks[1].complete
    assert (session.attached, len(session.prompts)) == ((1,), 1)
    assert (opened.visit.draft, opened.visit.growing, opened.visit.selected) == (None, None, 1)
    assert "Object 1 is marked" in session.notice


@pytest.mark.parametrize(
    ("direction", "low", "high"),
    [("forward", 12, 29), ("backward", 0, 12), ("both", 0, 29), ("span", 8, 19)],
)
def test_only_the_right_frames_change(
    backend: Backend, opened: Opened, direction: str, low: int, high: int
) -> None:
    before = opened.give(1, "the fox")
    opened.session.span = (8, 20)
    box(opened)
    run(correcting.apply(backend, opened.session, opened.visit, direction))
    frames = changed(before, opened.session.history.tracks[1])
    assert frames
    assert low <= min(frames)
    assert max(frames) <= high
    assert opened.session.attached == ()


def test_outside_the_trim_range_nothing_can_be_corrected_within_it(
    backend: Backend, opened: Opened
) -> None:
    opened.give(1, "the fox")
    opened.session.span = (0, 10)
    box(opened)
    with pytest.raises(SessionError, match="frames 0 to 9, and you pointed at frame 12"):
        run(correcting.apply(backend, opened.session, opened.visit, "span"))


def test_undo_and_redo_give_the_same_bytes(backend: Backend, opened: Opened) -> None:
    before = opened.give(1, "the fox")
    box(opened)
    run(correcting.apply(backend, opened.session, opened.visit))
    after = opened.session.history.tracks[1]
    correcting.undo(opened.session)
    assert opened.session.history.tracks[1].rles == before.rles
    assert opened.session.prompts == ()
    correcting.redo(opened.session)
    assert opened.session.history.tracks[1].rles == after.rles
    correcting.undo(opened.session)
    with pytest.raises(SessionError, match="nothing to undo"):
        correcting.undo(opened.session)


def test_stop_keeps_the_frames_so_far_and_what_was_there(backend: Backend, opened: Opened) -> None:
    before = opened.give(1, "the fox")
    box(opened)
    work = correcting.apply(backend, opened.session, opened.visit)
    for _ in range(8):
        next(work)
    opened.session.stop.set()
    run(work)
    after = opened.session.history.tracks[1]
    assert not after.complete
    assert 0 < len(changed(before, after)) < 30
    assert all(rle is not None for rle in after.rles[25:])
    assert "Stopped" in opened.session.notice


@pytest.mark.parametrize("known", [False, True])
def test_learning_that_is_stopped_loses_nothing(
    backend: Backend, opened: Opened, *, known: bool
) -> None:
    if known:
        opened.give(1, "the fox")
    session, before = opened.session, opened.session.history
    draft = box(opened)
    work = correcting.learn(backend, session, opened.visit, 1)
    while session.status is None or session.status.step != "adapt":
        next(work)
    session.stop.set()
    run(work)
    assert "Learning was stopped: nothing was tracked" in session.notice
    assert (session.history, session.prompts, opened.visit.draft) == (before, (), draft)
    assert (session.undo_stack, session.redo_stack, opened.visit.growing) == ([], [], None)
    session.stop.clear()  # as the runner does before other work
    run(correcting.apply(backend, session, opened.visit))
    assert session.history.tracks[1].complete
    assert (opened.visit.draft, len(session.prompts), len(session.undo_stack)) == (None, 1, 1)
    correcting.undo(session)
    assert session.history.tracks == before.tracks


@pytest.mark.parametrize("known", [False, True])
def test_tracking_that_is_stopped_before_its_first_frame_loses_nothing(
    backend: Backend, opened: Opened, *, known: bool
) -> None:
    if known:
        opened.give(1, "the fox")
    session, before = opened.session, opened.session.history
    draft = box(opened)
    session.stop.set()
    for _ in correcting.apply(backend, session, opened.visit):
        assert opened.visit.growing is None  # no file is offered that goes at once
    assert "Tracking was stopped: nothing was tracked" in session.notice
    assert (session.history, session.attached, opened.visit.draft) == (before, (), draft)
    assert session.undo_stack == []


def test_track_again_begins_where_the_visitor_pointed(backend: Backend, opened: Opened) -> None:
    opened.give(1, "the fox", range(5, 20))
    (prompt,) = correcting.accepted(opened.session, 1)
    assert (prompt.kind, prompt.frame) == ("mask", 12)  # nobody pointed: where it is surest
    at = np.array([20, 20], np.float32)
    opened.session.prompts = (Prompt(1, 7, "point+", at), Prompt(1, 25, "point-", at))
    assert [p.frame for p in correcting.accepted(opened.session, 1)] == [7]  # unseen on 25
    run(correcting.track_again(backend, opened.session, opened.visit, 1))
    assert opened.session.history.phrases == {1: "the fox"}
    assert len(opened.session.undo_stack) == 1


@pytest.mark.parametrize("steps", [correcting.track_again, correcting.learn])
def test_an_object_that_is_not_there(backend: Backend, opened: Opened, steps) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SessionError, match="no object 4"):
        run(steps(backend, opened.session, opened.visit, 4))
    opened.give(1, "the fox", range(0))
    with pytest.raises(SessionError, match="nowhere to be seen"):
        run(steps(backend, opened.session, opened.visit, 1))


def test_learning_begins_with_the_masks_that_were_accepted(
    backend: Backend, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correcting, "LEARN_SECONDS", 0.5)
    before = opened.give(1, "the fox")
    seen = []
    for _ in correcting.learn(backend, opened.session, opened.visit, 1):
        if opened.session.status is not None:
            seen.append(opened.session.status.step)
    assert seen.index("adapt") < seen.index("track")
    assert changed(before, opened.session.history.tracks[1])
    correcting.undo(opened.session)
    assert opened.session.history.tracks[1].rles == before.rles
