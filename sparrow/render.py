"""A video and its tracks -> an annotated MP4 with the same rate and sound, in one pass.

Paints in the decoded planes, without a detour over RGB. What is painted is overlay.py's matter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import PictureType

from sparrow.errors import VideoError
from sparrow.looks import Look
from sparrow.mp4 import Colour, Mp4File
from sparrow.overlay import Painter, draw
from sparrow.planes import Plane
from sparrow.sound import CopiedSound
from sparrow.types import MaskTrack, Referent
from sparrow.video import Video
from sparrow.work import ProgressSink, Work

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

__all__ = ["draw", "render"]

CRF = 21
STEP = "drawing the video"


def render(
    video: Video,
    tracks: Sequence[MaskTrack],
    referents: Sequence[Referent],
    out: str | Path,
    *,
    look: Look | None = None,
    span: tuple[int, int] | None = None,
    progress: ProgressSink | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Write the video with its referents marked; `out` appears only when it is whole.

    Args:
        video: What `open_video` gave.
        tracks: One per referent, of the video's length and size; may be empty.
        referents: Their phrases and colours.
        out: The MP4 to write; an older file there is replaced.
        look: How they are marked; None: `Look()`.
        span: The frames start..stop-1 that are kept, with their sound; None: all.
        progress: Told after every frame.
        cancel: Checked at every frame.

    Raises:
        ValueError: a track does not fit the video or has no referent, or the span lies outside.
        VideoError: the normalised file is gone or damaged.
        Cancelled: `cancel` was set; nothing is left behind.
    """
    out = Path(out)
    start, stop = span or (0, video.num_frames)
    if not 0 <= start < stop <= video.num_frames:
        raise ValueError(
            f"span: expected 0 <= start < stop <= {video.num_frames}, got {start}, {stop}"
        )
    for track in tracks:
        if track.num_frames != video.num_frames:
            raise ValueError(
                f"track {track.referent_id}: expected {video.num_frames} frames, "
                f"got {track.num_frames}"
            )
    work = Work(progress, cancel)
    try:
        with av.open(str(video.path)) as container:
            colour = Colour.of(container.streams.video[0].codec_context)
            painter = Painter(
                tracks, referents, video.size_hw, look or Look(), matrix=colour.matrix
            )
            with Mp4File(out) as file:
                _stream(video, range(start, stop), container, file, painter, colour, work)
    except FFmpegError as error:
        raise VideoError(
            f"{video.path.name}: cannot be drawn on ({error.strerror}); open the video again"
        ) from error
    return out


def _stream(
    video: Video,
    span: range,
    container: InputContainer,
    file: Mp4File,
    painter: Painter,
    colour: Colour,
    work: Work,
) -> None:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    rate = stream.average_rate
    if rate is None:
        raise VideoError(f"{video.path.name}: has no frame rate; open the video again")
    picture = file.add_h264(rate, video.size_hw, colour, crf=CRF)
    sounds = container.streams.audio[:1]
    begin, end = _seconds(video, span)
    sound = CopiedSound(sounds[0], file, begin, end) if sounds else None
    if span.start:
        assert stream.time_base is not None
        container.seek(round(begin / stream.time_base), stream=stream, backward=True)
    done = 0
    arriving: Iterator[Packet[Any]] = container.demux(stream, *sounds)
    for packet in arriving:
        if done == len(span) and packet.pts is not None and packet.pts * packet.time_base > end:
            break
        if packet.stream is not stream:
            if sound is not None and packet.size:
                sound.push(packet)
            continue
        for frame in stream.decode(packet):
            index = round(((frame.time or 0.0) - float(video.timestamps[0])) * video.fps)
            if index not in span:
                continue
            work.step(STEP, done, len(span))
            if painter.touches(index):
                frame.make_writable()  # the decoder may still need its own copy
                painter.paint(_planes(frame), index)
            frame.pts, frame.time_base, frame.pict_type = done, 1 / rate, PictureType.NONE
            file.mux(picture.encode(frame))
            done += 1
    if done != len(span):
        raise VideoError(
            f"{video.path.name}: expected {len(span)} frames, got {done}; open the video again"
        )
    file.mux(picture.encode(None))
    work.step(STEP, done, len(span))


def _seconds(video: Video, span: range) -> tuple[float, float]:
    """Give where the span's sound begins and ends; the whole video's may go on for a second."""
    if len(span) == video.num_frames:
        return 0.0, video.duration + 1
    return float(video.timestamps[span.start]), float(
        video.timestamps[span.stop - 1] + 1 / video.fps
    )


def _planes(frame: VideoFrame) -> list[Plane]:
    """Give the frame's own samples, without the padding at the end of each line."""
    return [
        Plane(
            np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)[
                : plane.height, : plane.width
            ],
            1 if number == 0 else 2,
        )
        for number, plane in enumerate(frame.planes)
    ]
