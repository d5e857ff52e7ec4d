"""Sprites (RGBA pictures) at poses -> one composited frame and who owns each pixel.

Knows neither nouns nor time: a caller gives the pose of each layer for the frame that it wants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

MARGIN = 0.12
"""Share of a sprite's longer side that is added around it, for deforming and blurring."""
NOBODY = -1
_SHADOW_GRID = 4


class Sprite:
    """A picture with alpha, ready to be drawn at any size.

    Args:
        rgba: (H, W, 4) uint8 with straight alpha.
    """

    def __init__(self, rgba: np.ndarray) -> None:
        margin = max(2, math.ceil(MARGIN * max(rgba.shape[:2])))
        padded = np.pad(rgba, ((margin, margin), (margin, margin), (0, 0)))
        alpha = padded[..., 3:].astype(np.uint16)
        padded[..., :3] = (padded[..., :3] * alpha + 127) // 255
        self.length = float(max(rgba.shape[:2]))
        """Pixels of the picture's longer side, without the margin."""
        opaque = rgba[..., 3] >= 128
        self.area = float(np.count_nonzero(opaque))
        """Pixels that are more opaque than not."""
        self.mean = rgba[opaque, :3].mean(0) if self.area else np.full(3, 128.0)
        """(3,) mean colour."""
        self.rgba = rgba
        """(H, W, 4) uint8, as it was given."""
        self._levels = {0: padded}
        self._shadow: np.ndarray | None = None

    def level(self, scale: float) -> tuple[np.ndarray, float]:
        """Give premultiplied RGBA that is not much finer than needed, and its scale to the whole.

        Returns:
            (h, w, 4) uint8, and h / H.
        """
        octave = max(0, math.floor(-math.log2(max(scale, 1e-3)) + 0.15))
        octave = min(octave, int(math.log2(max(self.length / 4.0, 1.0))))
        if octave not in self._levels:
            height, width = self._levels[0].shape[:2]
            size = (max(1, round(width / 2**octave)), max(1, round(height / 2**octave)))
            self._levels[octave] = cv2.resize(self._levels[0], size, interpolation=cv2.INTER_AREA)
        image = self._levels[octave]
        return image, image.shape[0] / self._levels[0].shape[0]

    def shadow(self) -> tuple[np.ndarray, float]:
        """Give the blurred outline, (h, w) uint8, and its scale to the whole."""
        if self._shadow is None:
            alpha = self._levels[0][..., 3]
            size = (max(1, alpha.shape[1] // _SHADOW_GRID), max(1, alpha.shape[0] // _SHADOW_GRID))
            small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
            self._shadow = cv2.GaussianBlur(small, (0, 0), max(0.6, 0.035 * max(size)))
        return self._shadow, self._shadow.shape[0] / self._levels[0].shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels with the margin."""
        height, width = self._levels[0].shape[:2]
        return height, width


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a sprite is in a frame."""

    matrix: np.ndarray
    """(2, 3) float64: the sprite's pixels, from the middle of the sprite, to the frame's."""
    bend: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Deformation: share of the sprite's size, waves along it, phase in radians."""
    smear: tuple[float, float] = (0.0, 0.0)
    """Motion blur: the way (x, y) in frame pixels that the sprite moves while the shutter is open."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A sprite to draw; later layers cover earlier ones."""

    sprite: Sprite
    pose: Pose
    owner: int
    """Index of the thing that it is a part of, or NOBODY."""
    shadow: float = 0.0
    """How dark its shadow is, from 0 to 1."""
    shadow_shift: tuple[float, float] = (0.0, 0.0)
    """Frame pixels that the shadow falls away by."""


def pose_matrix(
    scale: float, angle: float, centre: tuple[float, float], *, flip: bool = False
) -> np.ndarray:
    """Give the (2, 3) matrix that scales, mirrors, turns (clockwise) and then moves to a centre."""
    cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
    side = -1.0 if flip else 1.0
    return np.array([[side * cosine, -sine, centre[0]], [side * sine, cosine, centre[1]]])


def compose(backdrop: np.ndarray, layers: Sequence[Layer]) -> tuple[np.ndarray, np.ndarray]:
    """Draw layers over a backdrop.

    Args:
        backdrop: (H, W, 3) float32, overwritten.
        layers: from back to front.

    Returns:
        The picture (H, W, 3) float32 in [0, 255], and (H, W) int16 which owner each pixel shows,
        NOBODY where it is the backdrop or a layer that nobody owns.
    """
    owners = np.full(backdrop.shape[:2], NOBODY, np.int16)
    for layer in layers:
        if layer.shadow > 0:
            _darken(backdrop, layer)
        drawn = _warp(layer.sprite, layer.pose, owners.shape)
        if drawn is None:
            continue
        image, (rows, columns) = drawn
        pixels = image.astype(np.float32)
        alpha = pixels[..., 3:] * (1.0 / 255.0)
        region = backdrop[rows, columns]
        region *= 1.0 - alpha
        region += pixels[..., :3]
        owners[rows, columns][image[..., 3] >= 128] = layer.owner
    return backdrop, owners


def outline(layers: Sequence[Layer], size_hw: tuple[int, int]) -> list[np.ndarray]:
    """Say for each layer which pixels it would own if it were alone, (H, W) bool each."""
    masks = []
    for layer in layers:
        mask = np.zeros(size_hw, bool)
        drawn = _warp(layer.sprite, layer.pose, size_hw)
        if drawn is not None:
            image, (rows, columns) = drawn
            mask[rows, columns] = image[..., 3] >= 128
        masks.append(mask)
    return masks


def _warp(
    sprite: Sprite, pose: Pose, size_hw: tuple[int, ...]
) -> tuple[np.ndarray, tuple[slice, slice]] | None:
    """Draw a sprite at its pose; None where it is out of view.

    Returns:
        (h, w, 4) uint8 premultiplied, and the rows and columns of the frame that it covers.
    """
    scale = math.sqrt(abs(np.linalg.det(pose.matrix[:, :2])))
    image, share = sprite.level(scale)
    smear = math.hypot(*pose.smear)
    region = _region(image.shape, share, pose.matrix, size_hw, smear / 2)
    if region is None:
        return None
    matrix, rows, columns = region
    size = (columns.stop - columns.start, rows.stop - rows.start)
    if pose.bend[0] > 0:
        warped = _bent(image, matrix, size, pose.bend)
    else:
        warped = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
    if smear >= 1.0:
        warped = cv2.filter2D(warped, -1, _streak(pose.smear), borderType=cv2.BORDER_CONSTANT)
    return warped, (rows, columns)


def _region(
    shape: tuple[int, ...],
    share: float,
    matrix: np.ndarray,
    size_hw: tuple[int, ...],
    extra: float,
) -> tuple[np.ndarray, slice, slice] | None:
    """Find the part of the frame that an image of (h, w) covers, and the matrix into that part."""
    height, width = shape[:2]
    full = matrix.copy()
    full[:, :2] /= share
    full[:, 2] -= full[:, :2] @ ((width - 1) / 2, (height - 1) / 2)
    corners = np.array([[0, width, 0, width], [0, 0, height, height]], np.float64)
    at = full[:, :2] @ corners + full[:, 2:]
    left, top = np.maximum(np.floor(at.min(1) - extra), 0).astype(int)
    right = min(math.ceil(at[0].max() + extra) + 1, size_hw[1])
    bottom = min(math.ceil(at[1].max() + extra) + 1, size_hw[0])
    if right <= left or bottom <= top:
        return None
    full[:, 2] -= (left, top)
    return full, slice(top, bottom), slice(left, right)


def _bent(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], bend: tuple[float, float, float]
) -> np.ndarray:
    """Draw an image with its rows and columns swaying in sine waves."""
    height, width = image.shape[:2]
    inverse = cv2.invertAffineTransform(matrix)
    columns = np.arange(size[0], dtype=np.float32)[None]
    rows = np.arange(size[1], dtype=np.float32)[:, None]
    x = np.float32(inverse[0, 0]) * columns + np.float32(inverse[0, 1]) * rows + inverse[0, 2]
    y = np.float32(inverse[1, 0]) * columns + np.float32(inverse[1, 1]) * rows + inverse[1, 2]
    amount, waves, phase = bend
    reach = amount * max(height, width)
    turn = math.tau * waves
    shift_x = reach * np.sin(turn / height * y + phase)
    shift_y = reach * np.sin(turn / width * x + 1.3 * phase + 1.0)
    return cv2.remap(
        image,
        (x + shift_x).astype(np.float32),
        (y + shift_y).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )


def _streak(way: tuple[float, float]) -> np.ndarray:
    """Give the kernel of a straight motion by (x, y) pixels; its entries add up to 1."""
    reach = min(math.ceil(math.hypot(*way) / 2), 15)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for share in np.linspace(-0.5, 0.5, 4 * reach + 1):
        x = round(float(np.clip(way[0] * share, -reach, reach))) + reach
        y = round(float(np.clip(way[1] * share, -reach, reach))) + reach
        kernel[y, x] += 1.0
    return kernel / kernel.sum()


def _darken(canvas: np.ndarray, layer: Layer) -> None:
    image, share = layer.sprite.shadow()
    matrix = layer.pose.matrix.copy()
    matrix[:, 2] += layer.shadow_shift
    region = _region(image.shape, share, matrix, canvas.shape, 0.0)
    if region is None:
        return
    inside, rows, columns = region
    size = (columns.stop - columns.start, rows.stop - rows.start)
    dark = cv2.warpAffine(image, inside, size, flags=cv2.INTER_LINEAR).astype(np.float32)
    canvas[rows, columns] *= 1.0 - (layer.shadow / 255.0) * dark[..., None]
