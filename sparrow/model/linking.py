"""Linking: proposals of the sampled frames, one list a frame, become tracks.

Frame by frame, open tracks and proposals are matched (Hungarian) on where the track should be by
now and on what it looks like. It knows boxes, scores and feature vectors only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from sparrow import boxes as boxes_of


@dataclass(frozen=True)
class LinkConfig:
    """Costs and limits of linking."""

    min_proposal: float = 0.15
    """Proposals with a lower score are ignored."""
    max_overlap: float = 0.6
    """Of two proposals that overlap more, the one with the lower score is ignored."""
    place_weight: float = 0.4
    """Share of place in the cost; the rest is appearance."""
    max_cost: float = 0.68
    """A pair above it is never linked."""
    max_gap: int = 6
    """Frames that a track may be unseen and still go on."""
    min_frames: int = 2
    """Shorter tracks are dropped."""
    min_score: float = 0.5
    """Tracks with a lower mean score are dropped."""
    new_score: float = 0.3
    """A proposal below it may go on with a track but not begin one."""
    max_tracks: int = 12
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


@dataclass
class _Open:
    boxes: dict[int, np.ndarray] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)
    feature: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def add(self, frame: int, box: np.ndarray, score: float, feature: np.ndarray) -> None:
        self.boxes[frame] = box
        self.scores.append(score)
        old = self.feature
        self.feature = feature if not len(old) else _unit(0.6 * old + 0.4 * feature)

    @property
    def last(self) -> int:
        return max(self.boxes)

    def expected(self, frame: int) -> np.ndarray:
        """Where the box should be by constant velocity of the centre, size kept."""
        seen = sorted(self.boxes)
        box = self.boxes[seen[-1]]
        if len(seen) < 2:
            return box
        before = self.boxes[seen[-2]]
        move = (box[:2] + box[2:] - before[:2] - before[2:]) / 2 / (seen[-1] - seen[-2])
        return box + np.tile(move * (frame - seen[-1]), 2)


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
    tracks: list[_Open] = []
    for frame, found in enumerate(frames):
        features = _unit(found.features)
        current = [t for t in tracks if frame - t.last <= config.max_gap + 1]
        taken = _extend(current, frame, found, features, config)
        for index in range(len(found.boxes)):
            if index not in taken and found.scores[index] >= config.new_score:
                track = _Open()
                track.add(frame, found.boxes[index], float(found.scores[index]), features[index])
                tracks.append(track)
    kept = [
        t
        for t in tracks
        if len(t.boxes) >= min(config.min_frames, len(frames))
        and np.mean(t.scores) >= config.min_score
    ]
    kept.sort(key=lambda t: -float(np.mean(t.scores)) * len(t.boxes) ** 0.5)
    kept = kept[: config.max_tracks]
    result = np.full((len(kept), len(frames), 4), np.nan, dtype=np.float32)
    for row, track in enumerate(kept):
        for frame, box in track.boxes.items():
            result[row, frame] = box
    scores = np.array([np.mean(t.scores) for t in kept], dtype=np.float32)
    return LinkedTracks(result, scores)


def _extend(
    tracks: list[_Open],
    frame: int,
    found: FrameProposals,
    features: np.ndarray,
    config: LinkConfig,
) -> set[int]:
    """Give proposals to open tracks; returns the indices that were given."""
    if not tracks or not len(found.boxes):
        return set()
    expected = np.stack([t.expected(frame) for t in tracks])  # (N, 4)
    last = np.stack([t.boxes[t.last] for t in tracks])
    place = 1 - np.maximum(_nearness(expected, found.boxes), _nearness(last, found.boxes))
    look = 1 - np.stack([t.feature for t in tracks]) @ features.T  # (N, P)
    cost = config.place_weight * place + (1 - config.place_weight) * look
    rows, columns = linear_sum_assignment(np.minimum(cost, config.max_cost))
    taken: set[int] = set()
    for row, column in zip(rows, columns, strict=True):
        if cost[row, column] < config.max_cost:
            score = float(found.scores[column])
            tracks[row].add(frame, found.boxes[column], score, features[column])
            taken.add(int(column))
    return taken


def _nearness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Larger of overlap and closeness of the centres, (n, m) in [0, 1]; 0.3 of the frame is far."""
    centre_a = (a[:, None, :2] + a[:, None, 2:]) / 2
    centre_b = (b[None, :, :2] + b[None, :, 2:]) / 2
    distance = np.linalg.norm(centre_a - centre_b, axis=-1)
    return np.maximum(boxes_of.iou_matrix(a, b), np.clip(1 - distance / 0.3, 0, 1))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)
