"""Pasted crops: pictures of the atlas put straight onto pieces of frames, as the object encoder crops them.

Many times cheaper than worlds, so that every picture is met often, in ever new poses and before new
backgrounds. Knows neither motion nor time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from sparrow.world import shapes
from sparrow.world.cast import SHAPE_GROUP
from sparrow.world.picture import Atlas

_STAMP_SIDE = 64  # pixels of a picture's longer side before it is put into a crop
_SHAPE_SHARE = 0.15


@dataclass(frozen=True, eq=False)
class Stamp:
    """A small picture with its words."""

    rgba: np.ndarray
    """(h, w, 4) float32 premultiplied, in [0, 1]."""
    noun: str
    group: str
    colour: str


class Stamps:
    """All that training may draw of an atlas, shrunk once."""

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._pictures = atlas.select("train")
        self._shrunk: dict[str, np.ndarray] = {}

    def draw(self, rng: np.random.Generator) -> Stamp:
        """Choose a picture or a shape, each picture as likely as any other."""
        if rng.random() < _SHAPE_SHARE:
            noun, colour = str(rng.choice(shapes.NAMES)), str(rng.choice(list(shapes.PALETTE)))
            rgba = shapes.shape_picture(rng, noun, colour, texture=float(rng.uniform(0, 0.5)))
            return Stamp(_shrink(rgba), noun, SHAPE_GROUP, colour)
        picture = self._pictures[rng.integers(len(self._pictures))]
        if picture.key not in self._shrunk:
            self._shrunk[picture.key] = _shrink(self._atlas.pixels(picture.key))
        return Stamp(self._shrunk[picture.key], picture.noun, picture.group, picture.colour)


def paste(
    stamp: Stamp, grounds: np.ndarray, rng: np.random.Generator, context: float
) -> np.ndarray:
    """Put a stamp on C pieces of frames (C, S, S, 3) uint8, in poses that differ a little.

    Args:
        stamp: what.
        grounds: where; a crop each.
        rng: draws poses, light, sharpness and noise.
        context: side of a crop over the thing's longer side.
    """
    side = grounds.shape[1]
    tilt = rng.normal(0, 0.2)
    flip = stamp.group != SHAPE_GROUP and rng.random() < 0.5
    gain = rng.uniform(0.85, 1.12) * rng.uniform(0.93, 1.05, 3)
    pixels = int(np.exp(rng.uniform(np.log(10), np.log(3 * side))))
    crops = []
    for ground in grounds:
        layer = _pose(stamp.rgba, tilt + rng.normal(0, 0.1), flip, side, context, rng)
        if rng.random() < 0.12:
            layer = layer * _window(side, rng)
        crop = ground * (1 - layer[..., 3:]) + 255 * layer[..., :3]
        crops.append(_develop(crop * gain, pixels, rng))
    return np.stack(crops)


def pieces(frames: np.ndarray, count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Cut random squares out of frames (T, H, W, 3), (count, side, side, 3) uint8."""
    height, width = frames.shape[1:3]
    cut = []
    for _ in range(count):
        size = int(rng.integers(height // 8, height // 2))
        top, left = rng.integers(height - size), rng.integers(width - size)
        piece = frames[rng.integers(len(frames)), top : top + size, left : left + size]
        cut.append(cv2.resize(piece, (side, side), interpolation=cv2.INTER_LINEAR))
    return np.stack(cut)


def _pose(
    rgba: np.ndarray,
    angle: float,
    flip: bool,
    side: int,
    context: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Turn, scale and shift a stamp into a crop, (side, side, 4) float32."""
    height, width = rgba.shape[:2]
    scale = side / context / max(height, width) * rng.uniform(0.82, 1.15, 2)
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) * (scale * np.array([-1 if flip else 1, 1]))
    middle = side / 2 + rng.uniform(-0.08, 0.08, 2) * side
    shift = middle - matrix @ np.array([width / 2, height / 2])
    affine = np.concatenate([matrix, shift[:, None]], axis=1)
    return cv2.warpAffine(rgba, affine, (side, side), flags=cv2.INTER_LINEAR)


def _window(side: int, rng: np.random.Generator) -> np.ndarray:
    """Hide a half plane up to a third deep, as a neighbour or the frame's edge does; (side, side, 1)."""
    shown = np.ones((side, side, 1), np.float32)
    depth = int(rng.uniform(0.1, 0.45) * side)
    edge = rng.integers(4)
    view = shown if edge < 2 else shown.transpose(1, 0, 2)
    view[:depth] = 0
    return shown[::-1, ::-1] if edge % 2 else shown


def _develop(crop: np.ndarray, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Give a crop the sharpness of a thing that was `pixels` large, and noise; uint8."""
    side = crop.shape[0]
    if pixels < side:
        small = cv2.resize(crop, (pixels, pixels), interpolation=cv2.INTER_AREA)
        crop = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
    elif rng.random() < 0.25:
        crop = cv2.GaussianBlur(crop, (0, 0), float(rng.uniform(0.4, 1.0)))
    noisy = crop + rng.normal(0, rng.uniform(0, 6), crop.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _shrink(rgba: np.ndarray) -> np.ndarray:
    """Premultiply and shrink RGBA (H, W, 4) uint8 to _STAMP_SIDE, float32 in [0, 1]."""
    picture = rgba.astype(np.float32) / 255
    picture[..., :3] *= picture[..., 3:]
    scale = _STAMP_SIDE / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
