"""Writes the small videos that tests open: a red square that moves, sound, and every flaw."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE_HW = (64, 96)
FRAMES = 30
FPS = 10
SQUARE = 16  # pixels
RED = (220, 40, 30)
GREY = 70


def square_at(index: int) -> tuple[int, int, int, int]:
    """Give the square's pixel xyxy in a frame."""
    x = 2 * index % (SIZE_HW[1] - SQUARE)
    return x, 20, x + SQUARE, 20 + SQUARE


def picture(index: int, size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    """Draw a frame (H, W, 3) uint8 RGB; the row of blocks at the top is the index in binary."""
    frame = np.full((*size_hw, 3), GREY, dtype=np.uint8)
    x0, y0, x1, y1 = square_at(index)
    frame[y0:y1, x0:x1] = RED
    for bit in range(8):
        frame[:8, 8 * bit : 8 * bit + 8] = 230 if index >> bit & 1 else 20
    return frame


def index_in(frame: np.ndarray) -> int:
    """Read the index that `picture` wrote into a frame."""
    return sum(int(frame[2:6, 8 * bit + 2 : 8 * bit + 6].mean() > 125) << bit for bit in range(8))


@dataclass
class Recipe:
    """How to encode a video."""

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    frames: int = FRAMES
    size_hw: tuple[int, int] = SIZE_HW
    fps: int | Fraction = FPS
    audio: str = ""
    rotation: int = 0
    times: Sequence[float] | None = None
    """Seconds of each frame; None: at the constant rate."""
    options: dict[str, str] | None = None
    container_options: dict[str, str] | None = None
    format: str | None = None
    picture: Callable[[int, tuple[int, int]], np.ndarray] = picture
    audio_rate: int = 44100
    aspect: Fraction | None = None


@contextmanager
def same_priority() -> Iterator[None]:
    """Undo that SVT-AV1, run by root, makes the process that encodes a real-time one, which starves all others."""
    if not hasattr(os, "sched_getscheduler"):  # not Linux
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


@same_priority()
def write(path: Path, recipe: Recipe) -> Path:
    """Encode a video of moving squares, with a tone of 440 Hz where there is sound."""
    options = recipe.container_options or {}
    with av.open(str(path), "w", format=recipe.format, options=options) as file:
        stream = file.add_stream(recipe.codec, rate=recipe.fps, options=recipe.options or {})
        stream.height, stream.width = recipe.size_hw
        stream.pix_fmt = recipe.pix_fmt
        if recipe.aspect is not None:
            stream.codec_context.sample_aspect_ratio = recipe.aspect
        if recipe.times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if recipe.rotation:
            stream.set_display_rotation(recipe.rotation)
        sound = file.add_stream(recipe.audio, rate=recipe.audio_rate) if recipe.audio else None
        for index in range(recipe.frames):
            frame = av.VideoFrame.from_ndarray(
                recipe.picture(index, recipe.size_hw), format="rgb24"
            )
            if recipe.times is not None:
                frame.pts = round(recipe.times[index] * 1000)
                frame.time_base = Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if sound is not None:
            wave = tone(float(recipe.frames / recipe.fps), recipe.audio_rate)
            file.mux([*sound.encode(wave), *sound.encode(None)])
    return path


def tone(seconds: float, rate: int) -> av.AudioFrame:
    """Make a mono tone."""
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
    frame.rate, frame.pts = rate, 0
    return frame


def only_sound(path: Path) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        file.mux([*stream.encode(tone(1.0, 44100)), *stream.encode(None)])
    return path


def cut(source: Path, path: Path, share: float) -> Path:
    """Keep the first part of a file's bytes."""
    whole = source.read_bytes()
    path.write_bytes(whole[: round(len(whole) * share)])
    return path


def scratched(source: Path, path: Path) -> Path:
    """Overwrite a stretch in the middle of the pictures' data with noise."""
    content = bytearray(source.read_bytes())
    begin = content.find(b"mdat")
    size = int.from_bytes(content[begin - 4 : begin], "big")
    start = begin + size * 3 // 4
    noise = np.random.default_rng(0).integers(0, 256, size // 8, dtype=np.uint8).tobytes()
    content[start : start + len(noise)] = noise
    path.write_bytes(content)
    return path


def claim_size(source: Path, path: Path, width: int, height: int) -> Path:
    """Rewrite the sizes in an MP4's headers (tkhd, avc1), not its pictures."""
    content = bytearray(source.read_bytes())
    track = content.find(b"tkhd")
    struct.pack_into(">II", content, track + 80, width << 16, height << 16)
    entry = content.find(b"avc1", content.find(b"stsd"))
    struct.pack_into(">HH", content, entry + 28, width, height)
    path.write_bytes(content)
    return path


def huge_yuv(path: Path) -> Path:
    """A header that promises frames of 30000 x 30000, in a file of a hundred bytes."""
    path.write_bytes(b"YUV4MPEG2 W30000 H30000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + b"\0" * 64)
    return path


def huge_gif(path: Path) -> Path:
    """A GIF of 60000 x 60000 pixels in forty bytes."""
    screen = struct.pack("<HHBBB", 60000, 60000, 0x80, 0, 0) + bytes(6)
    image = b"," + struct.pack("<HHHHB", 0, 0, 60000, 60000, 0) + b"\x02\x02\x4c\x01\x00;"
    path.write_bytes(b"GIF89a" + screen + image)
    return path


def no_frames(path: Path) -> Path:
    """An MP4 with a picture stream in which there is not one frame, only sound."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        sound = file.add_stream("aac", rate=44100)
        file.mux([*sound.encode(tone(1.0, 44100)), *sound.encode(None)])
    return path
