"""A video file from anywhere -> the one file that everything later indexes, or a clear error.

Normalised: MP4, H.264 yuv420p, constant frame rate, even size, rotation applied, square pixels,
AAC sound, index in front. Knows nothing of models, masks or the page.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import uuid
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.error import FFmpegError
from av.video.frame import PictureType

from sparrow.errors import VideoError
from sparrow.limits import Limits
from sparrow.mp4 import Mp4File
from sparrow.probe import Source, open_input, packets, picture_stream, probe
from sparrow.sound import CopiedSound, EncodedSound, carry
from sparrow.upright import Upright
from sparrow.video import Video, load_video, source_path, write_source
from sparrow.work import ProgressSink, Work

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Limits", "open_video"]

CRF = 18  # hardly visible losses: models look at this file
STEP = "preparing the video"


class _NotCopyableError(Exception):
    """The packets turned out not to be what the headers promised; encode instead."""


def open_video(
    path: str | Path,
    *,
    workdir: str | Path | None = None,
    limits: Limits | None = None,
    progress: ProgressSink | None = None,
    cancel: threading.Event | None = None,
) -> Video:
    """Check a video file and normalise it once; the original is only read.

    Args:
        path: The user's file.
        workdir: Folder for the normalised file; None: a temporary one that
            lives as long as the Video.
        limits: Bounds beyond which a file is refused.
        progress: Told after every frame.
        cancel: Checked at every frame.

    Raises:
        VideoError: not a usable video, or beyond a limit, which is named. Nothing is left behind.
        Cancelled: `cancel` was set. Nothing is left behind.
    """
    limits = limits or Limits()
    work = Work(progress, cancel, max_seconds=limits.max_work_seconds)
    source = probe(Path(path).absolute(), limits, work)
    if workdir is not None:
        Path(workdir).mkdir(parents=True, exist_ok=True)
        return _normalise(source, Path(workdir), limits, work)
    folder = tempfile.mkdtemp(prefix="sparrow-")
    try:
        video = _normalise(source, Path(folder), limits, work)
    except BaseException:
        shutil.rmtree(folder)
        raise
    weakref.finalize(video, shutil.rmtree, folder, ignore_errors=True)
    return video


def _normalise(source: Source, folder: Path, limits: Limits, work: Work) -> Video:
    out = folder / f"video-{uuid.uuid4().hex[:12]}.mp4"
    try:
        try:
            times, notes = _copy(source, out, limits, work)
        except _NotCopyableError:
            times, notes = _encode(source, out, limits, work)
        write_source(out, times, notes)
        return load_video(out)
    except FFmpegError as error:
        _remove(out)
        raise VideoError(
            f"{source.path.name}: expected a video that can be decoded, it failed with "
            f"{error.strerror}; convert it to H.264 MP4"
        ) from error
    except BaseException:
        _remove(out)
        raise


def _remove(out: Path) -> None:
    out.unlink(missing_ok=True)
    source_path(out).unlink(missing_ok=True)


def _copy(source: Source, out: Path, limits: Limits, work: Work) -> tuple[list[float], list[str]]:
    """Keep the picture's packets if they are normal already; decoding them all shows whether.

    Raises:
        _NotCopyableError: they are not.
    """
    upright = Upright(source, limits.max_side)
    normal = source.codec == "h264" and source.pix_fmt == "yuv420p" and not upright.changes_shape
    if not (normal and source.copyable and source.constant):
        raise _NotCopyableError
    total = source.times.size
    with open_input(source.path, limits) as container, Mp4File(out) as file:
        stream = picture_stream(container)
        assert stream is not None
        assert stream.time_base is not None
        stream.thread_type = "AUTO"
        picture = file.add_copy(stream)
        sound = _sound(source, container, file)
        order, delay = _display_order(source, limits)
        given = decoded = 0
        for packet in packets(container, [stream, *container.streams.audio[: source.has_audio]]):
            if packet.stream is not stream:
                if sound is not None and packet.size:
                    sound.push(packet)
                continue
            decoded += _decoded_as_promised(stream, packet, source)
            if not packet.size:
                continue
            if given == total:
                raise _NotCopyableError
            packet.time_base = 1 / source.rate
            packet.pts, packet.dts, packet.duration = int(order[given]), given - delay, 1
            packet.stream = picture
            file.mux(packet)
            given += 1
            work.step(STEP, given, total)
        if decoded != total or given != total:
            raise _NotCopyableError
        if sound is not None:
            sound.finish()
    return source.times.tolist(), list(source.notes)


def _display_order(source: Source, limits: Limits) -> tuple[np.ndarray, int]:
    """Give each packet's place in display order (n,), and how far decoding runs ahead."""
    with open_input(source.path, limits) as container:
        stream = picture_stream(container)
        assert stream is not None
        stamps = np.array([p.pts for p in packets(container, [stream]) if p.size], dtype=np.int64)
    if np.unique(stamps).size != source.times.size:
        raise _NotCopyableError
    order = np.argsort(np.argsort(stamps))
    return order, int((np.arange(order.size) - order).max())


