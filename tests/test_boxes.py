from __future__ import annotations

import numpy as np
import pytest

from sparrow import boxes


def test_norm_and_pixels_undo_each_other() -> None:
    box_px = np.array([[0, 0, 320, 240], [16, 12, 48, 60]], dtype=np.float32)
    norm = boxes.to_norm(box_px, (240, 320))
    assert norm.dtype == np.float32
    assert np.allclose(norm[0], [0, 0, 1, 1])
    assert np.allclose(norm[1], [0.05, 0.05, 0.15, 0.25])
    assert np.allclose(boxes.to_pixels(norm, (240, 320)), box_px)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_empty_and_small_batches_keep_their_shape(count: int) -> None:
    box_px = np.zeros((count, 4), dtype=np.float32)
    assert boxes.to_norm(box_px, (10, 10)).shape == (count, 4)
    assert boxes.clip(box_px, (10, 10)).shape == (count, 4)
    assert boxes.iou_matrix(box_px, np.zeros((2, 4), dtype=np.float32)).shape == (count, 2)


def test_clip_keeps_corners_inside() -> None:
    clipped = boxes.clip(np.array([-5.0, 3.0, 40.0, 99.0]), (20, 30))
    assert clipped.tolist() == [0, 3, 30, 20]


def test_iou_known_answers() -> None:
    a = np.array([[0, 0, 10, 10], [5, 5, 5, 5]], dtype=np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [2, 2, 4, 4]], dtype=np.float32)
    overlap = boxes.iou_matrix(a, b)
    assert np.allclose(overlap[0], [1, 50 / 150, 0, 4 / 100])
    assert (overlap[1] == 0).all()
    assert np.allclose(boxes.iou_matrix(b, a), overlap.T)
