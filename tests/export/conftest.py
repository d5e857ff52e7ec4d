"""Tracks to export: of noise, where every bit counts, and of shapes, which video codecs can carry."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.types import MaskTrack
from sparrow.video import Video
from tests import made_videos as made


@pytest.fixture(scope="module")
def tracks(plain_video: Video) -> list[MaskTrack]:
    """Two tracks of noise that overlap, each absent in some frames."""
    rng = np.random.default_rng(5)
    built = []
    for number, absent in ((1, {0, 7, 29}), (4, set(range(10, 20)))):
        frames = [
            np.zeros(plain_video.size_hw, dtype=bool)
            if index in absent
            else rng.random(plain_video.size_hw) < rng.uniform(0.01, 0.9)
            for index in range(plain_video.num_frames)
        ]
        built.append(
            MaskTrack.from_masks(number, frames, rng.random(plain_video.num_frames).tolist())
        )
    return built


@pytest.fixture(scope="module")
def shapes(plain_video: Video) -> list[MaskTrack]:
    """The red square, and a disc that it partly covers, absent from frame 20 on."""
    rows, columns = np.indices(plain_video.size_hw)
    square, disc = [], []
    for index in range(plain_video.num_frames):
        x0, y0, x1, y1 = made.square_at(index)
        inside = (rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1)
        square.append(inside)
        disc.append(((rows - 36) ** 2 + (columns - 40) ** 2 < 144) & (index < 20))
    scores = [1.0] * plain_video.num_frames
    return [MaskTrack.from_masks(4, disc, scores), MaskTrack.from_masks(1, square, scores)]
