"""A video with its referents marked -> a moviepy clip, for programs that go on editing with that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sparrow.export.shown import Shown
from sparrow.looks import Look
from sparrow.overlay import Painter
from sparrow.planes import Plane
from sparrow.types import MaskTrack, Referent
from sparrow.video import Video

if TYPE_CHECKING:
    from moviepy import VideoClip

SKIP = 48
"""Frames ahead up to which going on is quicker than jumping."""


def to_clip(
    video: Video,
    tracks: Sequence[MaskTrack],
    referents: Sequence[Referent],
    look: Look | None = None,
    span: tuple[int, int] | None = None,
) -> VideoClip:
    """Make a clip with the original sound whose frames are drawn when asked for; a cut-out is transparent.

    Raises:
        ExportError: the span lies outside the video.
        ValueError: a track does not fit the video or has no referent.
    """
    from moviepy import AudioFileClip, VideoClip  # a second to import: only for who edits

    shown = Shown.of(video, tracks, referents, look, span)
    clip = VideoClip(_Frames(shown).at, duration=shown.seconds).with_fps(video.fps)
    if shown.look.mode == "cut-out":
        mask = VideoClip(
            lambda seconds: shown.union(_frame(shown, seconds)).astype(np.float64),
            is_mask=True,
            duration=shown.seconds,
        )
        clip = clip.with_mask(mask)
    if video.has_audio:
        sound = AudioFileClip(str(video.path))
        begin = float(video.timestamps[shown.frames.start])
        clip = clip.with_audio(sound.subclipped(begin, min(begin + shown.seconds, sound.duration)))
    return clip


def _frame(shown: Shown, seconds: float) -> int:
    """Give the frame of the video that is seen at a time of the clip."""
    place = int(seconds * shown.video.fps + 1e-6)  # times come as multiples of 1 / fps, rounded
    return shown.frames[min(max(place, 0), len(shown.frames) - 1)]


class _Frames:
    """Draws the frame of any time; holds one, and goes on from it where that is quicker."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._painter = Painter(
            shown.tracks, shown.referents, shown.video.size_hw, shown.look, matrix=None
        )
        self._coming: Iterator[np.ndarray] = iter(())
        self._held: tuple[int, np.ndarray] | None = None

    def at(self, seconds: float) -> np.ndarray:
        """Give the frame seen at a time of the clip, (H, W, 3) uint8 RGB."""
        wanted = _frame(self._shown, seconds)
        if self._held is None or not self._held[0] <= wanted <= self._held[0] + SKIP:
            self._coming = self._shown.video.iter(wanted, self._shown.frames.stop)
            self._held = wanted, self._draw(next(self._coming), wanted)
        index, drawn = self._held
        while index < wanted:
            picture, index = next(self._coming), index + 1
            if index == wanted:
                drawn = self._draw(picture, index)
        self._held = index, drawn
        return drawn

    def _draw(self, picture: np.ndarray, index: int) -> np.ndarray:
        self._painter.paint([Plane(picture, 1)], index)
        return picture
