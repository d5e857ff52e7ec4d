"""A normalised video file -> exact frames.

Knows that the file has a constant frame rate, an even size and no rotation (ingest.py made it so),
and nothing of models, masks or what a user uploaded. PyAV reads; where its seeking fails, decord
gives the same pixels in more time and memory (benchmarks/sampling.py). Every call
opens its own reader: readers shared between threads crash or hang.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.error import FFmpegError

from sparrow.errors import VideoError

try:
    import decord
except ImportError:  # no wheel for Linux on ARM: PyAV reads alone
    decord = None

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Video:
    """A video that can give any frame; made by `open_video`, or by `load_video` from its file."""

    path: Path
    """The normalised file: H.264 yuv420p MP4."""
    num_frames: int
    size_hw: tuple[int, int]
    """Pixels as displayed, both even."""
    fps: float
    timestamps: np.ndarray = field(repr=False)
    """(T,) float64 seconds of each frame in the normalised file, ascending, from 0."""
    has_audio: bool
    source_times: np.ndarray = field(repr=False)
    """(T,) float64 seconds at which the original showed the frame that stands here."""
    notes: tuple[str, ...] = ()
    """What ingest changed or could not keep, for the user to read."""

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise ValueError(f"video: expected at least one frame, got {self.num_frames}")
        for name in ("timestamps", "source_times"):
            times = getattr(self, name)
            if times.shape != (self.num_frames,) or times.dtype != np.float64:
                raise ValueError(
                    f"video {name}: expected float64 ({self.num_frames},), "
                    f"got {times.dtype} {times.shape}"
                )
        if (np.diff(self.timestamps) <= 0).any():
            raise ValueError("video timestamps: expected ascending seconds")

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return float(self.timestamps[-1] - self.timestamps[0]) + 1 / self.fps

    def sample(self, count: int) -> list[int]:
        """Choose `count` frames spread evenly, each the middle of its share; all if fewer."""
        if count < 1:
            raise ValueError(f"sample: expected a count of at least 1, got {count}")
        count = min(count, self.num_frames)
        return [(2 * i + 1) * self.num_frames // (2 * count) for i in range(count)]

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode the frames asked for, in the order asked, (n, H, W, 3) uint8 RGB.

        Raises:
            IndexError: a frame before 0 or after the last.
            VideoError: the file is gone or damaged.
        """
        wanted = [int(i) for i in indices]
        for index in wanted:
            if not 0 <= index < self.num_frames:
                raise IndexError(f"frame {index}: expected 0 to {self.num_frames - 1}")
        if not wanted:
            return np.zeros((0, *self.size_hw, 3), dtype=np.uint8)
        ascending = sorted(set(wanted))
        try:
            frames = self._read_pyav(ascending)
        except VideoError as error:
            if decord is None:
                raise
            logger.warning("%s; trying decord", error)
            frames = self._read_decord(ascending)
        if wanted == ascending:
            return frames
        return frames[np.searchsorted(ascending, wanted)]

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Stream frames start..stop-1 in order, each (H, W, 3) uint8 RGB, holding one at a time.

        Raises:
            IndexError: start or stop lie outside the video.
            VideoError: the file is gone or damaged.
        """
        stop = self.num_frames if stop is None else stop
        if not 0 <= start <= stop <= self.num_frames:
            raise IndexError(
                f"frames {start} to {stop}: expected 0 <= start <= stop <= {self.num_frames}"
            )
        return self._stream(start, stop)

    def _stream(self, start: int, stop: int) -> Iterator[np.ndarray]:
        expected = start
        with _opened(self.path) as container:
            container.streams.video[0].thread_type = "AUTO"
            for index, frame in self._decode(container, range(start, stop)):
                if index != expected:
                    break
                yield frame.to_ndarray(format="rgb24")
                expected += 1
        if expected < stop:
            raise VideoError(
                f"{self.path.name}: expected {self.num_frames} frames, {expected} is missing; "
                "the file was changed: open the video again"
            )

    def _read_decord(self, ascending: list[int]) -> np.ndarray:
        """Give the same frames (n, H, W, 3) by another way of seeking, in more time and memory."""
        try:
            reader = decord.VideoReader(str(self.path), num_threads=1)
            frames: np.ndarray = reader.get_batch(ascending).asnumpy()
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            raise VideoError(
                f"{self.path.name}: expected {self.num_frames} frames that can be read, "
                "neither PyAV nor decord can; the file was changed: open the video again"
            ) from error
        return frames

    def _read_pyav(self, ascending: list[int]) -> np.ndarray:
        frames = np.empty((len(ascending), *self.size_hw, 3), dtype=np.uint8)
        found = 0
        with _opened(self.path) as container:
            keys = self._key_frames(container)
            while found < len(ascending):
                before = found
                for index, frame in self._decode(container, ascending[found:]):
                    if index != ascending[found]:
                        break
                    frames[found] = frame.to_ndarray(format="rgb24")
                    found += 1
                    if found == len(ascending) or np.searchsorted(keys, index, "right") < (
                        np.searchsorted(keys, ascending[found], "right")
                    ):
                        break  # the next one lies behind another key frame: seeking is shorter
                if found == before:
                    raise VideoError(
                        f"{self.path.name}: frame {ascending[found]} cannot be decoded; "
                        "the file was changed: open the video again"
                    )
        return frames

    def _decode(
        self, container: InputContainer, wanted: Sequence[int]
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Decode wanted frames (ascending) from the key frame before the first.

        What is neither wanted nor referred to by other frames is not decoded.
        """
        if not wanted:
            return
        stream = container.streams.video[0]
        assert stream.time_base is not None
        tick, left = float(stream.time_base), set(wanted)
        if wanted[0]:
            target = int(self.timestamps[wanted[0]] / tick + 0.5)
            container.seek(target, stream=stream, backward=True)
        for packet in container.demux(stream):
            needed = packet.pts is None or self._index(packet.pts * tick) in left
            stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
            for frame in stream.decode(packet):
                if frame.pts is None:
                    raise VideoError(f"{self.path.name}: a frame has no time; open the video again")
                index = self._index(frame.pts * tick)
                if index in left:
                    yield index, frame
                    if index == wanted[-1]:
                        return

    def _index(self, seconds: float) -> int:
        return round((seconds - float(self.timestamps[0])) * self.fps)

    def _key_frames(self, container: InputContainer) -> np.ndarray:
        """Give the key frames' indices, ascending, give or take a few: decoding times are listed."""
        stream = container.streams.video[0]
        assert stream.time_base is not None
        tick = float(stream.time_base)
        return np.array(
            sorted(self._index(e.timestamp * tick) for e in stream.index_entries if e.is_keyframe)
        )


