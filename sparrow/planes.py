"""The sample arrays of one frame, RGB or yuv420p, and what is needed to colour, dim and blur them in place.

Knows nothing of masks, referents or files.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# Kr and Kb of the matrices that a stream's tag may name (ISO/IEC 23091-2); others count as BT.601.
LUMA_WEIGHTS = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}


@dataclass(slots=True, eq=False)
class Plane:
    """One writable array of samples of a frame."""

    samples: np.ndarray
    """(h, w) or (h, w, 3) uint8."""
    step: int
    """Frame pixels per sample along each side: 2 for the chroma of yuv420p."""


def parse_colour(colour: str) -> np.ndarray:
    """Read "#rrggbb" as (3,) float64 RGB in 0..255."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)


def colour_values(rgb: np.ndarray, matrix: int | None) -> list[np.ndarray]:
    """Give a colour (3,) per plane: one (3,) uint8 for RGB (matrix None), else three () for Y, Cb, Cr."""
    if matrix is None:
        return [np.asarray(rgb.round(), dtype=np.uint8)]
    return [np.asarray(value, dtype=np.uint8) for value in _to_yuv(rgb, matrix).round()]


def picture_values(picture: np.ndarray, matrix: int | None) -> list[np.ndarray]:
    """Give an RGB picture (h, w, 3) uint8 of even sides per plane; the planes Cb, Cr are (h/2, w/2)."""
    if matrix is None:
        return [picture]
    yuv = _to_yuv(picture.astype(np.float64), matrix)
    half = yuv.reshape(yuv.shape[0] // 2, 2, yuv.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    return [part.round().astype(np.uint8) for part in (yuv[..., 0], half[..., 1], half[..., 2])]


def mixing_tables(values: list[np.ndarray], amount: float) -> list[np.ndarray]:
    """Give per plane the look-up table, (1, 256) or (1, 256, 3) uint8, that lays a colour over samples.

    Args:
        values: The colour per plane.
        amount: From 0, the sample stays, to 1, only the colour.
    """
    levels = np.arange(256, dtype=np.float64)[:, None] * (1 - amount)
    tables = []
    for value in values:
        mixed = levels + value.astype(np.float64).reshape(1, -1) * amount
        table = mixed.round().astype(np.uint8)[None]  # (1, 256, channels)
        tables.append(table if value.ndim else table[..., 0])
    return tables


def blurred(samples: np.ndarray, sigma: float) -> np.ndarray:
    """Give samples blurred by a Gaussian of `sigma` samples; wide ones are done on a smaller picture."""
    height, width = samples.shape[:2]
    shrink = max(1, int(sigma / 4))
    small_size = (-(-width // shrink), -(-height // shrink))
    small = cv2.resize(samples, small_size, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), sigma / shrink)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))


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
