"""Tracks and referents -> colour on one frame, in RGB or straight in the planes of yuv420p.

Touches only the pixels of a mask's box. `draw` is for the page's previews, `Painter` for render.py's
stream. Knows nothing of files.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sparrow import masks
from sparrow.rle import runs_of
from sparrow.types import MaskTrack, Referent

MAX_LABEL = 40  # characters
# Kr and Kb of the matrices that a stream's tag may name (ISO/IEC 23091-2); others count as BT.601.
LUMA_WEIGHTS = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}


@dataclass(frozen=True, slots=True)
class Look:
    """What is drawn of each referent."""

    mask: bool = True
    outline: bool = True
    box: bool = False
    label: bool = True
    opacity: float = 0.45
    """Of the mask's fill, from 0 (nothing) to 1 (only colour)."""

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise ValueError(f"opacity: expected 0 to 1, got {self.opacity}")


@dataclass(slots=True, eq=False)
class Plane:
    """One writable array of samples of a frame."""

    samples: np.ndarray
    """(h, w) or (h, w, 3) uint8."""
    step: int
    """Frame pixels per sample along each side: 2 for the chroma of yuv420p."""


@dataclass(slots=True, eq=False)
class _Ink:
    """A referent's colour for each plane, ready to use."""

    values: list[np.ndarray]
    tables: list[np.ndarray]
    """Per plane the look-up table of the fill, (1, 256) or (1, 256, 3)."""
    label: list[np.ndarray]
    """Per plane the label's samples; empty without label."""


