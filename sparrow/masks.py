"""Bool masks (H, W) to and from compressed COCO RLE, their boxes and overlaps. Knows no video."""

from __future__ import annotations

import numpy as np
from pycocotools import mask as coco


def to_rle(mask: np.ndarray) -> bytes:
    """Encode a bool mask (H, W) as compressed COCO RLE counts."""
    counts: bytes = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts


def from_rle(counts: bytes, size_hw: tuple[int, int]) -> np.ndarray:
    """Decode compressed COCO RLE counts to a bool mask (H, W)."""
    mask: np.ndarray = coco.decode({"size": list(size_hw), "counts": counts})
    return mask.astype(bool)


def box_of(mask: np.ndarray) -> np.ndarray:
    """Give the tight box (4,) float32 xyxy, right and lower edge exclusive; NaN for an empty mask."""
    columns = np.flatnonzero(mask.any(axis=0))
    if columns.size == 0:
        return np.full(4, np.nan, dtype=np.float32)
    rows = np.flatnonzero(mask.any(axis=1))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Give the overlap of two bool masks (H, W) in [0, 1]; two empty masks agree: 1 (DAVIS's J)."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0
