"""Backgrounds: a Backdrop, drawn once per size and then looked at through a moving camera.

Knows nothing of the things in front of it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from sparrow.world.shapes import noise

SOFT = ("gradient", "cloud", "bokeh")
RICH = ("gradient", "cloud", "bokeh", "grain", "leaves", "stripes", "checks", "blobs")
MARGIN = 0.2
"""Share of the frame that a backdrop goes on beyond each edge, for the camera to move."""


class Backdrop:
    """A background of a kind, the same at any size.

    Args:
        kind: one of RICH, or "photo".
        seed: of everything that is drawn.
        base: (3,) the colour that it is built around, 0 to 255.
        contrast: 0 to 1, how far its colours go from the base.
        photo: (H, W, 3) uint8 for the kind "photo".
    """

    def __init__(
        self,
        kind: str,
        seed: int,
        base: np.ndarray,
        contrast: float,
        photo: np.ndarray | None = None,
    ) -> None:
        self.kind = kind
        self._seed = seed
        self._base = base.astype(np.float32)
        self._contrast = contrast
        self._photo = photo
        self._drawn: dict[tuple[int, int], np.ndarray] = {}

    def view(
        self,
        size_hw: tuple[int, int],
        *,
        pan: tuple[float, float] = (0.0, 0.0),
        zoom: float = 1.0,
        angle: float = 0.0,
    ) -> np.ndarray:
        """Look at it, (H, W, 3) float32 in [0, 255].

        Args:
            size_hw: of the frame.
            pan: how far the picture moves, as a share of the frame's width and height.
            zoom: how much larger it is seen.
            angle: radians that it is turned by.
        """
        if size_hw not in self._drawn:
            self._drawn[size_hw] = self._draw(size_hw)
        image = self._drawn[size_hw]
        height, width = size_hw
        cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
        matrix = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
        middle = np.array([image.shape[1], image.shape[0]]) / 2
        matrix[:, 2] = np.array([width * (0.5 + pan[0]), height * (0.5 + pan[1])])
        matrix[:, 2] -= matrix[:, :2] @ middle
        seen = cv2.warpAffine(
            image,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return seen.astype(np.float32)

    def _draw(self, size_hw: tuple[int, int]) -> np.ndarray:
        """Draw it for a frame size with its margin, (H', W', 3) uint8."""
        rng = np.random.Generator(np.random.PCG64(self._seed))
        height, width = (round(side * (1 + 2 * MARGIN)) for side in size_hw)
        if self._photo is not None:
            shrink = min(width / self._photo.shape[1], height / self._photo.shape[0])
            how = cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR
            return cv2.resize(self._photo, (width, height), interpolation=how)
        if self.kind in ("leaves", "blobs", "bokeh", "stripes", "checks"):
            image = self._forms(rng, (height, width))
        else:
            image = self._field(rng, (height, width))
        return np.clip(image, 0, 255).astype(np.uint8)

    def _colours(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw colours around the base, (count, 3)."""
        shared = rng.normal(0, 60, (count, 1))
        return np.clip(
            self._base + self._contrast * (shared + rng.normal(0, 45, (count, 3))), 0, 255
        )

    def _field(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
        """Draw what has no edges: a gradient, clouds, grain."""
        height, width = size_hw
        first, second = self._colours(rng, 2)
        turn = rng.uniform(0, math.tau)
        x, y = np.linspace(-0.5, 0.5, width)[None], np.linspace(-0.5, 0.5, height)[:, None]
        share = np.clip(0.5 + math.cos(turn) * x + math.sin(turn) * y, 0, 1)[..., None]
        image = first + (second - first) * share
        if self.kind == "gradient":
            return image
        grid = (96, 128)
        field = noise(rng, grid, 0.35 if self.kind == "cloud" else 0.95)
        reach = self._contrast * (150 if self.kind == "cloud" else 190)
        tint = rng.uniform(0.3, 1.0, 3)
        field = cv2.resize(field - 0.5, (width, height), interpolation=cv2.INTER_CUBIC)
        return image + reach * tint * field

    def _forms(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
        """Draw what has forms: overlapping leaves, blobs, bright discs, stripes, checks."""
        height, width = size_hw
        scale = np.array([width, height])
        image: np.ndarray = np.empty((height, width, 3), np.float32)
        image[:] = self._colours(rng, 1)[0]
        if self.kind == "stripes":
            _stripes(image, rng, self._colours(rng, 3))
        elif self.kind == "checks":
            _checks(image, rng, self._colours(rng, 2))
        else:
            count = {"leaves": 160, "blobs": 14, "bokeh": 22}[self.kind]
            colours = self._colours(rng, count)
            for colour in colours:
                centre = rng.uniform(0, 1, 2) * scale
                # Sizes of leaves follow a power law, as those of things in photographs do.
                size = {
                    "leaves": 0.02 / rng.uniform(0.08, 1.0),
                    "blobs": rng.uniform(0.05, 0.2),
                    "bokeh": rng.uniform(0.03, 0.12),
                }[self.kind]
                axes = np.maximum(size * height * rng.uniform(0.5, 1.4, 2), 1)
                _ellipse(image, centre, axes, float(rng.uniform(0, 180)), colour)
        if self.kind == "bokeh":
            image = cv2.GaussianBlur(image, (0, 0), 0.03 * height)
        elif rng.random() < 0.4:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.004, 0.015) * height)
        return image


def _ellipse(
    image: np.ndarray, centre: np.ndarray, axes: np.ndarray, turn: float, colour: np.ndarray
) -> None:
    """Draw a smooth ellipse; centre and axes (2,) pixels, turn in degrees."""
    shift = 4  # bits of fractions of a pixel
    at, half = ((values * 2**shift).astype(int).tolist() for values in (centre, axes))
    cv2.ellipse(image, at, half, turn, 0, 360, colour.tolist(), -1, cv2.LINE_AA, shift)


def _stripes(image: np.ndarray, rng: np.random.Generator, colours: np.ndarray) -> None:
    height, width = image.shape[:2]
    turn, waves = rng.uniform(0, math.pi), rng.uniform(4, 14)
    x, y = np.linspace(0, 1, width)[None], np.linspace(0, 1, height)[:, None]
    place = waves * (math.cos(turn) * x + math.sin(turn) * y)
    image[:] = colours[np.floor(place).astype(int) % 3]


def _checks(image: np.ndarray, rng: np.random.Generator, colours: np.ndarray) -> None:
    height, width = image.shape[:2]
    count = rng.uniform(5, 14)
    x = np.floor(np.linspace(0, count * 4 / 3, width) + rng.random())[None]
    y = np.floor(np.linspace(0, count, height) + rng.random())[:, None]
    image[:] = colours[((x + y) % 2).astype(int)]
