"""The sound of a source file -> packets of the MP4 being written, in step with its picture.

AAC is copied packet for packet, anything else is encoded to AAC. Knows nothing of pictures.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from sparrow.mp4 import Mp4File

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet

logger = logging.getLogger(__name__)

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
EARLY = 0.1  # seconds before the first frame: the priming samples of an encoder reach back so far


class CopiedSound:
    """Carries AAC packets over unchanged."""

    def __init__(self, source: AudioStream, file: Mp4File, start: float, end: float) -> None:
        """Keep what lies between `start` and `end` seconds of the source; `start` becomes 0."""
        assert source.time_base is not None
        self._tick = float(source.time_base)
        self._shift = round(start / self._tick)
        self._length = end - start
        self._file = file
        self._stream = file.add_copy(source)
        self._last: int | None = None

    def push(self, packet: Packet[AudioStream]) -> None:
        if packet.pts is None or packet.dts is None:
            return
        pts, dts = packet.pts - self._shift, packet.dts - self._shift
        if not -EARLY <= pts * self._tick < self._length:
            return
        if self._last is not None and dts <= self._last:
            return
        self._last = dts
        packet.pts, packet.dts = pts, dts
        packet.stream = self._stream
        self._file.mux(packet)

    def finish(self) -> None:
        """Nothing is held back."""


class EncodedSound:
    """Decodes any sound and encodes it as AAC, mono or stereo."""

    def __init__(self, source: AudioStream, file: Mp4File, start: float, end: float) -> None:
        """Keep what lies between `start` and `end` seconds of the source; `start` becomes 0."""
        self._source, context = source, source.codec_context
        self._rate = min(AAC_RATES, key=lambda rate: abs(rate - (context.sample_rate or 48000)))
        layout = "mono" if context.channels == 1 else "stereo"
        self._start, self._length, self._file = start, end - start, file
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=self._rate)
        self._stream = file.add_aac(self._rate, layout)
        self._next = 0
        self._begun = False
        self._damaged = 0

    def push(self, packet: Packet[AudioStream]) -> None:
        try:
            frames = self._source.decode(packet)
        except (FFmpegError, ValueError) as error:
            self._damaged += 1
            logger.debug("sound packet left out: %s", error)
            return
        for frame in frames:
            time = frame.time - self._start if frame.time is not None else None
            if time is not None and not -EARLY <= time < self._length:
                continue
            if time is not None and (
                not self._begun or time * self._rate > self._next + EARLY * self._rate
            ):
                self._next = round(time * self._rate)  # the beginning, or behind a gap
            self._begun = True
            try:
                pieces = self._resampler.resample(frame)
            except ValueError as error:  # the layout changed on the way
                self._damaged += 1
                logger.debug("sound frame left out: %s", error)
                continue
            for piece in pieces:
                self._encode(piece)

    def finish(self) -> None:
        if self._begun:
            for piece in self._resampler.resample(None):
                self._encode(piece)
            self._file.mux(self._stream.encode(None))
        if self._damaged:
            logger.warning("%d pieces of the sound could not be decoded", self._damaged)

    def _encode(self, piece: AudioFrame) -> None:
        piece.pts, piece.time_base = self._next, Fraction(1, self._rate)
        self._next += piece.samples
        self._file.mux(self._stream.encode(piece))


def carry(
    source: AudioStream, file: Mp4File, start: float, end: float, *, container_format: str
) -> CopiedSound | EncodedSound:
    """Copy AAC that lies in an MP4, encode all else: other containers frame AAC differently."""
    if source.codec_context.name == "aac" and "mp4" in container_format.split(","):
        return CopiedSound(source, file, start, end)
    return EncodedSound(source, file, start, end)
