"""A file from anywhere -> what is in it, or an error that says why it cannot be used.

Reads the packets once without decoding them, so that length, frame count and frame rate are what the
file holds and not what its header claims; decodes one frame. Writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.error import ExitError, FFmpegError
from av.stream import Disposition

from sparrow.errors import VideoError
from sparrow.limits import Limits
from sparrow.mp4 import Colour
from sparrow.work import Work

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

# Demuxers that read one file and nothing beside it: playlists and image lists name other files.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,mpegvideo,flv,asf,ogg,"
    "h264,hevc,m4v,ivf,obu,mxf,apng,nut,dv,rm,wtv,mp3,wav,flac,aac"
)
COMMON_RATES = (
    *(Fraction(rate) for rate in (5, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120)),
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 60, 120)),
)
MIN_SIDE = 16
FIRST_FRAME_PACKETS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What a user's file holds."""

    path: Path
    format: str
    codec: str
    pix_fmt: str
    size_hw: tuple[int, int]
    """Of the decoded frame, before rotation."""
    rotation: int
    """Degrees anticlockwise to turn the decoded frame for display: 0, 90, 180 or 270."""
    colour: Colour
    """The tags of its planes; matrix 0 means RGB."""
    pixel_aspect: Fraction
    """Width of a pixel over its height."""
    times: np.ndarray
    """(n,) float64 seconds of the packets to be shown, ascending."""
    rate: Fraction
    """The constant rate to normalise to."""
    constant: bool
    """Whether every frame already stands at its own place in that rate."""
    copyable: bool
    """Whether the picture's packets can be kept as they are."""
    has_audio: bool
    cut_off: bool
    """Whether the file ends before its index says."""
    promised: int
    """Frames that its packets and its index promise at least; an interlaced frame may take two packets."""
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Scan:
    """What reading all packets tells."""

    times: np.ndarray
    orderly: bool
    """Key frame first, none hidden, each with both time stamps, key frames within ten seconds."""
    total: int


def open_input(path: Path, limits: Limits) -> InputContainer:
    """Open a file of unknown origin: this one file only, frames no larger than the limit.

    Raises:
        VideoError: not a video that can be read.
    """
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": FORMATS,
        "max_pixels": str(limits.max_pixels + 2 * 4096),  # decoders count their padding too
        "max_streams": "64",
    }
    try:
        return av.open(
            str(path), options=options, metadata_errors="replace", timeout=limits.max_work_seconds
        )
    except ExitError as error:
        raise VideoError(
            f"{path.name}: expected to be opened within {limits.max_work_seconds:g} s "
            "(limit max_work_seconds); send a shorter or simpler file"
        ) from error
    except (FFmpegError, OSError) as error:
        raise VideoError(
            f"{path.name}: expected a video (MP4, MOV, WebM, MKV, AVI or GIF), it cannot be opened "
            f"({_reason(error)}); if it was cut off while uploading or recording, send it again"
        ) from error


