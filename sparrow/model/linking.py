"""Linking: proposals of the sampled frames, one list a frame, become tracks.

Any two proposals of different frames are alike or not, by what they look like and whether a thing
could have got from one to the other. Those that are alike on the whole are one track (average-linkage
clustering), so that a thing is found again after it was out of sight. It knows boxes, scores and
feature vectors only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from sparrow import boxes as boxes_of

_SUREST = 6.0  # log odds beyond it say no more
_NEVER = 1e6  # apart by so much are two proposals of one frame
_NEAR, _STEP = 0.05, 0.12  # share of the frame that a thing easily goes at once, and for each frame
_FURTHEST, _LARGEST_CHANGE = 6.0, 3.0  # beyond it a way, or a change of size, says no more


@dataclass(frozen=True)
class LinkConfig:
    """Which proposals count, when two are of one thing, and which tracks are kept.

    The weights are those of a logistic regression over pairs of proposals of training worlds; `bias` was then
    raised to what finds most things on validation worlds.
    """

    min_proposal: float = 0.2
    """Proposals with a lower score are ignored."""
    max_overlap: float = 0.6
    """Of two proposals that overlap more, the one with the lower score is ignored."""
    bias: float = 0.8
    """Log odds that two proposals are of one thing, before anything is known of them."""
    look_weight: float = 6.2
    """What the cosine of their features adds."""
    way_weight: float = 1.5
    """What is taken for each time that the way between them is as long as a thing easily goes."""
    size_weight: float = 2.6
    """What is taken for their log ratios of width and height."""
    min_frames: int = 2
    """Shorter tracks are dropped."""
    min_quality: float = 0.36
    """Tracks are dropped whose mean score, times the root of the share of frames in which they are seen, is lower."""
    max_tracks: int = 16
    """The best are kept."""


@dataclass(frozen=True, eq=False)
class FrameProposals:
    """What the proposer found in one frame."""

    boxes: np.ndarray
    """(P, 4) normalised xyxy."""
    scores: np.ndarray
    """(P,) in [0, 1]."""
    features: np.ndarray
    """(P, F) appearance, any scale."""


@dataclass(frozen=True, eq=False)
class LinkedTracks:
    """N tracks over T frames, best first."""

    boxes: np.ndarray
    """(N, T, 4) float32 normalised xyxy, NaN where unseen."""
    scores: np.ndarray
    """(N,) mean proposal score."""


def distinct(boxes: np.ndarray, scores: np.ndarray, config: LinkConfig) -> np.ndarray:
    """Choose among one frame's proposals (P, 4) those worth linking: indices, best first."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if scores[index] < config.min_proposal:
            break
        overlaps = boxes_of.iou_matrix(boxes[index][None], boxes[kept])
        if overlaps.max(initial=0.0) <= config.max_overlap:
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)


def link(frames: Sequence[FrameProposals], config: LinkConfig) -> LinkedTracks:
    """Link the proposals of T frames into tracks."""
    count = len(frames)
    times = np.repeat(np.arange(count), [len(found.boxes) for found in frames])
    boxes = np.concatenate([np.zeros((0, 4)), *(found.boxes for found in frames)])
    scores = np.concatenate([np.zeros(0), *(found.scores for found in frames)])
    owners = _clusters(frames, times, boxes, config)
    tracks, means, qualities = [], [], []
    for owner in np.unique(owners):
        own = np.flatnonzero(owners == owner)
        mean = float(scores[own].mean())
        quality = mean * (len(own) / count) ** 0.5
        if len(own) < min(config.min_frames, count) or quality < config.min_quality:
            continue
        track = np.full((count, 4), np.nan, dtype=np.float32)
        track[times[own]] = boxes[own]
        tracks.append(track)
        means.append(mean)
        qualities.append(quality)
    best = np.argsort(-np.array(qualities, dtype=np.float64), kind="stable")[: config.max_tracks]
    return LinkedTracks(
        np.array(tracks, dtype=np.float32).reshape(len(tracks), count, 4)[best],
        np.array(means, dtype=np.float32)[best],
    )


def _clusters(
    frames: Sequence[FrameProposals], times: np.ndarray, boxes: np.ndarray, config: LinkConfig
) -> np.ndarray:
    """Number the proposals (M,) by the thing that they are taken for."""
    if len(times) < 2:
        return np.arange(len(times))
    looks = _unit(np.concatenate([found.features for found in frames if len(found.boxes)]))
    odds = _log_odds(times, boxes.astype(np.float64), looks, config)
    apart = _SUREST - np.clip(odds, -_SUREST, _SUREST)
    apart[times[:, None] == times[None]] = _NEVER
    tree = linkage(squareform(apart, checks=False), "average")
    return np.asarray(fcluster(tree, _SUREST, "distance"))


def _log_odds(
    times: np.ndarray, boxes: np.ndarray, looks: np.ndarray, config: LinkConfig
) -> np.ndarray:
    """Say how likely any two of M proposals are of one thing, (M, M)."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-4))
    way = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    easy = _NEAR + _STEP * np.abs(times[:, None] - times[None])
    change = np.abs(sides[:, None] - sides[None]).sum(-1)
    return np.asarray(
        config.bias
        + config.look_weight * (looks @ looks.T)
        - config.way_weight * np.minimum(way / easy, _FURTHEST)
        - config.size_weight * np.minimum(change, _LARGEST_CHANGE)
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)
