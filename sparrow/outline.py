"""A rough mask of what a box points at -> a sharper one, by the colours inside and around it.

A small decoder fills the box; GrabCut then finds the thing's own edge, or is not believed. Knows
numpy and OpenCV, no model.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sparrow import masks

_AROUND = 1.5
"""Sides of the box by which the colours around the thing are judged."""
_LARGEST = 200
"""Pixels of the longer side at which it is cut; larger pictures are scaled down."""
_ROUNDS = 2
_PIECE = 0.04
"""Share of the cut-out that a separate piece must have to belong to it."""
_SPAN = 0.7
"""Share of the box's width and height that a believable cut-out spans."""
_BULK = 0.25
"""Share of the rough mask that it has at least."""
_DOT = 2
"""Radius of a click in pixels."""


def sharpen(
    frame: np.ndarray,
    rough: np.ndarray,
    box: np.ndarray,
    clicks: Sequence[tuple[float, float, bool]] = (),
) -> np.ndarray:
    """Cut a thing out along its edge; where that fails, keep the rough mask inside its box.

    Args:
        frame: (H, W, 3) uint8.
        rough: (H, W) bool.
        box: (4,) pixel xyxy around all of the thing.
        clicks: x, y, and whether there the thing is.

    Returns:
        (H, W) bool.
    """
    inside = _within(box, rough.shape)
    rough = rough & inside
    if not rough.any():
        return rough
    window = _window(box, rough.shape)
    marks = np.full(rough.shape, cv2.GC_BGD, np.uint8)
    marks[inside] = cv2.GC_PR_BGD
    marks[rough] = cv2.GC_PR_FGD
    for x, y, on in clicks:
        mark = cv2.GC_FGD if on else cv2.GC_BGD
        cv2.circle(marks, (int(x), int(y)), _DOT, int(mark), -1)
    cut = np.zeros_like(rough)
    cut[window] = _whole_pieces(grab(frame[window], marks[window]))
    span = masks.box_of(cut) - box
    width, height = box[2:] - box[:2]
    missed = np.array([(span[0] - span[2]) / width, (span[1] - span[3]) / height])
    if np.isnan(missed).any() or missed.max() > 1 - _SPAN or cut.sum() < _BULK * rough.sum():
        return rough
    return cut


def grab(picture: np.ndarray, marks: np.ndarray, longest: int = _LARGEST) -> np.ndarray:
    """Run GrabCut from its marks (h, w) uint8 on a picture (h, w, 3) uint8, which is scaled down where it is large.

    Returns:
        (h, w) bool.
    """
    size = marks.shape[::-1]
    scale = min(1.0, longest / max(size))
    if scale < 1:
        small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        marks = cv2.resize(marks, small, interpolation=cv2.INTER_NEAREST)
    marks, picture = np.ascontiguousarray(marks), np.ascontiguousarray(picture)
    thing = _is_thing(marks)
    if thing.any() and not thing.all():
        cv2.setRNGSeed(0)
        off, on = np.zeros((1, 65)), np.zeros((1, 65))  # the colour models that it fills
        unused = (0, 0, 1, 1)
        cv2.grabCut(picture, marks, unused, off, on, _ROUNDS, cv2.GC_INIT_WITH_MASK)
        thing = _is_thing(marks)
    large = cv2.resize(thing.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large >= 0.5)


def _within(box: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    """Draw a box (4,), rounded, as a mask (H, W) bool."""
    inside = np.zeros(size_hw, dtype=bool)
    x0, y0, x1, y1 = np.maximum(np.round(box), 0).astype(int)
    inside[y0:y1, x0:x1] = True
    return inside


def _window(box: np.ndarray, size_hw: tuple[int, ...]) -> tuple[slice, slice]:
    """Give the rows and columns of the surroundings of a box."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * _AROUND / 2
    x0, y0 = np.maximum(centre - half, 0).astype(int)
    x1, y1 = np.minimum(centre + half, [size_hw[1], size_hw[0]]).astype(int)
    return slice(y0, y1), slice(x0, x1)


def _whole_pieces(cut: np.ndarray) -> np.ndarray:
    """Drop the specks of a mask (H, W)."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cut.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] >= _PIECE * cut.sum()
    large[0] = False  # what is not cut out
    kept: np.ndarray = large[labels]
    return kept


def _is_thing(marks: np.ndarray) -> np.ndarray:
    """Say which of GrabCut's marks stand for the thing."""
    return (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
