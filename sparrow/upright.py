"""Decoded frames of any shape -> yuv420p as displayed: turned, square pixels, even size.

An odd side gets one more column at the right or row at the bottom, a copy of its last: coordinates
of the original stay what they are. Knows nothing of files and times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from av.filter import Graph

from sparrow.mp4 import Colour
from sparrow.probe import Source

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_TURNS = {0: "", 90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}


class Upright:
    """Turns the frames of one source; builds its filters anew where the format changes."""

    def __init__(self, source: Source, max_side: int | None) -> None:
        self._source_hw = source.size_hw
        self._source_colour = source.colour
        self._turn = _TURNS[source.rotation]
        height, width = source.size_hw
        self.notes: list[str] = []
        if source.pixel_aspect != 1:
            width = max(1, round(width * source.pixel_aspect))
            self.notes.append(f"its pixels were not square: widened to {width} columns")
        self._square_hw = (height, width)
        if source.rotation:
            self.notes.append(
                f"turned by {source.rotation} degrees anticlockwise as its recorder asked"
            )
        if source.rotation in (90, 270):
            height, width = width, height
        longer = max(height, width)
        if max_side is not None and longer > max_side:
            height = max(2, round(height * max_side / longer / 2) * 2)
            width = max(2, round(width * max_side / longer / 2) * 2)
            self.notes.append(f"scaled down to {width}x{height} (limit max_side)")
        self._shown_hw = (height, width)
        self._pad_hw = (height % 2, width % 2)
        for odd, what, where in zip(
            self._pad_hw, ("row", "column"), ("bottom", "right"), strict=True
        ):
            if odd:
                self.notes.append(
                    f"one {what} added at the {where}, a copy of the last: H.264 needs even sides"
                )
        self.size_hw = (height + self._pad_hw[0], width + self._pad_hw[1])
        self._graph: Graph | None = None
        self._key: tuple[object, ...] = ()

    @property
    def colour(self) -> Colour:
        """Tags of what comes out: the source's, but limited range, and BT.709 for what was RGB."""
        if self._source_colour.matrix == 0:
            return Colour(range=1, matrix=1, primaries=1, transfer=1)
        extent = self._source_colour.range
        return replace(self._source_colour, range=1 if extent == 2 else extent)

    @property
    def changes_shape(self) -> bool:
        """Whether frames are turned, scaled or padded."""
        return bool(self._turn) or self.size_hw != self._source_hw

    def apply(self, frame: VideoFrame) -> VideoFrame:
        """Give the displayed frame; one that needs nothing comes back as it is."""
        limited = int(frame.color_range) != 2
        same = (frame.height, frame.width) == self._source_hw and frame.format.name == "yuv420p"
        if same and limited and not self.changes_shape:
            return frame
        key = (
            frame.width,
            frame.height,
            frame.format.name,
            int(frame.colorspace),
            int(frame.color_range),
        )
        if self._graph is None or key != self._key:
            self._graph, self._key = self._build(frame), key
        self._graph.push(frame)
        shown = self._graph.pull()
        assert not isinstance(shown, list)
        return shown  # type: ignore[return-value]

    def _build(self, frame: VideoFrame) -> Graph:
        height, width = self._square_hw
        steps = []
        if (frame.height, frame.width) != (height, width):
            steps.append(f"scale={width}:{height}")
        if self._turn:
            steps.append(self._turn)
            height, width = (width, height) if "transpose" in self._turn else (height, width)
        if (height, width) != self._shown_hw:
            steps.append(f"scale={self._shown_hw[1]}:{self._shown_hw[0]}:flags=area")
        down, right = self._pad_hw
        if down or right:
            steps.append("format=yuv444p")
            steps.append(f"pad={self.size_hw[1]}:{self.size_hw[0]}:0:0")
            steps.append(f"fillborders=right={right}:bottom={down}:mode=smear")
        matrix = ":out_color_matrix=bt709" if self._source_colour.matrix == 0 else ""
        steps.append(f"scale=out_range=limited{matrix}")
        steps.append("format=yuv420p")
        graph = Graph()
        last = graph.add(
            "buffer",
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000"
            f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}",
        )
        for step in ",".join(steps).split(","):
            name, _, arguments = step.partition("=")
            following = graph.add(name, arguments)
            last.link_to(following)
            last = following
        last.link_to(graph.add("buffersink"))
        graph.configure()
        return graph
