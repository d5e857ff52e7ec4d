"""How a thing moves: a Path gives its centre, angle and scale at any frame. Knows no picture.

Positions are pixels of the scene's own frame, x to the right and y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WORDS = ("still", "left", "right", "up", "down", "circle")
"""Motions that have a word; a thing that leaves and returns has none ("")."""
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Path:
    """Where a thing is, how it is turned and how large it is, as a function of the frame."""

    knots: tuple[tuple[float, float, float], ...]
    """(frame, x, y), frames ascending; straight between them, the ends are kept."""
    acceleration: float = 0.0
    """In [-0.5, 0.5]: negative slows down, positive speeds up; the ends stay where they are."""
    radius: float = 0.0
    """Pixels of the circle around the knots."""
    turns: float = 0.0
    """Rounds of that circle per frame; negative is anticlockwise."""
    phase: float = 0.0
    """Radians, of the circle and of all that swings."""
    sway: float = 0.0
    """Pixels that it swings across its way."""
    tilt: float = 0.0
    """Radians at frame 0."""
    spin: float = 0.0
    """Radians per frame."""
    rock: float = 0.0
    """Radians that it rocks to and fro."""
    breath: float = 0.0
    """Share of its size that it grows and shrinks by."""
    growth: float = 0.0
    """Share of its size that it gains per frame."""
    beat: float = 0.04
    """Swings per frame, of sway, rock and breath."""

    def position(self, frame: float) -> tuple[float, float]:
        """Give the centre (x, y) in pixels."""
        times, xs, ys = zip(*self.knots, strict=True)
        first, span = times[0], max(times[-1] - times[0], 1e-6)
        share = min(max((frame - first) / span, 0.0), 1.0)
        at = first + span * (share + self.acceleration * share * (share - 1.0))
        x, y = float(np.interp(at, times, xs)), float(np.interp(at, times, ys))
        turn = math.tau * self.turns * frame + self.phase
        swing = self.sway * math.sin(math.tau * self.beat * frame + self.phase)
        along_x, along_y = xs[-1] - xs[0], ys[-1] - ys[0]
        length = math.hypot(along_x, along_y)
        across = (-along_y / length, along_x / length) if length > 1e-6 else (0.0, 1.0)
        return (
            x + self.radius * math.cos(turn) + swing * across[0],
            y + self.radius * math.sin(turn) + swing * across[1],
        )

    def angle(self, frame: float) -> float:
        """Give the rotation in radians, clockwise as seen."""
        swing = math.sin(math.tau * self.beat * frame + self.phase)
        return self.tilt + self.spin * frame + self.rock * swing

    def scale(self, frame: float) -> float:
        """Give the size as a factor of the thing's own, at least 0.2."""
        swing = math.sin(math.tau * self.beat * frame + 1.7 * self.phase)
        return max(0.2, 1.0 + self.breath * swing + self.growth * frame)


def draw_path(
    rng: np.random.Generator,
    word: str,
    *,
    length: float,
    size_hw: tuple[int, int],
    num_frames: int,
    inside: float,
) -> Path:
    """Draw a path for one of WORDS, in view all the time, as long as the clip.

    `length` is the thing's longer side in pixels; `inside` the share of its half that stays in the
    frame, from 0 to 1.
    """
    height, width = size_hw
    margin = np.minimum(length * 0.5 * inside, 0.45 * np.array([width, height]))
    low, high = margin, np.array([width, height]) - margin
    radius = 0.0
    if word == "circle":
        wanted = min(rng.uniform(0.13, 0.24) * height, 0.45 * (high - low).min())
        radius = max(float(wanted), 0.09 * height)
        low, high = low + radius, np.maximum(high - radius, low + radius + 1.0)
    start = rng.uniform(low, high)
    end = start.copy()
    if word in DIRECTIONS:
        axis = 0 if word in ("left", "right") else 1
        room = float(high[axis] - low[axis])
        go = room * rng.uniform(0.55, 1.0)
        begin = low[axis] + rng.uniform(0.0, room - go)
        start[axis], end[axis] = begin, begin + go
        if word in ("left", "up"):
            start[axis], end[axis] = begin + go, begin
        end[1 - axis] += rng.uniform(-0.12, 0.12) * go
        end = np.clip(end, low, high)
    rounds = rng.uniform(0.9, 1.6) * rng.choice((-1.0, 1.0)) / num_frames
    (x0, y0), (x1, y1) = start.tolist(), end.tolist()
    return Path(
        knots=((0.0, x0, y0), (num_frames - 1.0, x1, y1)),
        acceleration=float(rng.uniform(-0.35, 0.35)) if word in DIRECTIONS else 0.0,
        radius=radius,
        turns=float(rounds) if radius else 0.0,
        phase=float(rng.uniform(0.0, math.tau)),
        sway=float(rng.uniform(0.0, 0.02) * height) if word in DIRECTIONS else 0.0,
        tilt=float(rng.normal(0.0, 0.12)),
        rock=float(abs(rng.normal(0.0, 0.08))),
        breath=float(rng.uniform(0.0, 0.06)),
        beat=float(rng.uniform(0.02, 0.07)),
    )


def entering(path: Path, word: str, frame: int, length: float, size_hw: tuple[int, int]) -> Path:
    """Let a thing of a direction word come into view from the side it moves away from, at a frame."""
    (_, x0, y0), (last, x1, y1) = path.knots
    x, y = _beyond((x0, y0), _opposite(word), length, size_hw)
    return _with_knots(path, ((0.0, x, y), (float(frame), x, y), (last, x1, y1)))


def leaving(path: Path, word: str, frame: int, length: float, size_hw: tuple[int, int]) -> Path:
    """Let a thing of a direction word go out of view on the side it moves to; gone at a frame."""
    (_, x0, y0), (last, x1, y1) = path.knots
    x, y = _beyond((x1, y1), word, length, size_hw)
    return _with_knots(path, ((0.0, x0, y0), (float(frame), x, y), (last, x, y)))


def returning(
    path: Path, side: str, gone: int, back: int, length: float, size_hw: tuple[int, int]
) -> Path:
    """Let a thing go out of view on a side (a direction word), gone at a frame, and come back."""
    (_, x0, y0), (last, x1, y1) = path.knots
    x, y = _beyond((x0, y0), side, length, size_hw)
    knots = ((0.0, x0, y0), (float(gone), x, y), (float(back), x, y), (last, x1, y1))
    return _with_knots(path, knots)


def _with_knots(path: Path, knots: tuple[tuple[float, float, float], ...]) -> Path:
    return Path(
        knots=knots,
        phase=path.phase,
        tilt=path.tilt,
        rock=path.rock,
        breath=path.breath,
        beat=path.beat,
    )


def _opposite(word: str) -> str:
    return {"left": "right", "right": "left", "up": "down", "down": "up"}[word]


def _beyond(
    point: tuple[float, float], side: str, length: float, size_hw: tuple[int, int]
) -> tuple[float, float]:
    """Move a point past an edge of the frame so that a thing of that length is just out of view."""
    far = 0.75 * length
    return {
        "left": (-far, point[1]),
        "right": (size_hw[1] + far, point[1]),
        "up": (point[0], -far),
        "down": (point[0], size_hw[0] + far),
    }[side]
