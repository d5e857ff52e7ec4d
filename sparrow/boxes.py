"""Boxes: the one place where pixel and normalised, corner and centre forms change into each other, on numpy arrays."""

from __future__ import annotations

import numpy as np


def to_norm(box_px: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Pixel xyxy (..., 4) to normalised xyxy in [0, 1]."""
    height, width = size_hw
    return (box_px / np.array([width, height, width, height])).astype(np.float32)


def to_pixels(box_norm: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Normalised xyxy (..., 4) to pixel xyxy."""
    height, width = size_hw
    return (box_norm * np.array([width, height, width, height])).astype(np.float32)


def clip(box_px: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Move the corners of pixel xyxy boxes (..., 4) into the frame."""
    height, width = size_hw
    return np.clip(box_px, 0, np.array([width, height, width, height])).astype(np.float32)


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap of every box of a (n, 4) with every box of b (m, 4), (n, m) in [0, 1]; xyxy, any unit."""
    lower = np.maximum(a[:, None, :2], b[None, :, :2])
    upper = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(upper - lower, 0, None).prod(-1)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(-1)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(-1)
    union = area_a[:, None] + area_b[None] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
