"""Cutting a thing out of its box: by its edge where that is believable, else as it was."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sparrow.masks import box_of, iou
from sparrow.outline import sharpen


def disc(centre: tuple[int, int], radius: int, size_hw: tuple[int, int]) -> np.ndarray:
    drawn = np.zeros(size_hw, np.uint8)
    cv2.circle(drawn, centre, radius, 1, -1)
    return drawn > 0


def painted(mask: np.ndarray) -> np.ndarray:
    """Paint a mottled red thing on mottled green."""
    noise = np.random.default_rng(0).integers(-20, 20, (*mask.shape, 3))
    return np.clip(np.where(mask[..., None], (200, 60, 50), (60, 170, 80)) + noise, 0, 255).astype(
        np.uint8
    )


def filled(box: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box.astype(int)
    mask = np.zeros(size_hw, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize(
    ("centre", "radius", "size_hw"),
    [((60, 45), 25, (90, 120)), ((5, 5), 20, (90, 120)), ((600, 400), 220, (800, 1200))],
    ids=["inside", "at the border", "large"],
)
def test_a_filled_box_becomes_the_thing(
    centre: tuple[int, int], radius: int, size_hw: tuple[int, int]
) -> None:
    truth = disc(centre, radius, size_hw)
    box = box_of(truth)
    rough = filled(box, size_hw)
    assert iou(rough, truth) < 0.9
    assert iou(sharpen(painted(truth), rough, box), truth) > 0.95


def test_nothing_stays_nothing() -> None:
    nothing = np.zeros((40, 40), dtype=bool)
    box = np.array([5, 5, 20, 20], np.float32)
    assert not sharpen(painted(nothing), nothing, box).any()


def test_what_lies_outside_the_box_is_left_out() -> None:
    truth = disc((60, 45), 25, (90, 120))
    sharp = sharpen(painted(truth), np.ones_like(truth), box_of(truth))
    assert iou(sharp, truth) > 0.95


def test_a_cut_out_that_does_not_span_the_box_is_not_believed() -> None:
    truth = disc((60, 45), 6, (90, 120))  # the box is far too large for it
    box = np.array([30, 20, 100, 80], np.float32)
    rough = filled(box, (90, 120))
    assert np.array_equal(sharpen(painted(truth), rough, box), rough)


def test_a_picture_of_one_colour_keeps_the_rough_mask() -> None:
    box = np.array([10, 10, 30, 30], np.float32)
    rough = filled(box, (40, 40))
    assert np.array_equal(sharpen(np.full((40, 40, 3), 90, np.uint8), rough, box), rough)


def test_clicks_say_which_of_two_things_it_is() -> None:
    left, right = disc((40, 45), 20, (90, 120)), disc((80, 45), 20, (90, 120))
    frame = painted(left | right)
    box = np.array([20, 25, 101, 66], np.float32)
    both = sharpen(frame, filled(box, (90, 120)), box, [(40.0, 45.0, True), (80.0, 45.0, True)])
    assert iou(both, left | right) > 0.9


def test_the_global_random_state_of_opencv_does_not_matter() -> None:
    truth = disc((60, 45), 25, (90, 120))
    box = box_of(truth)
    cv2.setRNGSeed(1)
    one = sharpen(painted(truth), filled(box, (90, 120)), box)
    cv2.setRNGSeed(77)
    assert np.array_equal(one, sharpen(painted(truth), filled(box, (90, 120)), box))
