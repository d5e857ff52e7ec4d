"""Tracks and referents -> marks on one frame, in RGB or straight in the planes of yuv420p.

Follows the formulas of looks.py and touches only the pixels that a look changes. `draw` is for single
pictures, `Painter` for render.py's stream. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sparrow import looks, masks
from sparrow.labels import Box, label_picture, place
from sparrow.looks import Look, Pattern, pattern_of
from sparrow.planes import (
    Plane,
    blurred,
    colour_values,
    mixing_tables,
    parse_colour,
    picture_values,
)
from sparrow.rle import runs_of
from sparrow.types import MaskTrack, Referent

BLACK = np.zeros(3)


@dataclass(slots=True, eq=False)
class _Ink:
    """What marks one referent, ready for each plane."""

    values: list[np.ndarray]
    """Its colour."""
    fill: list[np.ndarray]
    """The look-up tables of the fill."""
    pattern: Pattern
    label: list[np.ndarray]
    """The label's samples; empty without label."""


def draw(
    frame: np.ndarray,
    tracks: Sequence[MaskTrack],
    referents: Sequence[Referent],
    index: int,
    look: Look | None = None,
) -> np.ndarray:
    """Give a copy of the RGB frame (H, W, 3) uint8 with frame `index` of the tracks marked on it.

    Raises:
        ValueError: the frame and a track differ in size, or a track has no referent.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"frame: expected uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
    size_hw = (frame.shape[0], frame.shape[1])
    drawn = np.array(frame, order="C")
    painter = Painter(tracks, referents, size_hw, look or Look(), matrix=None)
    painter.paint([Plane(drawn, 1)], index)
    return drawn


class Painter:
    """Paints the tracks of one video on its frames; colours and labels are prepared once."""

    def __init__(
        self,
        tracks: Sequence[MaskTrack],
        referents: Sequence[Referent],
        size_hw: tuple[int, int],
        look: Look,
        *,
        matrix: int | None,
    ) -> None:
        """Prepare for RGB frames (matrix None) or yuv420p of a matrix tag, limited range."""
        by_id = {referent.id: referent for referent in referents}
        for track in tracks:
            if track.size_hw != size_hw:
                raise ValueError(
                    f"track {track.referent_id}: expected masks of {size_hw}, got {track.size_hw}"
                )
            if track.referent_id not in by_id:
                raise ValueError(f"track {track.referent_id}: no referent has this id")
        self._tracks, self._look, self._size_hw = tracks, look, size_hw
        self._align = 1 if matrix is None else 2
        self._line = looks.line(size_hw)
        self._cells = {
            "dashed": _cells(size_hw, looks.DASH * self._line),
            "dotted": _cells(size_hw, looks.DOT * self._line),
        }
        self._inks = [self._ink(by_id[track.referent_id], matrix) for track in tracks]
        black = colour_values(BLACK, matrix)
        self._casing = mixing_tables(black, looks.CASING)
        self._darkening = mixing_tables(black, looks.DARKENING)
        self._ground = colour_values(parse_colour(looks.GROUND), matrix)

    def touches(self, index: int) -> bool:
        """Say whether there is anything to paint on a frame."""
        if self._look.mode in ("spotlight", "blur-rest", "cut-out"):
            return bool(self._tracks)
        return any(track.rles[index] is not None for track in self._tracks)

    def paint(self, planes: Sequence[Plane], index: int) -> None:
        """Paint on the planes of frame `index` in place: first all masks, then the labels."""
        if not self._tracks:
            return
        shown = [
            (_Mask(track, index), ink)
            for track, ink in zip(self._tracks, self._inks, strict=True)
            if track.rles[index] is not None
        ]
        match self._look.mode:
            case "mask" | "outline" | "box":
                for mask, ink in shown:
                    self._mark(planes, mask, ink)
            case "blur-object":
                for mask, _ in shown:
                    self._make_unrecognisable(planes, mask)
            case "spotlight" | "blur-rest" | "cut-out":
                self._change_rest(planes, [mask for mask, _ in shown])
        self._write_labels(planes, [(mask.box, ink.label) for mask, ink in shown if ink.label])

    def _mark(self, planes: Sequence[Plane], mask: _Mask, ink: _Ink) -> None:
        """Fill and outline one mask, or outline its box."""
        window = self._aligned(mask.box)
        if self._look.mode == "box":
            inside = np.zeros((window[3] - window[1], window[2] - window[0]), dtype=np.uint8)
            left, top = mask.box[0] - window[0], mask.box[1] - window[1]
            inside[
                top : top + mask.box[3] - mask.box[1], left : left + mask.box[2] - mask.box[0]
            ] = 1
        else:
            inside = mask.inside(window)
        line, casing = self._outline(inside, ink.pattern, (mask.box[0], mask.box[1]), window)
        for number, plane in enumerate(planes):
            roi = _samples(plane, window)
            if self._look.mode == "mask":
                _map(roi, ink.fill[number], _thinned(inside, plane))
            if casing is not None:
                _map(roi, self._casing[number], _thinned(casing, plane))
            cv2.copyTo(np.full_like(roi, ink.values[number]), _thinned(line, plane), roi)

    def _outline(
        self, inside: np.ndarray, pattern: Pattern, corner: tuple[int, int], window: Box
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Give the line and the band dimmed under it, each (h, w) uint8; None where the line covers it all."""
        t, only_fill = self._line, self._look.mode == "mask"
        line = inside - _eroded(inside, t)
        if pattern == "solid":
            return line, None if only_fill else inside - _eroded(inside, 2 * t)
        if pattern == "double":
            core = _eroded(inside, 3 * t)
            return line + (_eroded(inside, 2 * t) - core), inside - core
        band = line if only_fill else inside - _eroded(inside, 2 * t)
        period = 2 * t * (looks.DASH if pattern == "dashed" else looks.DOT)
        down, right = (window[1] - corner[1]) % period, (window[0] - corner[0]) % period
        height, width = inside.shape
        return line & self._cells[pattern][down : down + height, right : right + width], band

    def _make_unrecognisable(self, planes: Sequence[Plane], mask: _Mask) -> None:
        """Blur one thing and a little around it so strongly that only its colours are left."""
        growth = looks.privacy_growth(self._size_hw)
        sigma = looks.privacy_blur(self._size_hw, mask.box)
        window = self._aligned(mask.box, growth)
        grown = cv2.dilate(
            mask.inside(window),
            np.ones((2 * growth + 1, 2 * growth + 1), dtype=np.uint8),
            borderType=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        around = self._aligned(window, int(3 * sigma))
        for plane in planes:
            soft = Plane(blurred(_samples(plane, around), sigma / plane.step), plane.step)
            here = (window[0] - around[0], window[1] - around[1])
            inner = (*here, here[0] + window[2] - window[0], here[1] + window[3] - window[1])
            cv2.copyTo(_samples(soft, inner), _thinned(grown, plane), _samples(plane, window))

    def _change_rest(self, planes: Sequence[Plane], shown: Sequence[_Mask]) -> None:
        """Darken, blur or replace what no mask covers."""
        rest = np.ones(self._size_hw, dtype=np.uint8)
        for mask in shown:
            x0, y0, x1, y1 = mask.box
            rest[y0:y1, x0:x1] = cv2.subtract(rest[y0:y1, x0:x1], mask.inside(mask.box))
        sigma = looks.blur(self._size_hw)
        for number, plane in enumerate(planes):
            there = _thinned(rest, plane)
            if self._look.mode == "spotlight":
                _map(plane.samples, self._darkening[number], there)
            elif self._look.mode == "blur-rest":
                cv2.copyTo(blurred(plane.samples, sigma / plane.step), there, plane.samples)
            else:
                plain = np.full_like(plane.samples, self._ground[number])
                cv2.copyTo(plain, there, plane.samples)

    def _write_labels(
        self, planes: Sequence[Plane], labels: Sequence[tuple[Box, list[np.ndarray]]]
    ) -> None:
        sizes = [label[0].shape[:2] for _, label in labels]
        places = place([box for box, _ in labels], sizes, self._size_hw)
        for (_, label), (left, top) in zip(labels, places, strict=True):
            left, top = left - left % self._align, top - top % self._align
            for plane, patch in zip(planes, label, strict=True):
                roi = plane.samples[top // plane.step :, left // plane.step :]
                rows, columns = min(roi.shape[0], patch.shape[0]), min(roi.shape[1], patch.shape[1])
                roi[:rows, :columns] = patch[:rows, :columns]

    def _aligned(self, box: Box, margin: int = 0) -> Box:
        """Grow a box by a margin, and on to whole chroma samples, within the frame."""
        height, width = self._size_hw
        x0, y0 = max(0, box[0] - margin), max(0, box[1] - margin)
        x1, y1 = box[2] + margin, box[3] + margin
        return (
            x0 - x0 % self._align,
            y0 - y0 % self._align,
            min(x1 + x1 % self._align, width),
            min(y1 + y1 % self._align, height),
        )

    def _ink(self, referent: Referent, matrix: int | None) -> _Ink:
        rgb = parse_colour(referent.colour)
        values = colour_values(rgb, matrix)
        label = None
        if self._look.label:
            label = label_picture(referent.phrase, rgb, looks.label_size(self._size_hw))
        return _Ink(
            values,
            mixing_tables(values, self._look.opacity),
            pattern_of(referent.id),
            [] if label is None else picture_values(label, matrix),
        )


class _Mask:
    """The mask of one referent in one frame where it is there."""

    def __init__(self, track: MaskTrack, index: int) -> None:
        rle = track.rles[index]
        assert rle is not None
        self._rle, self._size_hw = rle, track.size_hw
        (x0, y0), (x1, y1) = np.floor(track.boxes[index][:2]), np.ceil(track.boxes[index][2:])
        height, width = track.size_hw
        self.box: Box = (
            max(0, int(x0)),
            max(0, int(y0)),
            min(width, int(x1)),
            min(height, int(y1)),
        )

    def inside(self, window: Box) -> np.ndarray:
        """Decode the mask within a window that holds all of it, (h, w) uint8."""
        x0, y0, x1, y1 = window
        height = self._size_hw[0]
        runs = runs_of(self._rle)
        runs[0] -= x0 * height
        rest = (x1 - x0) * height - int(runs.sum())
        if (
            runs[0] < 0
            or (len(runs) % 2 == 1 and rest + runs[-1] < 0)
            or (len(runs) % 2 == 0 and rest < 0)
        ):
            return masks.from_rle(self._rle, self._size_hw)[y0:y1, x0:x1].astype(np.uint8)
        if len(runs) % 2 == 0:
            runs = np.append(runs, rest)
        else:
            runs[-1] += rest
        values = np.zeros(len(runs), dtype=np.uint8)
        values[1::2] = 1
        columns = np.repeat(values, runs).reshape(x1 - x0, height)
        return np.ascontiguousarray(columns[:, y0:y1].T)


def _samples(plane: Plane, window: Box) -> np.ndarray:
    x0, y0, x1, y1 = (-(-v // plane.step) for v in window)
    return plane.samples[y0:y1, x0:x1]


def _thinned(mask: np.ndarray, plane: Plane) -> np.ndarray:
    """Take the mask at a plane's samples."""
    return np.ascontiguousarray(mask[:: plane.step, :: plane.step])


def _map(samples: np.ndarray, table: np.ndarray, where: np.ndarray) -> None:
    """Put samples through a look-up table where the mask is set."""
    cv2.copyTo(cv2.LUT(np.ascontiguousarray(samples), table), where, samples)


def _eroded(inside: np.ndarray, depth: int) -> np.ndarray:
    """Keep what lies deeper than `depth` in a mask (h, w) uint8; beyond the array is outside."""
    kernel = np.ones((2 * depth + 1, 2 * depth + 1), dtype=np.uint8)
    eroded = cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(eroded)


def _cells(size_hw: tuple[int, int], side: int) -> np.ndarray:
    """Give a chequered array (H + 2 side, W + 2 side) uint8 of cells of `side` pixels, beginning with 1."""
    rows, columns = (np.arange(length + 2 * side) // side for length in size_hw)
    even: np.ndarray = (rows[:, None] + columns) % 2 == 0
    return even.astype(np.uint8)
