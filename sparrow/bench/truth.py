"""What is true of a clip: which pixels are whose in which frame, and how much of each thing shows.

Knows no answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparrow.masks import box_of
from sparrow.world.clip import Annotation

SHOWS = 0.1
"""Share of a thing's own area that must be seen for it to show, as in the world's questions."""
GAP = 3
"""Frames without a pixel of it after which a thing comes back rather than flickers."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The N things of a clip of T frames."""

    masks: np.ndarray
    """(T, N, H, W) bool, the seen pixels of the things 1 to N."""
    shares: np.ndarray
    """(T, N) float32 share of each thing's own area that is seen."""

    @classmethod
    def of(cls, annotation: Annotation) -> Truth:
        """Decode an annotation's masks."""
        tracks = [thing.track for thing in annotation.things]
        frames = range(annotation.num_frames)
        masks = np.zeros((len(frames), len(tracks), *annotation.size_hw), dtype=bool)
        for frame in frames:
            for thing, track in enumerate(tracks):
                masks[frame, thing] = track.mask(frame)
        shares = np.array([thing.visibility for thing in annotation.things], np.float32)
        return cls(masks, shares.reshape(len(tracks), len(frames)).T)

    @property
    def num_things(self) -> int:
        return self.masks.shape[1]

    def shown(self, thing: int) -> np.ndarray:
        """Say per frame, (T,) bool, whether a thing (from 0) shows."""
        shown: np.ndarray = (self.shares[:, thing] >= SHOWS) & self.masks[:, thing].any((1, 2))
        return shown

    def first(self, thing: int) -> int | None:
        """Give the first frame in which a thing (from 0) shows; None where it never does."""
        frames = np.flatnonzero(self.shown(thing))
        return int(frames[0]) if frames.size else None

    def returns(self, thing: int) -> list[int]:
        """List the frames in which a thing (from 0) shows again after `GAP` or more frames out of sight."""
        shown = self.shown(thing)
        there = np.asarray(self.masks[:, thing].any((1, 2)))
        returns, missing, known = [], 0, False
        for frame in range(len(shown)):
            missing = 0 if there[frame] and missing < GAP else missing + (not there[frame])
            if not shown[frame]:
                continue
            if known and missing >= GAP:
                returns.append(frame)
            known, missing = True, 0
        return returns

    def boxes(self, frame: int) -> np.ndarray:
        """Give the boxes around what is seen in a frame, (N, 4) float32 pixel xyxy, NaN for nothing."""
        return np.array([box_of(mask) for mask in self.masks[frame]], np.float32).reshape(-1, 4)

    def best_view(self, thing: int) -> tuple[int, np.ndarray]:
        """Give the frame in which a thing (from 0) is largest, and its box there."""
        frame = int(np.count_nonzero(self.masks[:, thing], axis=(1, 2)).argmax())
        return frame, box_of(self.masks[frame, thing])
