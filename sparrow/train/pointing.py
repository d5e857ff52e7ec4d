"""Prompts drawn for training the PixelDecoder: a box, a click or a mask, as points and as a map."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sparrow import masks as mask_tools
from sparrow.model.pixel_decoder import box_map, click_map


@dataclass(frozen=True, eq=False)
class Pointing:
    """What points at one thing in a square of side S."""

    points: np.ndarray
    """(2, 2) float32 x, y: a box's corners, or a click and padding."""
    labels: np.ndarray
    """(2,) int32 as in `Prompts`; -1, -1: no points."""
    dense: np.ndarray
    """(S/4, S/4) float32 in [0, 1]."""


def by_box(corners: np.ndarray, side: int) -> Pointing:
    """Point with a box, corners (2, 2) in pixels of the square."""
    corners = corners.astype(np.float32)
    return Pointing(corners, np.array([2, 3], np.int32), box_map(corners / 4, side // 4))


def by_click(mask: np.ndarray, rng: np.random.Generator, side: int) -> Pointing:
    """Click well inside a mask (h, w), which is not empty and shows the whole square."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    inner = np.argwhere(depth >= 0.5 * depth.max())
    scale = side / np.array(mask.shape[::-1])
    click = (inner[rng.integers(len(inner))][::-1] + 0.5) * scale
    points = np.stack([click, np.zeros(2)]).astype(np.float32)
    return Pointing(points, np.array([1, -1], np.int32), click_map(points[:1] / 4, side // 4))


def by_mask(mask: np.ndarray, side: int, *, boxed: bool) -> Pointing:
    """Point with a mask (h, w) of the square, as a map and, where `boxed`, by its box; an empty one by nothing."""
    points, labels = np.zeros((2, 2), np.float32), np.full(2, -1, np.int32)
    if boxed and mask.any():
        scale = side / np.array(mask.shape[::-1], np.float32)
        points = (mask_tools.box_of(mask).reshape(2, 2) * scale).astype(np.float32)
        labels = np.array([2, 3], np.int32)
    return Pointing(points, labels, shrunk(mask, side // 4))


def shrunk(mask: np.ndarray, side: int) -> np.ndarray:
    """Scale a mask (h, w) to (side, side) float32 shares."""
    how = cv2.INTER_AREA if min(mask.shape) >= side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(mask.astype(np.float32), (side, side), interpolation=how))
