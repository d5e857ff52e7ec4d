"""What an export shows: a stretch of a video, its referents and the look, checked once for all formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparrow.export.files import ExportError
from sparrow.labels import one_line
from sparrow.looks import Look
from sparrow.types import MaskTrack, Referent
from sparrow.video import Video

VIDEO = "video"
"""What the video is called inside archives; the user's own file name is nobody's business."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Everything that a writer of a format needs to know; made by `Shown.of`."""

    video: Video
    tracks: tuple[MaskTrack, ...]
    """In the order in which they are painted."""
    referents: tuple[Referent, ...]
    """Those of the tracks, in the same order."""
    look: Look
    frames: range
    """Of the video; files count them from 0 (MOT from 1)."""

    @classmethod
    def of(
        cls,
        video: Video,
        tracks: Sequence[MaskTrack],
        referents: Sequence[Referent],
        look: Look | None = None,
        span: tuple[int, int] | None = None,
    ) -> Shown:
        """Check what is to be exported.

        Raises:
            ExportError: the span lies outside the video.
            ValueError: a track does not fit the video or has no referent, or an id stands twice.
        """
        frames = check(video, tracks, span)
        by_id = {referent.id: referent for referent in referents}
        for track in tracks:
            if track.referent_id not in by_id:
                raise ValueError(f"track {track.referent_id}: no referent has this id")
        shown = tuple(by_id[track.referent_id] for track in tracks)
        return cls(video, tuple(tracks), shown, look or Look(), frames)

    @property
    def span(self) -> tuple[int, int]:
        """The frames start..stop-1."""
        return self.frames.start, self.frames.stop

    @property
    def seconds(self) -> float:
        return len(self.frames) / self.video.fps

    def name_of(self, referent: Referent) -> str:
        """Give a referent's phrase on one line, or "object 3" where it has none."""
        return one_line(referent.phrase) or f"object {referent.id}"

    def masks(self, frame: int) -> Iterator[tuple[int, np.ndarray]]:
        """Give the masks of a frame of the video: referent id and (H, W) bool, without the absent."""
        for track in self.tracks:
            if track.rles[frame] is not None:
                yield track.referent_id, track.mask(frame)

    def union(self, frame: int) -> np.ndarray:
        """Give what any mask of a frame covers, (H, W) bool."""
        covered = np.zeros(self.video.size_hw, dtype=bool)
        for _, mask in self.masks(frame):
            covered |= mask
        return covered


def check(video: Video, tracks: Sequence[MaskTrack], span: tuple[int, int] | None = None) -> range:
    """Give the frames of a span (None: all), after making sure that the tracks fit the video.

    Raises:
        ExportError: the span lies outside the video.
        ValueError: a track does not fit, or an id stands twice.
    """
    ids = [track.referent_id for track in tracks]
    if len(set(ids)) != len(ids):
        raise ValueError(f"export: expected one track for each referent, got ids {ids}")
    for track in tracks:
        if track.size_hw != video.size_hw or track.num_frames != video.num_frames:
            raise ValueError(
                f"track {track.referent_id}: expected {video.num_frames} frames "
                f"of {video.size_hw}, got {track.num_frames} of {track.size_hw}"
            )
    start, stop = span or (0, video.num_frames)
    if not 0 <= start < stop <= video.num_frames:
        raise ExportError(
            f"export: expected a part of the frames 0 to {video.num_frames}, got {start} to {stop}"
        )
    return range(start, stop)
