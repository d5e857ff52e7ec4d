"""The referents cut out of their video, the rest transparent -> WebM, ProRes or PNGs with an alpha channel.

In the MOV and the PNGs alpha is the masks themselves, 0 or 255; in the WebM it is compressed with the picture.
No sound: a cut-out goes on top of something else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from sparrow.export.files import add, archive
from sparrow.export.shown import Shown
from sparrow.whole import whole
from sparrow.work import Work

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

STEP = "cutting out"
BLEED = 16
"""Pixels of the picture kept behind the transparency along the masks, so that compressed edges stay clean."""
BT709 = 1


def write_webm(path: Path, shown: Shown, work: Work) -> None:
    """Write VP9 with alpha in a WebM, which browsers show with transparency.

    Raises:
        Cancelled: between two frames.
    """
    with whole(path) as part, av.open(str(part), "w", format="webm") as container:
        options = {
            "deadline": "realtime",
            "cpu-used": "6",
            "row-mt": "1",
            "crf": "20",
            "b": "0",
            "auto-alt-ref": "0",  # the alpha channel allows no invisible frames
        }
        stream = container.add_stream("libvpx-vp9", rate=_rate(shown), options=options)
        stream.metadata["alpha_mode"] = "1"
        _encode(container, stream, "yuva420p", shown, work)


def write_prores(path: Path, shown: Shown, work: Work) -> None:
    """Write ProRes 4444 in a MOV, which editors take; large.

    Raises:
        Cancelled: between two frames.
    """
    with whole(path) as part, av.open(str(part), "w", format="mov") as container:
        options = {"profile": "4444", "alpha_bits": "8", "vendor": "apl0"}
        stream = container.add_stream("prores_ks", rate=_rate(shown), options=options)
        _encode(container, stream, "yuva444p10le", shown, work)


def write_rgba(path: Path, shown: Shown, work: Work) -> None:
    """Write a ZIP of RGBA PNGs, cut-out/00000.png and so on; black where transparent.

    Raises:
        Cancelled: between two frames.
    """
    with archive(path) as opened:
        for number, rgba in enumerate(_pictures(shown, work, bleed=0)):
            held = io.BytesIO()
            Image.fromarray(rgba).save(held, format="PNG", compress_level=3)
            add(opened, f"cut-out/{number:05d}.png", held.getvalue())


def _encode(
    container: OutputContainer, stream: VideoStream, pix_fmt: str, shown: Shown, work: Work
) -> None:
    height, width = shown.video.size_hw
    stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
    context = stream.codec_context
    context.thread_type = "AUTO"
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = ColorRange.MPEG
    for number, rgba in enumerate(_pictures(shown, work, bleed=BLEED)):
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(
            format=pix_fmt, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts = number
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _pictures(shown: Shown, work: Work, *, bleed: int) -> Iterator[np.ndarray]:
    """Give the frames as (H, W, 4) uint8 RGBA, alpha 255 inside the masks and 0 outside.

    Raises:
        VideoError: the normalised file is gone or damaged.
    """
    kernel = np.ones((2 * bleed + 1, 2 * bleed + 1), dtype=np.uint8)
    coming = shown.video.iter(*shown.span)
    for number, (frame, picture) in enumerate(zip(shown.frames, coming, strict=True)):
        work.step(STEP, number, len(shown.frames))
        alpha = shown.union(frame).astype(np.uint8) * 255
        kept = cv2.bitwise_and(picture, picture, mask=cv2.dilate(alpha, kernel) if bleed else alpha)
        yield np.dstack([kept, alpha])
    work.step(STEP, len(shown.frames), len(shown.frames))


def _rate(shown: Shown) -> Fraction:
    """Give the frame rate as a fraction: 29.97 is 30000/1001."""
    return Fraction(shown.video.fps).limit_denominator(1001)
