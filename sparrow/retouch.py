"""A mask and clicks on what is wrong with it -> a mask that obeys every click.

A click takes away, or adds, the region around it: what both an edge in the picture (watershed) and its colours
(GrabCut) set apart from the rest. Knows numpy and OpenCV, no model: a small decoder was never shown what a click
corrects, and does not heed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sparrow import masks
from sparrow.outline import grab

Click = tuple[float, float, bool]
"""x, y in pixels, and whether the thing is there."""

_Pixel = tuple[int, int, bool]

_DOT = 0.06
"""Radius of what a click surely means, in sides of the mask."""
_FAR = 0.5
"""Share of the way to the mask's furthest pixel from which on it is not meant by a click, ..."""
_NEAR = 0.25
"""... and up to which it likely is."""
_REACH = 0.6
"""How far beyond the mask and a click its missing part may go, in their longer sides."""
_PIECE = 0.5
"""Share of the mask below which a piece of its own is taken away as a whole."""
_LONGEST = 160
"""Pixels of the longer side at which colours are judged: a click is to be answered in a moment."""
_MARGIN = 0.5
"""Of the picture around, in longer sides of what is corrected, by which colours are judged."""


def retouched(frame: np.ndarray, mask: np.ndarray, clicks: Sequence[Click]) -> np.ndarray:
    """Correct a mask by clicks, one after the other.

    Args:
        frame: (H, W, 3) uint8.
        mask: (H, W) bool.
        clicks: inside the frame; one that says what is so already changes nothing.

    Returns:
        (H, W) bool.
    """
    height, width = mask.shape
    inside = [(min(int(x), width - 1), min(int(y), height - 1), on) for x, y, on in clicks]
    for place, (x, y, on) in enumerate(inside):
        if bool(mask[y, x]) == on:
            continue
        window = _window(mask, x, y)
        rows, columns = window
        moved = [(a - columns.start, b - rows.start, kind) for a, b, kind in inside[:place]]
        fix = _Fix(frame[window], mask[window], (x - columns.start, y - rows.start), moved)
        mask = mask.copy()
        mask[window] = fix.added() if on else fix.removed()
    return mask


@dataclass(frozen=True, eq=False)
class _Fix:
    """One click on what is wrong, in the part of the picture that matters."""

    picture: np.ndarray
    """(h, w, 3) uint8."""
    mask: np.ndarray
    """(h, w) bool."""
    at: tuple[int, int]
    """x, y."""
    earlier: Sequence[_Pixel]
    """Those obeyed already; some may lie outside."""

    def removed(self) -> np.ndarray:
        """Take away the part of the mask that the click lies on."""
        mask = self.mask
        piece = _piece(mask, self.at)
        kept = self._dots(on=True) & piece
        if not kept.any() and np.count_nonzero(piece) < _PIECE * np.count_nonzero(mask):
            return mask & ~piece
        meant = self._dot(self.at) & piece
        away = self._distance()
        furthest = away[piece].max()
        colours = np.full(mask.shape, cv2.GC_BGD, np.uint8)
        colours[piece] = np.where(
            away < _NEAR * furthest, np.uint8(cv2.GC_PR_BGD), np.uint8(cv2.GC_PR_FGD)
        )[piece]
        colours[kept], colours[meant] = cv2.GC_FGD, cv2.GC_BGD
        edges = np.where(piece, 0, 3).astype(np.int32)
        edges[piece & (away > _FAR * furthest)] = 1
        edges[kept], edges[meant] = 1, 2
        gone = (self._flooded(edges) == 2) & ~grab(self.picture, colours, _LONGEST)
        return mask & ~_piece((gone & piece) | meant, self.at)

    def added(self) -> np.ndarray:
        """Add the part beside the mask that the click lies on."""
        mask, meant = self.mask, self._dot(self.at)
        sure, refused = mask | meant, self._dots(on=False)
        reach = _REACH * _side(sure)
        beyond = cv2.distanceTransform((~sure).astype(np.uint8), cv2.DIST_L2, 5) > reach
        colours = np.full(mask.shape, cv2.GC_PR_BGD, np.uint8)
        colours[self._distance() < _NEAR * _side(sure)] = cv2.GC_PR_FGD
        colours[beyond | refused], colours[sure] = cv2.GC_BGD, cv2.GC_FGD
        edges = np.zeros(mask.shape, np.int32)
        edges[beyond | refused], edges[sure] = 2, 1
        new = (self._flooded(edges) == 1) & grab(self.picture, colours, _LONGEST)
        return mask | _piece((new | meant) & ~mask, self.at)

    def _flooded(self, marks: np.ndarray) -> np.ndarray:
        """Let marks (h, w) int32 grow over the unmarked, 0, until they meet where the picture changes; -1 between."""
        smooth = cv2.GaussianBlur(np.ascontiguousarray(self.picture), (3, 3), 0)
        return cv2.watershed(smooth, marks.copy())

    def _dots(self, *, on: bool) -> np.ndarray:
        """Draw what the earlier clicks of one kind surely mean, (h, w) bool."""
        drawn = np.zeros_like(self.mask)
        for x, y, inside in self.earlier:
            if inside == on:
                drawn |= self._dot((x, y))
        return drawn

    def _dot(self, at: tuple[int, int]) -> np.ndarray:
        radius = max(2, round(_DOT * np.count_nonzero(self.mask) ** 0.5))
        drawn = np.zeros(self.mask.shape, np.uint8)
        cv2.circle(drawn, at, radius, 1, -1)
        return drawn.astype(bool)

    def _distance(self) -> np.ndarray:
        """Give the distance of each pixel to the click, (h, w)."""
        rows, columns = np.ogrid[: self.mask.shape[0], : self.mask.shape[1]]
        return np.hypot(columns - self.at[0], rows - self.at[1])


def _window(mask: np.ndarray, x: int, y: int) -> tuple[slice, slice]:
    """Give the rows and columns of a mask, a click and what is around them."""
    both = mask.copy()
    both[y, x] = True
    x0, y0, x1, y1 = masks.box_of(both).astype(int).tolist()
    margin = 8 + int(_MARGIN * _side(both))
    height, width = mask.shape
    return (
        slice(max(0, y0 - margin), min(height, y1 + margin)),
        slice(max(0, x0 - margin), min(width, x1 + margin)),
    )


def _piece(mask: np.ndarray, at: tuple[int, int]) -> np.ndarray:
    """Give the connected part of a mask that a pixel of it belongs to."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return np.asarray(labels == labels[at[1], at[0]])


def _side(mask: np.ndarray) -> float:
    """Give the longer side of the box of a mask that is not empty."""
    box = masks.box_of(mask)
    return float((box[2:] - box[:2]).max())
