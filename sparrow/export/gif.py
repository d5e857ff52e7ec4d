"""A short stretch of a video with its referents marked -> an animated GIF, small enough for a message.

At most MAX_FPS, MAX_SIDE and MAX_SECONDS, in real time, a palette of its own for every frame. FFmpeg's filters
choose the colours: moviepy does so only when all frames are held, for minutes in which nobody can stop it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import BlockingIOError as NotYet
from av.error import EOFError as NoMore

from sparrow.export.files import ExportError
from sparrow.export.shown import Shown
from sparrow.overlay import Painter
from sparrow.planes import Plane
from sparrow.whole import whole
from sparrow.work import Work

MAX_FPS = 12.5
MAX_SIDE = 480
"""Pixels of the longer side."""
MAX_SECONDS = 20.0
STEP = "drawing the GIF"
TICK = Fraction(1, 100)
"""Seconds: the format's unit of time."""


def write_gif(path: Path, shown: Shown, work: Work) -> None:
    """Write the GIF; it repeats for ever.

    Raises:
        ExportError: the stretch is too long.
        VideoError: the normalised file is gone or damaged.
        Cancelled: between two frames.
    """
    if shown.seconds > MAX_SECONDS:
        raise ExportError(
            f"animated GIF: expected at most {MAX_SECONDS:g} s, got {shown.seconds:.1f} s; "
            "trim the video first"
        )
    scale = min(1.0, MAX_SIDE / max(shown.video.size_hw))
    height, width = (max(1, round(scale * length)) for length in shown.video.size_hw)
    colours, begins = _Colours(width, height), _begins(len(shown.frames), shown.video.fps)
    last = max(1, round(shown.seconds / TICK) - max(begins.values()))
    options = {"final_delay": str(last)}  # or it would be gone in a tick
    with whole(path) as part, av.open(str(part), "w", format="gif", options=options) as file:
        stream = file.add_stream("gif", rate=1 / TICK)
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        for begin, picture in _pictures(shown, begins, work):
            small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(np.asarray(small, dtype=np.uint8), format="rgb24")
            frame.pts, frame.time_base = begin, TICK
            for reduced in colours.reduce(frame):
                file.mux(stream.encode(reduced))
        for reduced in colours.reduce(None):
            file.mux(stream.encode(reduced))
        file.mux(stream.encode(None))
    work.step(STEP, len(shown.frames), len(shown.frames))


def _pictures(shown: Shown, begins: dict[int, int], work: Work) -> Iterator[tuple[int, np.ndarray]]:
    """Give for each frame that is not left out when it appears, and the frame drawn, (H, W, 3) uint8 RGB."""
    painter = Painter(shown.tracks, shown.referents, shown.video.size_hw, shown.look, matrix=None)
    for number, picture in enumerate(shown.video.iter(*shown.span)):
        work.step(STEP, number, len(shown.frames))
        if number in begins:
            painter.paint([Plane(picture, 1)], shown.frames[number])
            yield begins[number], picture


def _begins(count: int, fps: float) -> dict[int, int]:
    """Choose which of the frames are shown, and when each appears, in ticks."""
    begins: dict[int, int] = {}
    due = 0
    for number in range(count):
        begin = round(number / fps / TICK)
        if begin >= due:
            begins[number], due = begin, begin + round(1 / MAX_FPS / TICK)
    return begins


class _Colours:
    """FFmpeg's choice of 256 colours for each frame."""

    def __init__(self, width: int, height: int) -> None:
        self._graph = av.filter.Graph()
        self._source = self._graph.add_buffer(
            width=width, height=height, format=av.VideoFormat("rgb24"), time_base=TICK
        )
        split, choose = self._graph.add("split"), self._graph.add("palettegen", "stats_mode=single")
        use = self._graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=5")
        self._sink = self._graph.add("buffersink")
        self._source.link_to(split)
        split.link_to(choose, 0, 0)
        split.link_to(use, 1, 0)
        choose.link_to(use, 0, 1)
        use.link_to(self._sink)
        self._graph.configure()

    def reduce(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Take a frame (None: the end), give those that are ready."""
        self._source.push(frame)
        while True:
            try:
                ready = self._sink.pull()
            except (NotYet, NoMore):
                return
            assert isinstance(ready, av.VideoFrame)
            yield ready
