"""Clips for the language side: a Scene becomes the few frames that the model looks at and its true tracks.

Also the mistakes that a proposer makes, drawn at random: jitter, missed frames, and tracks that
hold no whole thing. Knows neither tokens nor words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparrow import boxes as boxes_of
from sparrow.world.scene import Scene

_MIN_VISIBILITY = 0.2  # of a thing's own area
_MIN_SIDE = 6  # pixels of the rendered frame


@dataclass(frozen=True, eq=False)
class Clip:
    """What the model looks at."""

    frames: np.ndarray
    """(T, h, w, 3) uint8."""
    boxes: np.ndarray
    """(N, T, 4) float32 normalised xyxy of the visible part, NaN where hardly seen, in the order of things."""
    indices: np.ndarray
    """(T,) frame numbers in the scene."""


def draw_clip(scene: Scene, indices: np.ndarray, size_hw: tuple[int, int]) -> Clip:
    """Render the frames `indices` of a scene at a size."""
    frames, boxes = [], []
    for index in indices:
        frame = scene.render(int(index), size_hw)
        side = (frame.boxes[:, 2:] - frame.boxes[:, :2]).min(1, initial=np.inf)
        seen = (frame.visibility >= _MIN_VISIBILITY) & (side >= _MIN_SIDE)
        norm = boxes_of.to_norm(frame.boxes, size_hw)
        boxes.append(np.where(seen[:, None], norm, np.nan))
        frames.append(frame.rgb)
    return Clip(np.stack(frames), np.stack(boxes, 1).astype(np.float32), np.asarray(indices))


def spread_frames(num_frames: int, count: int, offset: float = 0.5) -> np.ndarray:
    """Spread `count` frame numbers evenly over a clip; `offset` in [0, 1) moves them within their share."""
    share = num_frames / count
    return np.minimum(((np.arange(count) + offset) * share).astype(np.int64), num_frames - 1)


def noisy_tracks(boxes: np.ndarray, rng: np.random.Generator, jitter: float) -> np.ndarray:
    """Shift and scale tracks (N, T, 4) as a proposer would, and miss a frame here and there."""
    size = np.tile(boxes[..., 2:] - boxes[..., :2], 2)
    own = rng.normal(0, jitter * 0.6, (len(boxes), 1, 4))
    each = rng.normal(0, jitter, boxes.shape)
    noisy = np.clip(boxes + size * np.clip(own + each, -0.25, 0.25), 0, 1)
    seen = ~np.isnan(boxes[..., 0])
    missed = (rng.random(seen.shape) < 0.08) & (seen.sum(1, keepdims=True) > 3)
    noisy[missed] = np.nan
    return noisy.astype(np.float32)


def bad_tracks(boxes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw tracks (M, T, 4), M <= count, that hold no whole thing: background, parts, unions, switches."""
    frames = boxes.shape[1]
    found = []
    for _ in range(count):
        way = rng.choice(["background", "part", "shifted", "large", "union", "switch"])
        first, second = (boxes[rng.integers(len(boxes))] for _ in range(2))
        if way == "background":
            track = _background(frames, rng)
        elif way in ("part", "shifted", "large"):
            track = _displaced(first, str(way), rng)
        elif way == "union":
            track = np.concatenate(
                [np.minimum(first[:, :2], second[:, :2]), np.maximum(first[:, 2:], second[:, 2:])],
                1,
            )
        else:
            track = np.concatenate([first[: frames // 2], second[frames // 2 :]])
        track = np.clip(track, 0, 1)
        seen = ~np.isnan(track[:, 0])
        large = seen.sum() >= 2 and (track[seen, 2:] - track[seen, :2]).min() > 0.02
        if large and _best_overlap(track, boxes) < 0.45:
            found.append(track)
    return np.array(found, dtype=np.float32).reshape(-1, frames, 4)


def track_overlaps(tracks: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Give the mean box overlap over the frames where either is seen, (n, m) in [0, 1]."""
    overlaps = np.zeros((len(tracks), len(others), tracks.shape[1]), dtype=np.float32)
    for frame in range(tracks.shape[1]):
        pairs = boxes_of.iou_matrix(
            np.nan_to_num(tracks[:, frame]), np.nan_to_num(others[:, frame])
        )
        overlaps[..., frame] = pairs
    seen = ~np.isnan(tracks[:, None, :, 0]) | ~np.isnan(others[None, :, :, 0])
    return (overlaps * seen).sum(-1) / np.maximum(seen.sum(-1), 1)


def _best_overlap(track: np.ndarray, boxes: np.ndarray) -> float:
    return float(track_overlaps(track[None], boxes).max(initial=0.0))


def _background(frames: int, rng: np.random.Generator) -> np.ndarray:
    size = np.exp(rng.uniform(np.log(0.08), np.log(0.4), 2))
    start = rng.uniform(0, 1 - size)
    drift = np.linspace(0, 1, frames)[:, None] * rng.normal(0, 0.08, 2) * (rng.random() < 0.5)
    corner = start + drift
    return np.concatenate([corner, corner + size], axis=1)


def _displaced(track: np.ndarray, way: str, rng: np.random.Generator) -> np.ndarray:
    centre, size = (track[:, :2] + track[:, 2:]) / 2, track[:, 2:] - track[:, :2]
    angle = rng.uniform(0, 2 * np.pi)
    side = np.array([np.cos(angle), np.sin(angle)])
    if way == "part":
        scale, shift = rng.uniform(0.35, 0.6, 2), 0.25 * side
    elif way == "shifted":
        scale, shift = np.ones(2), rng.uniform(0.5, 0.9) * side
    else:
        scale, shift = rng.uniform(1.7, 2.4, 2), 0.3 * side
    centre = centre + size * shift
    return np.concatenate([centre - size * scale / 2, centre + size * scale / 2], axis=1)
