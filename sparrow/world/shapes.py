"""Geometric shapes, free blobs and limbs as RGBA pictures, and textures to fill them with.

Knows no scene: every function turns numbers and a generator into pixels.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np

NAMES = (
    *("circle", "square", "triangle", "star", "hexagon", "ring", "cross", "heart"),
    *("diamond", "arrow", "bar", "crescent"),
)
"""Shapes that have a noun; their group is "shape"."""
THIN = ("ring", "bar", "crescent")
PALETTE = {
    "red": (215, 38, 40),
    "orange": (244, 138, 28),
    "yellow": (246, 214, 50),
    "green": (48, 160, 66),
    "blue": (44, 96, 214),
    "purple": (136, 62, 186),
    "pink": (246, 140, 188),
    "brown": (128, 78, 44),
    "black": (30, 30, 33),
    "white": (242, 242, 240),
    "gray": (140, 141, 144),
}
SIDE = 128
_FINE = 2


def shape_picture(
    rng: np.random.Generator, name: str, colour: str, *, texture: float = 0.0
) -> np.ndarray:
    """Draw a named shape in a colour word, (SIDE, SIDE, 4) uint8, shaded and perhaps textured."""
    alpha = _stencil(name)
    base = np.array(PALETTE[colour], np.float32) + rng.uniform(-10, 10, 3)
    return fill(alpha, base, rng, texture=texture)


def fill(
    alpha: np.ndarray, base: np.ndarray, rng: np.random.Generator, *, texture: float
) -> np.ndarray:
    """Give an outline (H, W) uint8 a base colour (3,), a light from one side, and texture 0 to 1."""
    height, width = alpha.shape
    turn = rng.uniform(0, math.tau)
    light = (
        np.cos(turn) * np.linspace(-1, 1, width)[None]
        + np.sin(turn) * np.linspace(-1, 1, height)[:, None]
    )
    gain = 1.0 + rng.uniform(0.02, 0.14) * light
    rgb = base * gain[..., None]
    if texture > 0:
        rgb += texture * 45.0 * (noise(rng, alpha.shape, 0.7, channels=1) - 0.5) * 2
        if rng.random() < 0.5:
            rgb *= 1.0 - 0.45 * texture * _stripes(rng, alpha.shape)[..., None]
    return np.dstack([np.clip(rgb, 0, 255).astype(np.uint8), alpha])


def blob_outline(rng: np.random.Generator, *, roughness: float) -> np.ndarray:
    """Draw a free closed form, (h, w) uint8 alpha; roughness from 0 (round) to 1 (many arms)."""
    turns = np.linspace(0, math.tau, 96, endpoint=False)
    radius = np.ones_like(turns)
    for wave in range(1, 7):
        size = roughness * rng.normal(0, 0.42) / wave**0.7
        radius += size * np.cos(wave * turns + rng.uniform(0, math.tau))
    radius = np.maximum(radius, 0.22)
    stretch = math.exp(rng.normal(0, 0.3))
    points = np.stack([radius * np.cos(turns) * stretch, radius * np.sin(turns) / stretch], 1)
    return _polygon(points)


def limb_outline(rng: np.random.Generator) -> np.ndarray:
    """Draw an upright limb, thicker at its upper end, (h, w) uint8 alpha."""
    thick, thin = rng.uniform(0.16, 0.32), rng.uniform(0.08, 0.2)
    bow = rng.normal(0, 0.12)
    along = np.linspace(0, 1, 24)
    middle = bow * np.sin(math.pi * along)
    half = (thick + (thin - thick) * along) / 2
    left = np.stack([middle - half, along], 1)
    right = np.stack([middle + half, along], 1)[::-1]
    return _polygon(np.concatenate([left, right]))


def noise(
    rng: np.random.Generator, size_hw: tuple[int, ...], roughness: float, *, channels: int = 3
) -> np.ndarray:
    """Sum octaves of noise, (H, W, channels) float32 in about [0, 1]; roughness 0 soft to 1 fine."""
    height, width = size_hw[:2]
    total = np.zeros((height, width, channels), np.float32)
    weight, sum_of_weights = 1.0, 0.0
    for octave in range(2, 7):
        grid = (max(2, 2**octave * height // max(height, width)), 2**octave)
        coarse = rng.random((*grid, channels), np.float32)
        fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        total += weight * fine.reshape(total.shape)
        sum_of_weights += weight
        weight *= 0.25 + 0.65 * roughness
    return (total / sum_of_weights - 0.5) * 1.8 + 0.5


@cache
def _stencil(name: str) -> np.ndarray:
    """Give a named shape's outline, (SIDE, SIDE) uint8 alpha."""
    if name in ("circle", "ring", "crescent"):
        return _round(name)
    return _polygon(_corners(name))