def load_video(path: str | Path) -> Video:
    """Open a file that ingest wrote, without decoding it: sizes, times and the notes beside it.

    Raises:
        VideoError: the file is missing or is not one that ingest wrote.
    """
    path = Path(path)
    with _opened(path) as container:
        if not container.streams.video:
            raise VideoError(
                f"{path.name}: expected a normalised video, it has no picture; use open_video"
            )
        stream = container.streams.video[0]
        context = stream.codec_context
        if context.name != "h264" or context.pix_fmt != "yuv420p" or stream.time_base is None:
            raise VideoError(
                f"{path.name}: expected H.264 yuv420p, "
                f"got {context.name} {context.pix_fmt}; use open_video"
            )
        ticks = sorted(p.pts for p in container.demux(stream) if p.pts is not None and p.size)
        if not ticks:
            raise VideoError(
                f"{path.name}: expected at least one frame, it has none; use open_video"
            )
        rate = stream.average_rate or Fraction(25)
        size_hw = (context.height, context.width)
        has_audio = bool(container.streams.audio)
    timestamps = np.array(ticks, dtype=np.float64) * float(stream.time_base)
    source_times, notes = _read_source(path, timestamps)
    return Video(
        path=path,
        num_frames=len(ticks),
        size_hw=size_hw,
        fps=float(rate),
        timestamps=timestamps,
        has_audio=has_audio,
        source_times=source_times,
        notes=notes,
    )


def source_path(path: Path) -> Path:
    """Name the file that says beside a normalised video what ingest knew of the original."""
    return path.with_suffix(".source.json")


def write_source(path: Path, source_times: Sequence[float], notes: Sequence[str]) -> None:
    """Write beside the normalised video when the original showed each frame, and the notes."""
    text = json.dumps({"source_times": list(source_times), "notes": list(notes)}, allow_nan=False)
    source_path(path).write_text(text, encoding="utf-8")


def _read_source(path: Path, timestamps: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    beside = source_path(path)
    if not beside.is_file():
        return timestamps.copy(), ()
    try:
        source = json.loads(beside.read_text(encoding="utf-8"))
        times = np.array(source["source_times"], dtype=np.float64)
        notes = tuple(str(note) for note in source["notes"])
    except (ValueError, KeyError, TypeError) as error:
        raise VideoError(f"{beside.name}: damaged ({error}); open the video again") from error
    if times.shape != timestamps.shape:
        raise VideoError(
            f"{beside.name}: expected {timestamps.size} times, got {times.size}; "
            "open the video again"
        )
    return times, notes


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """Open the file for one reader; whatever FFmpeg reports until it is closed is the file's fault."""
    try:
        with av.open(str(path)) as container:
            yield container
    except (FFmpegError, OSError) as error:
        raise VideoError(
            f"{path.name}: cannot be read ({error.strerror}); open the video again"
        ) from error
