"""What was seen goes along with the picture, and the decoder may overrule it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sparrow import masks
from sparrow.model.carrying import carry, weighed
from sparrow.model.window import Window

SIZE = (96, 128)
WHOLE = Window.whole(SIZE)


def texture(seed: int) -> np.ndarray:
    """Draw a smooth pattern (H, W, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 255, (16, 20, 3), np.uint8)
    return cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def drawn(left: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a patterned square on a patterned ground: a frame (H, W, 3) and the square's mask (H, W)."""
    frame, thing = texture(0), texture(1)
    mask = np.zeros(SIZE, bool)
    mask[30:62, left : left + 32] = True
    frame[mask] = thing[:32, :32].reshape(-1, 3)
    return frame, mask


@pytest.mark.parametrize("by", [0, 2, 5, -4])
def test_a_mask_goes_along_with_what_moves(by: int) -> None:
    (before, mask), (after, moved) = drawn(40), drawn(40 + by)
    carried = carry(mask, before, after, WHOLE, 192)
    assert carried.shape == (192, 192) and carried.dtype == np.float32
    found = cv2.resize(carried, SIZE[::-1]) >= 0.5
    assert masks.iou(found, moved) > 0.9


def test_beliefs_are_carried_through_a_window_in_their_measure() -> None:
    (before, mask), (after, moved) = drawn(40), drawn(43)
    window = Window(30, 20, 90, 80)
    carried = carry(np.float32(0.8) * mask, before, after, window, 120)
    found = window.paste(cv2.resize(carried, window.size_hw[::-1]), SIZE)
    assert masks.iou(found >= 0.4, moved) > 0.9
    assert carried.max() == pytest.approx(0.8, abs=1e-4) and carried.min() == 0
    assert not carry(np.zeros(SIZE, bool), before, after, window, 120).any()


def test_what_was_carried_settles_what_the_decoder_does_not_know() -> None:
    carried = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert (weighed(np.zeros((1, 3)), carried) > 0.5).tolist() == [[False, False, True]]
    assert (weighed(np.full((1, 3), 2.0), carried) > 0.5).tolist() == [[False, True, True]]
    assert (weighed(np.full((1, 3), -2.0), carried) > 0.5).tolist() == [[False, False, True]]
    assert not (weighed(np.full((1, 3), -2.0), carried, 0.15) > 0.5).any()


def test_a_decoder_that_holds_a_thing_absent_is_believed() -> None:
    carried = np.ones((2, 2), np.float32)
    assert (weighed(np.full((2, 2), -1024.0), carried) < 0.1).all()
    assert (weighed(np.full((2, 2), 1024.0), 0 * carried) > 0.9).all()
