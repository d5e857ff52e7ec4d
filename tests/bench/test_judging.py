"""The judge on answers, tracks and proposals whose worth is known."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.bench.judging import judge, judge_pointed, judge_proposals
from sparrow.bench.truth import Truth
from sparrow.types import MaskTrack
from sparrow.world.dialogue import QA
from tests.bench.made_truth import FOX, LEMON, MASKS, NOTHING, TEXT, TRUTH, answer, question


def test_perfect_answer() -> None:
    meant = {1: {0: TRUTH.boxes(0)[0], 4: TRUTH.boxes(4)[0]}, 2: {0: TRUTH.boxes(0)[1]}}
    said = answer(MASKS[:, 0], MASKS[:, 1])
    outcome = judge(question(FOX, LEMON), said, TRUTH, meant=meant)
    assert (outcome.family, outcome.exact, outcome.refused, outcome.missed) == (
        "motion",
        True,
        None,
        False,
    )
    assert outcome.j == outcome.f == outcome.first == outcome.boxes == (1.0, 1.0)
    assert outcome.right == (True, True)
    assert outcome.late == (False, False)
    assert outcome.returns == (True,)
    assert (outcome.switches, outcome.frames) == (0, 16)
    assert outcome.sure == ((1.0, 1.0, 1.0),) * 16  # only frames with a mask


def test_order_of_the_tracks_does_not_matter() -> None:
    meant = {1: {0: TRUTH.boxes(0)[1]}, 2: {0: TRUTH.boxes(0)[0]}}
    said = answer(MASKS[:, 1], MASKS[:, 0])
    outcome = judge(question(FOX, LEMON), said, TRUTH, meant=meant)
    assert outcome.j == outcome.boxes == (1.0, 1.0)
    assert outcome.right == (True, True)


def test_nothing_grounded_scores_nothing() -> None:
    outcome = judge(question(FOX, LEMON), answer(text="there is no fox."), TRUTH)
    assert (outcome.exact, outcome.missed, outcome.refused) == (False, True, None)
    assert outcome.j == outcome.f == outcome.first == outcome.boxes == (0.0, 0.0)
    assert outcome.right == (False, False)
    assert outcome.returns == (False,)
    assert outcome.sure == ()


def test_one_too_many_scores_zero() -> None:
    outcome = judge(question(FOX), answer(MASKS[:, 0], MASKS[:, 2]), TRUTH)
    assert outcome.j == (1.0, 0.0)
    assert outcome.right == (True,)
    assert outcome.first == (1.0,)
    assert set(outcome.sure) == {(1.0, 1.0, 1.0), (1.0, 0.0, 1.0)}


def test_wrong_thing_is_not_chosen_right_but_followed_well() -> None:
    outcome = judge(question(FOX), answer(MASKS[:, 2], scores=[0.75] * 10), TRUTH)
    assert outcome.right == (False,)
    assert outcome.j == (0.0,)
    assert outcome.sure == ((0.75, 0.0, 1.0),) * 10


def test_an_empty_track_is_on_nothing() -> None:
    outcome = judge(question(LEMON), answer(np.zeros_like(MASKS[:, 1])), TRUTH)
    assert outcome.right == (False,)
    assert outcome.j == (pytest.approx(0.4),)  # right only in the four frames without the lemon
    assert (outcome.frames, outcome.sure) == (0, ())


def test_switch_to_another_thing_is_counted() -> None:
    followed = np.concatenate([MASKS[:4, 0], MASKS[4:8, 2], MASKS[8:, 0]])
    outcome = judge(question(FOX), answer(followed), TRUTH)
    assert (outcome.switches, outcome.frames) == (2, 10)


def lemon(frames: int, back: int, *, blinks: tuple[int, ...] = ()) -> tuple[Truth, np.ndarray]:
    """Let the lemon be away in the frames 3 to `back` - 1 and in those of `blinks`."""
    masks = np.stack([MASKS[0]] * frames)
    masks[3:back, 1] = NOTHING
    masks[list(blinks), 1] = NOTHING
    return Truth(masks, masks.any((2, 3)).astype(np.float32)), masks[:, 1].copy()


@pytest.mark.parametrize(
    ("found_at", "back"),
    [(7, True), (11, True), (12, False), (None, False)],
)
def test_a_mask_must_be_back_within_five_frames(found_at: int | None, back: bool) -> None:
    truth, followed = lemon(20, 7)
    followed[7 : 20 if found_at is None else found_at] = False
    assert judge(question(LEMON), answer(followed), truth).returns == (back,)


def test_each_return_counts_for_itself() -> None:
    truth, followed = lemon(24, 7, blinks=(15, 16, 17))
    followed[18:] = False
    assert judge(question(LEMON), answer(followed), truth).returns == (True, False)


def test_a_mask_that_is_back_must_overlap_by_half() -> None:
    truth, followed = lemon(20, 7)
    followed[7:] = np.roll(followed[7:], 5, axis=2)  # of 12 pixels: overlap 7 / 17
    assert judge(question(LEMON), answer(followed), truth).returns == (False,)


def test_first_frame_is_the_one_in_which_it_shows() -> None:
    masks = MASKS.copy()
    masks[:2, 0] = False
    truth = Truth(masks, masks.any((2, 3)).astype(np.float32))
    followed = masks[:, 0].copy()
    followed[2] = np.roll(followed[2], 6, axis=1)  # a third of the union
    outcome = judge(question(FOX), answer(followed), truth)
    assert outcome.first == (pytest.approx(1 / 3),)
    assert outcome.late == (True,)


def test_what_never_shows_has_no_first_frame() -> None:
    truth = Truth(MASKS, np.zeros((10, 3), np.float32))
    outcome = judge(question(FOX), answer(MASKS[:, 0]), truth)
    assert (outcome.first, outcome.late) == ((), (True,))


def test_boxes_are_judged_where_something_was_meant() -> None:
    box = TRUTH.boxes(0)[1]
    half = box - np.array([0, 0, 6, 0], np.float32)
    outcome = judge(question(LEMON), answer(MASKS[:, 1]), TRUTH, meant={1: {0: box, 8: half}})
    assert outcome.boxes == (pytest.approx(0.75),)
    outcome = judge(question(LEMON), answer(MASKS[:, 1]), TRUTH, meant={1: {0: box, 4: box}})
    assert outcome.boxes == (0.5,)  # in frame 4 it is out of sight
    outcome = judge(question(LEMON), answer(MASKS[:, 1]), TRUTH, meant={1: {}})
    assert outcome.boxes == (0.0,)


@pytest.mark.parametrize(("grounded", "refused"), [((), True), ((MASKS[:, 0],), False)])
def test_refusal_of_what_is_absent(grounded: tuple[np.ndarray, ...], refused: bool) -> None:
    outcome = judge(question(family="absent"), answer(*grounded), TRUTH)
    assert (outcome.refused, outcome.missed) == (refused, None)
    assert outcome.j == (0.0,) * len(grounded)
    assert outcome.boxes == ()


@pytest.mark.parametrize(
    ("text", "said"), [("Fox and lemon.", True), ("this is a firefox.", False), ("", False)]
)
def test_noun_is_a_whole_word(text: str, said: bool) -> None:
    outcome = judge(question(family="pointed"), answer(text=text), TRUTH, nouns=["fox"])
    assert outcome.nouns == (said,)


def test_a_thing_named_twice_counts_once() -> None:
    twice = QA("motion", "?", TEXT, (FOX, FOX), (1,), ())
    assert judge(twice, answer(MASKS[:, 0]), TRUTH).j == (1.0,)


def test_pointed() -> None:
    followed = MASKS[:, 0].copy()
    followed[5:] = False
    track = MaskTrack.from_masks(1, list(followed), [0.5] * 10)
    pointed = judge_pointed(track, TRUTH, 0)
    assert (pointed.first, pointed.j) == (1.0, 0.5)
    assert pointed.sure == ((0.5, 1.0, 1.0),) * 5


def test_proposals_are_ranked_where_enough_is_seen() -> None:
    fox, lemon_, third = TRUTH.boxes(0)
    wide = fox + np.array([0, 0, 8, 0], np.float32)  # overlap .6
    ranks = judge_proposals({0: np.stack([lemon_, wide, fox])}, TRUTH)
    assert list(ranks) == [(1, 2), (0, 0), (-1, -1)]
    assert third[0] == 20
    assert list(judge_proposals({0: np.zeros((0, 4), np.float32)}, TRUTH)) == [(-1, -1)] * 3
    assert len(list(judge_proposals({4: fox[None]}, TRUTH))) == 2  # the lemon is out of sight
    hidden = Truth(MASKS, np.full((10, 3), 0.2, np.float32))
    assert list(judge_proposals({0: fox[None]}, hidden)) == []
    assert list(judge_proposals({}, TRUTH)) == []
