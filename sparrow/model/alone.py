"""Masks of prompted objects frame by frame, each frame by itself: tracking without memory, to compare with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence

import torch

from sparrow.model.looking import Eyes, point
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.tracking import FrameSource, Target, confidence
from sparrow.types import MaskTrack, Progress, TrackBuilder


def alone_steps(
    decoder: PixelDecoder,
    video: FrameSource,
    targets: Sequence[Target],
    *,
    cancel: threading.Event | None = None,
) -> Generator[Progress, None, list[MaskTrack]]:
    """Decode targets in every frame that has a prompt for them, yielding the progress after each frame.

    A frame without a prompt has no mask. When `cancel` is set, what there is by then is returned, marked as not
    complete.

    Returns:
        One track per target, in their order.
    """
    started, count = time.monotonic(), video.num_frames
    builders = [TrackBuilder(t.referent_id, video.size_hw, count) for t in targets]
    for index, frame in enumerate(video.iter()):
        if cancel is not None and cancel.is_set():
            return [builder.build(complete=False) for builder in builders]
        with torch.inference_mode():
            eyes = Eyes(decoder, frame)
            for target, builder in zip(targets, builders, strict=True):
                prompt = target.prompts.get(index)
                if prompt is not None:
                    sight = point(eyes, prompt)
                    score = confidence(sight.decoded, decoder.config.confidence)
                    builder.put(index, sight.mask, score)
        yield Progress("track", index + 1, count, time.monotonic() - started)
    return [builder.build() for builder in builders]