def _corners(name: str) -> np.ndarray:
    """Give the corners of a shape with straight edges (or of the heart's curve), (n, 2) x and y."""
    if name == "heart":
        turns = np.linspace(0, math.tau, 120)
        x = 16 * np.sin(turns) ** 3
        y = 13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)
        return np.stack([x, -y], 1)
    if name == "star":
        turns = -math.pi / 2 + np.arange(10) * math.pi / 5
        radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
        return np.stack([radius * np.cos(turns), radius * np.sin(turns)], 1)
    third = 1 / 3
    corners = {
        "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "triangle": [(0, -0.9), (1, 0.85), (-1, 0.85)],
        "hexagon": [(1, 0), (0.5, 0.87), (-0.5, 0.87), (-1, 0), (-0.5, -0.87), (0.5, -0.87)],
        "diamond": [(0, -1), (0.65, 0), (0, 1), (-0.65, 0)],
        "arrow": [
            (-1, -0.28),
            (0.1, -0.28),
            (0.1, -0.75),
            (1, 0),
            (0.1, 0.75),
            (0.1, 0.28),
            (-1, 0.28),
        ],
        "bar": [(-1, -0.13), (1, -0.13), (1, 0.13), (-1, 0.13)],
        "cross": [
            *((-third, -1), (third, -1), (third, -third), (1, -third), (1, third), (third, third)),
            *(
                (third, 1),
                (-third, 1),
                (-third, third),
                (-1, third),
                (-1, -third),
                (-third, -third),
            ),
        ],
    }
    return np.array(corners[name], np.float64)


def _polygon(points: np.ndarray) -> np.ndarray:
    """Fill a polygon scaled to SIDE, with smooth edges, (h, w) uint8."""
    low, span = points.min(0), np.ptp(points, axis=0).max()
    scaled = (points - low) / span * (SIDE * _FINE - 1)
    width, height = (np.ceil(scaled.max(0) / _FINE).astype(int) + 1).tolist()
    canvas = np.zeros((height * _FINE, width * _FINE), np.uint8)
    cv2.fillPoly(canvas, [np.round(scaled).astype(np.int32)], 255)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def _round(name: str) -> np.ndarray:
    side = SIDE * _FINE
    canvas = np.zeros((side, side), np.uint8)
    middle = (side // 2, side // 2)
    cv2.circle(canvas, middle, side // 2 - 1, 255, -1)
    if name == "ring":
        cv2.circle(canvas, middle, round(side * 0.33), 0, -1)
    if name == "crescent":
        cv2.circle(canvas, (round(side * 0.72), side // 2), round(side * 0.42), 0, -1)
    return cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _stripes(rng: np.random.Generator, size_hw: tuple[int, ...]) -> np.ndarray:
    """Give soft stripes of any direction, (H, W) float64 in [0, 1]."""
    turn, waves = rng.uniform(0, math.pi), rng.uniform(2, 7)
    x = np.linspace(0, 1, size_hw[1])[None]
    y = np.linspace(0, 1, size_hw[0])[:, None]
    wave = np.sin(math.tau * waves * (np.cos(turn) * x + np.sin(turn) * y) + rng.uniform(0, 6))
    return np.clip(0.5 + 2.0 * wave, 0, 1)