def _decoded_as_promised(stream: VideoStream, packet: Packet[VideoStream], source: Source) -> int:
    try:
        frames = stream.decode(packet)
    except (FFmpegError, ValueError) as error:
        raise _NotCopyableError from error
    for frame in frames:
        if (frame.height, frame.width) != source.size_hw or frame.format.name != "yuv420p":
            raise _NotCopyableError
        if frame.is_corrupt:
            raise _NotCopyableError
    return len(frames)


def _encode(source: Source, out: Path, limits: Limits, work: Work) -> tuple[list[float], list[str]]:
    """Decode, turn, put on the constant rate and encode in one pass."""
    upright = Upright(source, limits.max_side)
    total = round((source.times[-1] - source.times[0]) * source.rate) + 1
    limits.check_frames(source.path.name, total)
    shown_times: list[float] = []
    with open_input(source.path, limits) as container, Mp4File(out) as file:
        decoder = _Decoder(source, container, work)
        picture = file.add_h264(source.rate, upright.size_hw, upright.colour, crf=CRF)
        decoder.sound = _sound(source, container, file)
        for frame, time in _nearest(decoder.frames(), source.rate):
            limits.check_frames(source.path.name, len(shown_times) + 1)
            limits.check_seconds(source.path.name, abs(time - source.times[0]))
            shown = upright.apply(frame)
            shown.pts, shown.time_base = len(shown_times), 1 / source.rate
            shown.pict_type = PictureType.NONE
            file.mux(picture.encode(shown))
            shown_times.append(time)
            work.step(STEP, len(shown_times), max(total, len(shown_times)))
        if not shown_times or decoder.decoded < limits.min_decoded * source.promised:
            raise VideoError(
                f"{source.path.name}: expected at least {limits.min_decoded:.0%} of its "
                f"{source.promised} frames to be readable (limit min_decoded), "
                f"got {decoder.decoded}; the file is damaged or cut off: send it again"
            )
        file.mux(picture.encode(None))
        if decoder.sound is not None:
            decoder.sound.finish()
    return shown_times, [*upright.notes, *source.notes, *_losses(source, decoder)]


def _losses(source: Source, decoder: _Decoder) -> Iterator[str]:
    if decoder.decoded < source.promised:
        cut_off = source.cut_off
        what = "the file is cut off" if cut_off else "the file is damaged"
        yield f"{what}: {decoder.decoded} of {source.promised} frames could be read"
    elif not source.constant:
        yield f"its frame rate varied: every 1/{float(source.rate):g} s shows the nearest frame"


class _Decoder:
    """Decodes one source frame by frame; hands the sound's packets on as they pass by."""

    def __init__(self, source: Source, container: InputContainer, work: Work) -> None:
        self.decoded = 0
        self.sound: CopiedSound | EncodedSound | None = None
        self._source, self._container, self._work = source, container, work

    def frames(self) -> Iterator[tuple[VideoFrame, float]]:
        """Give each frame and its ascending time in the source, in seconds, without damaged ones."""
        stream = picture_stream(self._container)
        assert stream is not None
        stream.thread_type = "AUTO"
        sounds = self._container.streams.audio[: self._source.has_audio]
        last: float | None = None
        for packet in packets(self._container, [stream, *sounds]):
            self._work.step(STEP, self.decoded, self._source.times.size)
            if packet.stream is not stream:
                if self.sound is not None and packet.size:
                    self.sound.push(packet)
                continue
            try:
                frames = stream.decode(packet)
            except (FFmpegError, ValueError):
                continue  # counted: decoded stays behind the number of packets, and is told
            for frame in frames:
                time = frame.time
                if time is None or (last is not None and time <= last):
                    time = (
                        float(self._source.times[0])
                        if last is None
                        else last + 1 / self._source.rate
                    )
                self.decoded += 1
                last = float(time)
                yield frame, last


def _nearest(
    frames: Iterator[tuple[VideoFrame, float]], rate: Fraction
) -> Iterator[tuple[VideoFrame, float]]:
    """Put frames on a constant rate: place k shows the frame nearest to first + k / rate."""
    held: tuple[VideoFrame, float] | None = None
    begin, place = 0.0, 0
    for frame, time in frames:
        if held is None:
            begin = time
        else:
            while begin + place / rate < (held[1] + time) / 2:
                yield held
                place += 1
        held = frame, time
    while held is not None and begin + place / rate <= held[1] + 0.5 / rate:
        yield held
        place += 1


def _sound(
    source: Source, container: InputContainer, file: Mp4File
) -> CopiedSound | EncodedSound | None:
    if not source.has_audio:
        return None
    start, end = float(source.times[0]), float(source.times[-1]) + 1 / float(source.rate)
    return carry(container.streams.audio[0], file, start, end, container_format=source.format)
