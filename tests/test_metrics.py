"""J and F against hand-counted numbers and a slow reading of the official definition."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sparrow.metrics import boundary_f, jaccard, score_track
from sparrow.types import MaskTrack

EMPTY = np.zeros((40, 60), dtype=bool)
FULL = np.ones((40, 60), dtype=bool)


def rectangle(
    x0: int, y0: int, x1: int, y1: int, size_hw: tuple[int, int] = (40, 60)
) -> np.ndarray:
    mask = np.zeros(size_hw, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def slow_outline(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    outline = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            neighbours = (
                [(y, x + 1)] if y == height - 1 else [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            )
            if x == width - 1:
                neighbours = [(y + 1, x)] if y < height - 1 else []
            outline[y, x] = any(mask[y, x] != mask[at] for at in neighbours)
    return outline


def slow_f(prediction: np.ndarray, truth: np.ndarray) -> float:
    radius = int(np.ceil(0.008 * np.hypot(*truth.shape)))
    span = np.arange(-radius, radius + 1)
    disk = (span[:, None] ** 2 + span[None] ** 2 <= radius**2).astype(np.uint8)
    a, b = slow_outline(prediction), slow_outline(truth)
    if not a.any() or not b.any():
        return 1.0 if a.any() == b.any() else 0.0
    precision = np.sum(a & cv2.dilate(b.astype(np.uint8), disk).astype(bool)) / np.sum(a)
    recall = np.sum(b & cv2.dilate(a.astype(np.uint8), disk).astype(bool)) / np.sum(b)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def blob(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.random(size_hw), (0, 0), sigmaX=rng.uniform(1, 6))
    return noise > np.quantile(noise, rng.uniform(0.05, 0.95))


@pytest.mark.parametrize(
    ("prediction", "truth", "j", "f"),
    [
        (EMPTY, EMPTY, 1.0, 1.0),
        (FULL, EMPTY, 0.0, 1.0),  # the frame's edge is no outline
        (FULL, FULL, 1.0, 1.0),
        (rectangle(10, 10, 20, 20), EMPTY, 0.0, 0.0),
        (EMPTY, rectangle(10, 10, 20, 20), 0.0, 0.0),
        (rectangle(10, 10, 20, 20), rectangle(10, 10, 20, 20), 1.0, 1.0),
        (rectangle(0, 0, 60, 20), rectangle(0, 0, 60, 20), 1.0, 1.0),
        (rectangle(2, 2, 8, 8), rectangle(40, 25, 50, 35), 0.0, 0.0),
        (rectangle(10, 10, 20, 20), rectangle(15, 10, 25, 20), 50 / 150, None),
        (rectangle(10, 10, 20, 20), rectangle(11, 10, 21, 20), 90 / 110, 1.0),  # within tolerance
    ],
)
def test_known_pairs(prediction: np.ndarray, truth: np.ndarray, j: float, f: float | None) -> None:
    assert jaccard(prediction, truth) == j
    assert boundary_f(prediction, truth) == (slow_f(prediction, truth) if f is None else f)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 17), (23, 1), (31, 47), (120, 160), (241, 319)])
def test_f_equals_the_definition_bit_for_bit(size_hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(size_hw[0])
    for _ in range(4):
        prediction, truth = blob(rng, size_hw), blob(rng, size_hw)
        assert boundary_f(prediction, truth) == slow_f(prediction, truth)
        shifted = np.roll(truth, (1, 2), axis=(0, 1))
        assert boundary_f(shifted, truth) == slow_f(shifted, truth)


def test_void_pixels_do_not_count() -> None:
    truth = rectangle(10, 10, 20, 20)
    prediction = rectangle(10, 10, 30, 20)
    void = rectangle(20, 0, 60, 40)
    assert jaccard(prediction, truth) == 0.5
    assert jaccard(prediction, truth, void) == 1.0
    assert boundary_f(prediction, truth, void) == 1.0
    assert jaccard(EMPTY, truth, FULL) == 1.0


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (EMPTY[:-1], EMPTY, r"got \(39, 60\) and \(40, 60\)"),
        (EMPTY.astype(np.uint8), EMPTY, "got uint8 and bool"),
        (EMPTY[0], EMPTY[0], "expected two of the same"),
    ],
)
def test_wrong_masks_are_refused(prediction: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        jaccard(prediction, truth)
    with pytest.raises(ValueError, match=message):
        boundary_f(prediction, truth)


def test_track_is_scored_in_every_frame() -> None:
    truth = np.stack([EMPTY, rectangle(5, 5, 15, 15), rectangle(5, 5, 15, 15), EMPTY])
    followed = [EMPTY, rectangle(5, 5, 15, 15), EMPTY, rectangle(5, 5, 15, 15)]
    score = score_track(MaskTrack.from_masks(1, followed, [1.0] * 4), truth)
    assert score.j.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert score.f.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert score.j_and_f == 0.5
    with pytest.raises(ValueError, match="truth: expected"):
        score_track(MaskTrack.from_masks(1, followed, [1.0] * 4), truth[:2])
