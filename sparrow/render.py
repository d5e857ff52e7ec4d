"""A video and its tracks -> an annotated MP4 with the same frames, rate and sound, in one pass.

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
from sparrow.mp4 import Colour, Mp4File
from sparrow.overlay import Look, Painter, Plane, draw
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
    mask: bool = True,
    outline: bool = True,
    box: bool = False,
    label: bool = True,
    opacity: float = 0.45,
    progress: ProgressSink | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Write the video with its referents marked; `out` appears only when it is whole.

    Args:
        video: What `open_video` gave.
        tracks: One per referent, of the video's length and size; may be empty.
        referents: Their phrases and colours.
        out: The MP4 to write; an older file there is replaced.
        mask: Fill the masks.
        outline: Draw the masks' edges.
        box: Draw the boxes.
        label: Write the phrases.
        opacity: Of the masks' fill, 0 to 1.
        progress: Told after every frame.
        cancel: Checked at every frame.

    Raises:
        ValueError: a track does not fit the video or has no referent.
        VideoError: the normalised file is gone or damaged.
        Cancelled: `cancel` was set; nothing is left behind.
    """
    out = Path(out)
    for track in tracks:
        if track.num_frames != video.num_frames:
            raise ValueError(
                f"track {track.referent_id}: expected {video.num_frames} frames, "
                f"got {track.num_frames}"
            )
    look = Look(mask, outline, box, label, opacity)
    work = Work(progress, cancel)
    try:
        with av.open(str(video.path)) as container:
            colour = Colour.of(container.streams.video[0].codec_context)
            painter = Painter(tracks, referents, video.size_hw, look, matrix=colour.matrix)
            with Mp4File(out) as file:
                _stream(video, container, file, painter, colour, work)
    except FFmpegError as error:
        raise VideoError(
            f"{video.path.name}: cannot be drawn on ({error.strerror}); open the video again"
        ) from error
    return out


def _stream(
    video: Video,
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
    sound = CopiedSound(sounds[0], file, 0.0, video.duration + 1) if sounds else None
    done = 0
    arriving: Iterator[Packet[Any]] = container.demux(stream, *sounds)
    for packet in arriving:
        if packet.stream is not stream:
            if sound is not None and packet.size:
                sound.push(packet)
            continue
        for frame in stream.decode(packet):
            if done == video.num_frames:
                break
            work.step(STEP, done, video.num_frames)
            if painter.visible(done):
                frame.make_writable()  # the decoder may still need its own copy
                painter.paint(_planes(frame), done)
            frame.pts, frame.time_base, frame.pict_type = done, 1 / rate, PictureType.NONE
            file.mux(picture.encode(frame))
            done += 1
    if done != video.num_frames:
        raise VideoError(
            f"{video.path.name}: expected {video.num_frames} frames, got {done}; "
            "open the video again"
        )
    file.mux(picture.encode(None))
    work.step(STEP, done, video.num_frames)


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