def draw(
    frame: np.ndarray,
    tracks: Sequence[MaskTrack],
    referents: Sequence[Referent],
    index: int,
    *,
    mask: bool = True,
    outline: bool = True,
    box: bool = False,
    label: bool = True,
    opacity: float = 0.45,
) -> np.ndarray:
    """Give a copy of the RGB frame (H, W, 3) uint8 with the masks of frame `index` on it.

    Raises:
        ValueError: the frame and a track differ in size, or a track has no referent.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"frame: expected uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
    look = Look(mask, outline, box, label, opacity)
    size_hw = (frame.shape[0], frame.shape[1])
    drawn = np.array(frame, order="C")
    Painter(tracks, referents, size_hw, look, matrix=None).paint([Plane(drawn, 1)], index)
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
        self._thickness = max(1, round(min(size_hw) / 360))
        self._inks = [self._ink(by_id[track.referent_id], matrix) for track in tracks]

    def visible(self, index: int) -> bool:
        """Say whether there is anything to paint on a frame."""
        return any(track.rles[index] is not None for track in self._tracks)

    def paint(self, planes: Sequence[Plane], index: int) -> None:
        """Paint on the planes of frame `index` in place: first all masks, then boxes and labels."""
        shown = [
            (track, ink)
            for track, ink in zip(self._tracks, self._inks, strict=True)
            if track.rles[index] is not None
        ]
        for track, ink in shown:
            self._paint_mask(planes, track, ink, index)
        for track, ink in shown:
            x0, y0, x1, y1 = (int(v) for v in _whole(track.boxes[index], self._size_hw))
            if self._look.box:
                for plane, value in zip(planes, ink.values, strict=True):
                    _frame_box(plane, (x0, y0, x1, y1), value, self._thickness)
            if ink.label:
                self._paint_label(planes, ink, (x0, y0, x1, y1))

    def _paint_mask(self, planes: Sequence[Plane], track: MaskTrack, ink: _Ink, index: int) -> None:
        if not (self._look.mask or self._look.outline):
            return
        height, width = self._size_hw
        x0, y0, x1, y1 = _whole(track.boxes[index], self._size_hw)
        x0, y0 = x0 - x0 % self._align, y0 - y0 % self._align
        x1, y1 = min(x1 + x1 % self._align, width), min(y1 + y1 % self._align, height)
        inside = _cut_out(track.rles[index], self._size_hw, (x0, y0, x1, y1))  # (h, w) uint8
        edge = None
        if self._look.outline:
            size = 2 * self._thickness + 1
            kernel = np.ones((size, size), dtype=np.uint8)
            inner = cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
            edge = inside - inner
        for plane, value, table in zip(planes, ink.values, ink.tables, strict=True):
            step = plane.step
            roi = plane.samples[y0 // step : -(-y1 // step), x0 // step : -(-x1 // step)]
            part = np.ascontiguousarray(inside[::step, ::step])
            if self._look.mask:
                cv2.copyTo(cv2.LUT(np.ascontiguousarray(roi), table), part, roi)
            if edge is not None:
                cv2.copyTo(
                    np.full_like(roi, value), np.ascontiguousarray(edge[::step, ::step]), roi
                )

    def _paint_label(
        self, planes: Sequence[Plane], ink: _Ink, box: tuple[int, int, int, int]
    ) -> None:
        """Put the label above the box, or inside it where there is no room."""
        height, width = self._size_hw
        tall, wide = ink.label[0].shape[:2]
        left = max(0, min(box[0], width - wide))
        top = box[1] - tall if box[1] >= tall else min(box[1], max(0, height - tall))
        left, top = left - left % self._align, top - top % self._align
        for plane, patch in zip(planes, ink.label, strict=True):
            roi = plane.samples[top // plane.step :, left // plane.step :]
            rows, columns = min(roi.shape[0], patch.shape[0]), min(roi.shape[1], patch.shape[1])
            roi[:rows, :columns] = patch[:rows, :columns]

    def _ink(self, referent: Referent, matrix: int | None) -> _Ink:
        rgb = np.array([int(referent.colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)
        if matrix is None:
            values = [np.asarray(rgb.round(), dtype=np.uint8)]
        else:
            values = [np.asarray(v, dtype=np.uint8) for v in _to_yuv(rgb, matrix).round()]
        levels = np.arange(256, dtype=np.float64)
        tables = []
        for value in values:
            target = np.asarray(value, dtype=np.float64)
            mixed = (
                levels[:, None] * (1 - self._look.opacity)
                + target.reshape(1, -1) * self._look.opacity
            )
            table = mixed.round().astype(np.uint8)[None]  # (1, 256, channels)
            tables.append(table if target.ndim else table[..., 0])
        label: list[np.ndarray] = []
        text = _printable(referent.phrase) if self._look.label else ""
        if text:
            patch = _label_patch(text, rgb, max(12, round(min(self._size_hw) / 28)))
            label = [patch] if matrix is None else _yuv_planes(patch, matrix)
        return _Ink(values, tables, label)


def _whole(box: np.ndarray, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    height, width = size_hw
    x0, y0 = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
    return x0, y0, min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))


def _cut_out(
    rle: bytes | None, size_hw: tuple[int, int], box: tuple[int, int, int, int]
) -> np.ndarray:
    """Decode a mask inside the box that holds all of it, (y1 - y0, x1 - x0) uint8."""
    assert rle is not None
    x0, y0, x1, y1 = box
    height = size_hw[0]
    runs = runs_of(rle)
    runs[0] -= x0 * height
    rest = (x1 - x0) * height - int(runs.sum())
    if (
        runs[0] < 0
        or (len(runs) % 2 == 1 and rest + runs[-1] < 0)
        or (len(runs) % 2 == 0 and rest < 0)
    ):
        return masks.from_rle(rle, size_hw)[y0:y1, x0:x1].astype(np.uint8)
    if len(runs) % 2 == 0:
        runs = np.append(runs, rest)
    else:
        runs[-1] += rest
    values = np.zeros(len(runs), dtype=np.uint8)
    values[1::2] = 1
    columns = np.repeat(values, runs).reshape(x1 - x0, height)
    return np.ascontiguousarray(columns[:, y0:y1].T)


def _frame_box(
    plane: Plane, box: tuple[int, int, int, int], value: np.ndarray, thickness: int
) -> None:
    x0, y0, x1, y1 = (v // plane.step for v in box)
    thick = max(1, thickness // plane.step)
    samples = plane.samples
    samples[y0 : y0 + thick, x0:x1] = value
    samples[max(y0, y1 - thick) : y1, x0:x1] = value
    samples[y0:y1, x0 : x0 + thick] = value
    samples[y0:y1, max(x0, x1 - thick) : x1] = value


def _printable(phrase: str) -> str:
    """Drop what cannot be drawn on one line, and shorten what is long."""
    text = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in phrase)
    text = " ".join(text.split())
    return text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…"


def _label_patch(text: str, rgb: np.ndarray, size: int) -> np.ndarray:
    """Draw text on its referent's colour, (h, w, 3) uint8 RGB with even sides."""
    font = cv2.FontFace("sans")  # OpenCV 5's own Unicode font: no file to ship
    x, y, wide, tall = cv2.getTextSize((16, 16), text, (0, 0), font, size, 500)
    pad = max(2, size // 4)
    ascent = max(size, -y)
    height, width = ascent + max(0, y + tall) + 2 * pad, max(wide, 1) + 2 * pad
    patch = np.empty((height + height % 2, width + width % 2, 3), dtype=np.uint8)
    patch[:] = rgb.round()
    dark = rgb @ (0.299, 0.587, 0.114) > 140
    ink = (0, 0, 0) if dark else (255, 255, 255)
    cv2.putText(patch, text, (pad - x, pad + ascent), ink, font, size, 500)
    return patch


def _to_yuv(rgb: np.ndarray, matrix: int) -> np.ndarray:
    """RGB (..., 3) in 0..255 to limited-range Y, Cb, Cr (..., 3)."""
    kr, kb = LUMA_WEIGHTS.get(matrix, (0.299, 0.114))
    red, green, blue = rgb[..., 0] / 255, rgb[..., 1] / 255, rgb[..., 2] / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    return np.stack(
        [
            16 + 219 * luma,
            128 + 224 * (blue - luma) / (2 * (1 - kb)),
            128 + 224 * (red - luma) / (2 * (1 - kr)),
        ],
        axis=-1,
    )


def _yuv_planes(patch: np.ndarray, matrix: int) -> list[np.ndarray]:
    """An RGB picture (h, w, 3) of even sides as its Y (h, w), Cb and Cr (h/2, w/2) planes."""
    yuv = _to_yuv(patch.astype(np.float64), matrix)
    half = yuv.reshape(yuv.shape[0] // 2, 2, yuv.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    return [part.round().astype(np.uint8) for part in (yuv[..., 0], half[..., 1], half[..., 2])]
