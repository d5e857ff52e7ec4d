"""Encoded packets -> an MP4 that browsers play, there only when whole: H.264, AAC, index in front.

Knows nothing of where frames come from. The file is written under another name beside its place and
moved there at the end; whatever goes wrong, nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import av
from av.error import FFmpegError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Stream = TypeVar("Stream", "VideoStream", "AudioStream")

UNSPECIFIED = 2  # ISO/IEC 23091-2's code point for primaries, transfer and matrix alike


@dataclass(frozen=True, slots=True)
class Colour:
    """The code points that tell a player how to show the planes."""

    range: int = 0
    """0 unspecified, 1 limited, 2 full."""
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @classmethod
    def of(cls, source: VideoFrame | VideoCodecContext) -> Colour:
        """Take the tags of a frame or of a decoder."""
        return cls(
            int(source.color_range),
            int(source.colorspace),
            int(source.color_primaries),
            int(source.color_trc),
        )


class Mp4File:
    """An MP4 being written; use as a context manager, add the streams, then mux."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._part = out.with_name(f".{out.stem}-{uuid.uuid4().hex[:12]}.part")
        self._container = av.open(
            str(self._part), "w", format="mp4", options={"movflags": "+faststart"}
        )

    def __enter__(self) -> Mp4File:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._container.close()
                os.replace(self._part, self._out)  # noqa: PTH105 - says atomic more plainly
            else:
                with contextlib.suppress(FFmpegError):  # the first error is the one to tell
                    self._container.close()
        finally:
            self._part.unlink(missing_ok=True)

    def add_h264(
        self,
        rate: Fraction,
        size_hw: tuple[int, int],
        colour: Colour,
        *,
        crf: int,
        preset: str = "veryfast",
    ) -> VideoStream:
        """Add a picture stream of even size; its frames' pts count in 1/rate seconds.

        A key frame at least every two seconds keeps reading of single frames quick.
        """
        height, width = size_hw
        if height % 2 or width % 2:
            raise ValueError(f"H.264 yuv420p: expected an even size, got {width}x{height}")
        stream = self._container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / rate
        context.gop_size = max(1, min(250, round(2 * rate)))
        # mbtree decides by thread timing: without it the same frames give the same bytes
        context.options = {"preset": preset, "crf": str(crf), "x264-params": "mbtree=0"}
        context.thread_type = "AUTO"
        context.color_range = colour.range
        context.colorspace = colour.matrix
        context.color_primaries = colour.primaries
        context.color_trc = colour.transfer
        return stream

    def add_aac(self, sample_rate: int, layout: str) -> AudioStream:
        """Add a sound stream to encode."""
        return self._container.add_stream("aac", rate=sample_rate, layout=layout)

    def add_copy(self, source: Stream) -> Stream:
        """Add a stream whose packets are copied from `source`."""
        return self._container.add_stream_from_template(source)

    def mux(self, packets: Packet[Any] | list[Packet[Any]]) -> None:
        self._container.mux(packets)