def picture_stream(container: InputContainer) -> VideoStream | None:
    """Give the first stream of moving pictures; cover art does not count."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def packets(
    container: InputContainer, streams: Sequence[VideoStream | AudioStream]
) -> Iterator[Packet[Any]]:
    """Read packets up to the end of the file or to the first place that cannot be read."""
    reader = container.demux(*streams)
    while True:
        try:
            packet = next(reader, None)
        except FFmpegError as error:
            logger.warning("%s: unreadable from here on (%s)", container.name, _reason(error))
            return
        if packet is None:
            return
        yield packet


def probe(path: Path, limits: Limits, work: Work) -> Source:
    """Look into a file and refuse it if it cannot be used or exceeds a limit.

    Raises:
        VideoError: no such file, not a video, no picture, broken, or beyond a named limit.
        Cancelled: Stop was pressed.
    """
    if not path.is_file():
        raise VideoError(f"{path.name or path}: expected a video file, there is none at this path")
    size = path.stat().st_size
    if size == 0:
        raise VideoError(
            f"{path.name}: expected a video, the file is empty (0 bytes); send it again"
        )
    limits.check_bytes(path.name, size)
    with open_input(path, limits) as container:
        stream = picture_stream(container)
        if stream is None:
            what = "only sound" if container.streams.audio else "no picture"
            raise VideoError(f"{path.name}: expected a video with moving pictures, it holds {what}")
        context = stream.codec_context
        if context is None:
            raise VideoError(
                f"{path.name}: its video codec is unknown or encrypted; convert it to H.264 MP4"
            )
        limits.check_pixels(path.name, context.width, context.height)
        scan = _scan(container, stream, path.name, limits, work)
        header_rate, header_frames = stream.average_rate or stream.guessed_rate, stream.frames
        format_name, codec = container.format.name, context.name
        mp4 = "mp4" in format_name.split(",")
        missing = header_frames - scan.total if mp4 else 0
        progressive = context.field_order in (0, 1)
    frame, aspect = _first_frame(path, limits, work)
    limits.check_pixels(path.name, frame.width, frame.height)
    if min(frame.width, frame.height) < MIN_SIDE:
        raise VideoError(
            f"{path.name}: expected a picture of at least {MIN_SIDE}x{MIN_SIDE} pixels, "
            f"got {frame.width}x{frame.height}; scale it up"
        )
    rate, constant = _rate(scan.times, header_rate, limits.max_fps)
    has_audio, notes = _sound(path, limits, work)
    return Source(
        path=path,
        format=format_name,
        codec=codec,
        pix_fmt=frame.format.name,
        size_hw=(frame.height, frame.width),
        rotation=round(frame.rotation / 90) % 4 * 90,
        colour=_colour(frame),
        pixel_aspect=aspect,
        times=scan.times,
        rate=rate,
        constant=constant,
        copyable=scan.orderly and progressive and mp4 and missing <= 0,
        has_audio=has_audio,
        cut_off=missing > 0,
        promised=(scan.times.size + max(0, missing)) // (1 if progressive else 2),
        notes=notes,
    )


def _scan(
    container: InputContainer, stream: VideoStream, name: str, limits: Limits, work: Work
) -> _Scan:
    assert stream.time_base is not None
    tick = float(stream.time_base)
    times: list[float] = []
    orderly, total, last_key = True, 0, 0.0
    first: float | None = None
    for packet in packets(container, [stream]):
        if not packet.size:
            continue
        work.step("reading the file", total, stream.frames)
        total += 1
        limits.check_frames(name, total)
        stamp = packet.pts if packet.pts is not None else packet.dts
        time = stamp * tick if stamp is not None else (times[-1] + 0.04 if times else 0.0)
        first = time if first is None else first
        if packet.is_keyframe:
            last_key = time
        orderly &= packet.pts is not None and packet.dts is not None and not packet.is_corrupt
        orderly &= (
            not packet.is_discard and (total > 1 or packet.is_keyframe) and time - last_key < 10
        )
        if not packet.is_discard:
            times.append(time)
            limits.check_seconds(name, abs(time - first))
    if not times:
        raise VideoError(
            f"{name}: expected at least one frame, the video has none; record it again"
        )
    ordered = np.sort(np.array(times, dtype=np.float64))
    limits.check_seconds(name, float(ordered[-1] - ordered[0]))
    return _Scan(ordered, bool(orderly), total)


def _first_frame(path: Path, limits: Limits, work: Work) -> tuple[VideoFrame, Fraction]:
    """Decode the first frame that can be decoded; also the shape of its pixels."""
    failure = "no frame came out"
    with open_input(path, limits) as container:
        stream = picture_stream(container)
        assert stream is not None
        for count, packet in enumerate(packets(container, [stream])):
            work.step("reading the first frame", count)
            try:
                frames = stream.decode(packet)
            except (FFmpegError, ValueError) as error:
                failure = _reason(error)
                frames = []
            if frames:
                aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
                if aspect is None or not Fraction(1, 8) <= aspect <= 8:
                    aspect = Fraction(1)
                return frames[0], Fraction(aspect)
            if count > FIRST_FRAME_PACKETS:
                break
        codec = stream.codec_context.name
    raise VideoError(
        f"{path.name}: expected frames that can be decoded, got none from its {codec} stream "
        f"({failure}); the file is damaged or its frames exceed the limit max_pixels"
    )


def _colour(frame: VideoFrame) -> Colour:
    rgb = frame.format.is_rgb or frame.format.has_palette
    return replace(Colour.of(frame), matrix=0) if rgb else Colour.of(frame)


def _rate(times: np.ndarray, header: Fraction | None, max_fps: float) -> tuple[Fraction, bool]:
    """Choose the constant rate, and say whether the times (n,) already follow it."""
    header = header if header is not None and 0 < header <= max_fps else None
    span = float(times[-1] - times[0])
    if times.size < 2 or span <= 0:
        return header or Fraction(25), True
    average = (times.size - 1) / span
    candidates = [header] if header is not None else []
    candidates += sorted(COMMON_RATES, key=lambda rate: abs(float(rate) - average))[:2]
    candidates.append(Fraction(average).limit_denominator(1000))
    for rate in candidates:
        places = (times - times[0]) * float(rate)
        if rate <= max_fps and np.abs(places - np.arange(times.size)).max() < 0.5:
            return rate, True
    typical = 1 / max(float(np.median(np.diff(times))), 1 / max_fps)
    return min(COMMON_RATES, key=lambda rate: abs(float(rate) - min(typical, max_fps))), False


def _sound(path: Path, limits: Limits, work: Work) -> tuple[bool, tuple[str, ...]]:
    """Say whether there is sound that can be decoded; a note where there is other sound."""
    with open_input(path, limits) as container:
        if not container.streams.audio:
            return False, ()
        stream = container.streams.audio[0]
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        if stream.codec_context is not None:
            for count, packet in enumerate(packets(container, [stream])):
                work.step("reading the sound", count)
                try:
                    if stream.decode(packet):
                        return True, ()
                except (FFmpegError, ValueError) as error:
                    logger.warning("%s: sound packet %d: %s", path.name, count, _reason(error))
                if count > FIRST_FRAME_PACKETS:
                    break
    return False, (f"its sound ({codec}) cannot be decoded and was left out",)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
