"""Clicks that correct a mask: each is obeyed, takes away or adds what belongs to it, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.masks import iou
from sparrow.retouch import retouched

SIZE = (80, 120)


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def picture(*things: tuple[np.ndarray, tuple[int, int, int]]) -> np.ndarray:
    """Things of one colour each on grey noise."""
    rng = np.random.default_rng(0)
    frame = np.full((*SIZE, 3), 110, np.float64)
    for mask, colour in things:
        frame[mask] = colour
    return np.clip(frame + rng.normal(0, 6, frame.shape), 0, 255).astype(np.uint8)


RED, BLUE = box(20, 20, 50, 60), box(50, 30, 90, 60)
FRAME = picture((RED, (200, 40, 40)), (BLUE, (40, 60, 200)))


def test_no_click_changes_nothing() -> None:
    assert np.array_equal(retouched(FRAME, RED, []), RED)


@pytest.mark.parametrize("click", [(30.0, 30.0, True), (100.0, 70.0, False), (0.0, 0.0, False)])
def test_a_click_that_says_what_is_so_changes_nothing(click: tuple[float, float, bool]) -> None:
    assert np.array_equal(retouched(FRAME, RED, [click]), RED)


def test_a_part_that_is_not_meant_goes() -> None:
    after = retouched(FRAME, RED | BLUE, [(70.0, 45.0, False)])
    assert iou(after, RED) > 0.9


def test_a_part_that_is_missing_comes() -> None:
    after = retouched(FRAME, box(20, 20, 50, 38), [(35.0, 50.0, True)])
    assert iou(after, RED) > 0.9
    assert not after[:, 55:].any()


def test_a_piece_of_its_own_goes_as_a_whole_and_only_it() -> None:
    speck = box(100, 5, 110, 15)
    assert np.array_equal(retouched(FRAME, RED | speck, [(105.0, 10.0, False)]), RED)


def test_one_click_after_the_other_is_obeyed() -> None:
    clicks = [(70.0, 45.0, False), (35.0, 25.0, True), (60.0, 55.0, False), (30.0, 58.0, True)]
    after = retouched(FRAME, RED | BLUE, clicks)
    for x, y, on in clicks:
        assert after[int(y), int(x)] == on
    again = retouched(FRAME, after, clicks)
    assert np.array_equal(again, after)


def test_an_earlier_click_is_not_undone_by_a_later_one() -> None:
    clicks = [(60.0, 45.0, True), (85.0, 45.0, False)]
    after = retouched(FRAME, RED, clicks)
    assert after[45, 60] and not after[45, 85]


@pytest.mark.parametrize("at", [(0, 0), (119, 79), (120, 80), (119.9, 79.9)])
@pytest.mark.parametrize("mask", [np.zeros(SIZE, bool), np.ones(SIZE, bool), RED])
def test_clicks_on_the_border_of_any_mask(at: tuple[float, float], mask: np.ndarray) -> None:
    x, y = min(int(at[0]), 119), min(int(at[1]), 79)
    for on in (True, False):
        after = retouched(FRAME, mask, [(*at, on)])
        assert after.shape == mask.shape and after.dtype == bool
        assert after[y, x] == on


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 3)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    for on in (True, False):
        mask = np.full(size, not on)
        assert retouched(frame, mask, [(0.0, 0.0, on)])[0, 0] == on


def test_the_mask_given_is_not_changed() -> None:
    mask = RED.copy()
    retouched(FRAME, mask, [(70.0, 45.0, True), (22.0, 22.0, False)])
    assert np.array_equal(mask, RED)


def test_the_same_clicks_give_the_same_mask() -> None:
    clicks = [(70.0, 45.0, False)]
    first, second = (retouched(FRAME, RED | BLUE, clicks) for _ in "ab")
    assert np.array_equal(first, second)
