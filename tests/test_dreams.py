"""Dreams of one frame: masks lie on the thing's pixels, whatever its size and place; seeds decide all."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.dreams import Dreamer, spoiled
from sparrow.errors import PromptError

SIDE = 64
RED, GREEN = (220, 20, 20), (20, 160, 40)


def picture(mask: np.ndarray) -> np.ndarray:
    """Paint a red thing on green."""
    return np.where(mask[..., None], RED, GREEN).astype(np.uint8)


def boxed(x0: int, y0: int, x1: int, y1: int, size_hw: tuple[int, int] = (90, 120)) -> np.ndarray:
    mask = np.zeros(size_hw, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        boxed(60, 40, 61, 41),  # one pixel
        boxed(700, 500, 701, 501, (720, 1280)),  # one pixel of a large frame
        boxed(0, 0, 20, 90),  # at the border, all the way down
        boxed(119, 89, 120, 90),  # the last pixel
        boxed(0, 0, 120, 90),  # the whole frame
        boxed(30, 20, 80, 70),
        boxed(0, 0, 1, 1, (1, 1)),
    ],
    ids=["pixel", "speck", "border", "corner", "whole", "plain", "one-pixel frame"],
)
def test_things_of_any_size_and_place_can_be_dreamt_of(mask: np.ndarray) -> None:
    dreamer, rng = Dreamer(picture(mask), mask, SIDE), np.random.default_rng(0)
    for _ in range(8):
        dream = dreamer.dream(rng)
        assert dream.frame.shape == (SIDE, SIDE, 3) and dream.frame.dtype == np.uint8
        assert dream.mask.shape == dream.before.shape == (SIDE, SIDE)
        assert dream.before.any()


def test_masks_lie_on_the_pixels_of_the_thing() -> None:
    mask = boxed(40, 25, 80, 60)
    dreamer, rng = Dreamer(picture(mask), mask, SIDE), np.random.default_rng(1)
    agree, gone = [], 0
    for _ in range(40):
        dream = dreamer.dream(rng)
        red = dream.frame[..., 0].astype(int) > dream.frame[..., 1].astype(int)
        agree.append((red == dream.mask).mean())
        gone += not dream.mask.any()
    assert min(agree) > 0.97
    assert 0 < gone < 12  # it leaves now and then


def test_the_thing_moves() -> None:
    mask = boxed(40, 25, 80, 60)
    dreamer, rng = Dreamer(picture(mask), mask, SIDE), np.random.default_rng(2)
    dreams = [dreamer.dream(rng) for _ in range(20)]
    assert sum(np.array_equal(d.before, d.mask) for d in dreams) <= 2
    places = [np.argwhere(d.before).mean(0) for d in dreams]
    assert np.std(places, axis=0).min() > 2


def test_the_hole_is_filled_from_around_it() -> None:
    mask = boxed(40, 25, 80, 60)
    dreamer, rng = Dreamer(picture(mask), mask, SIDE), np.random.default_rng(3)
    left = next(d for d in iter(lambda: dreamer.dream(rng), None) if not d.mask.any())
    assert (left.frame[..., 1].astype(int) > left.frame[..., 0].astype(int)).mean() > 0.98


def test_other_sceneries_join_and_are_renewed() -> None:
    mask = boxed(40, 25, 80, 60)
    blue = np.full((50, 70, 3), (20, 30, 230), dtype=np.uint8)

    def blues(dreamer: Dreamer) -> float:
        rng = np.random.default_rng(4)
        frames = [dreamer.dream(rng).frame.reshape(-1, 3).mean(0).argmax() == 2 for _ in range(30)]
        return float(np.mean(frames))

    dreamer = Dreamer(picture(mask), mask, SIDE)
    assert blues(dreamer) == 0
    dreamer.show([(blue, np.zeros((50, 70), dtype=bool))] * 3)
    assert blues(dreamer) > 0.5
    dreamer.show([])
    assert blues(dreamer) == 0


def test_same_seed_same_dreams() -> None:
    mask = boxed(10, 10, 40, 50)
    first, again = (Dreamer(picture(mask), mask, SIDE) for _ in range(2))
    one, two = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(4):
        a, b = first.dream(one), again.dream(two)
        assert np.array_equal(a.frame, b.frame) and np.array_equal(a.mask, b.mask)
    assert not np.array_equal(first.dream(one).frame, again.dream(np.random.default_rng(6)).frame)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((90, 120), dtype=bool), "at least one pixel, got an empty one"),
        (np.ones((120, 90), dtype=bool), r"the frame's size \(90, 120\), got \(120, 90\)"),
    ],
)
def test_masks_that_show_nothing_are_refused(mask: np.ndarray, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Dreamer(np.zeros((90, 120, 3), dtype=np.uint8), mask, SIDE)


def test_spoiled_masks_are_near_the_truth_and_seldom_equal() -> None:
    mask, rng = boxed(20, 20, 44, 44, (SIDE, SIDE)), np.random.default_rng(7)
    overlaps = []
    for _ in range(60):
        rough = spoiled(mask, rng)
        assert rough.shape == mask.shape and rough.dtype == bool
        overlaps.append((rough & mask).sum() / (rough | mask).sum())
    assert np.mean(overlaps) > 0.6
    assert 0.05 < np.mean(np.array(overlaps) == 1) < 0.6


def test_spoiling_nothing_gives_nothing() -> None:
    rng = np.random.default_rng(8)
    assert not any(spoiled(np.zeros((16, 16), dtype=bool), rng).any() for _ in range(20))
