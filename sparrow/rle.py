"""Compressed COCO RLE counts -> run lengths, checked: they may come from any file."""

from __future__ import annotations

import numpy as np


def runs_of(counts: bytes) -> np.ndarray:
    """Read counts as run lengths (n,) int64, column by column, background first.

    Each number is written in groups of five bits, lowest first, a sixth bit saying that more
    follow; from the fourth on, a number is the difference to the one two places before.

    Raises:
        ValueError: not such counts.
    """
    groups = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    if groups.size == 0 or groups.min() < 0 or groups.max() > 63 or groups[-1] & 0x20:
        raise ValueError("RLE counts: expected the compressed form of COCO")
    ends = np.flatnonzero(groups & 0x20 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise ValueError("RLE counts: expected runs below 2**32")
    places = 5 * (np.arange(groups.size) - np.repeat(starts, lengths))
    runs: np.ndarray = np.add.reduceat((groups & 0x1F) << places, starts)
    runs -= ((groups[ends] & 0x10) != 0).astype(np.int64) << (5 * lengths)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def check(counts: bytes, size_hw: tuple[int, int]) -> None:
    """Refuse counts that do not fill exactly a mask (H, W).

    Raises:
        ValueError: too short, too long or broken.
    """
    runs = runs_of(counts)
    pixels = size_hw[0] * size_hw[1]
    if runs.min() < 0 or int(runs.sum()) != pixels:
        raise ValueError(f"RLE counts: expected runs that fill {pixels} pixels, got {runs.sum()}")


def area_of(counts: bytes) -> int:
    """Count the pixels of a mask."""
    return int(runs_of(counts)[1::2].sum())
