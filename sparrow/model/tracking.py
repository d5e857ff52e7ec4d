"""Tracks prompted objects through a video: from each anchor forward and backward, frames streamed.

Holds one frame, the objects' pruned memories and RLE masks, however long the video is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder
from sparrow.model.sam import Decoded, Memory
from sparrow.types import MaskTrack, Progress, TrackBuilder

_CHUNK_BYTES = 128 << 20  # of squashed frames, held at once when a video is read backwards


class FrameSource(Protocol):
    """What tracking needs of a video: sparrow.video.Video, or anything that streams frames."""

    @property
    def num_frames(self) -> int: ...

    @property
    def size_hw(self) -> tuple[int, int]: ...

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True)
class Target:
    """An object to track."""

    referent_id: int
    anchor: int
    """The frame where tracking starts, both ways; it must have a prompt."""
    prompts: Mapping[int, FramePrompt]
    """By frame; later prompts correct what memory says."""


class _State:
    """One object while a sweep runs over the frames."""

    def __init__(self, target: Target, memory: Memory, size_hw: tuple[int, int], frames: int):
        self.target = target
        self.memory = memory
        self.previous: Tensor | None = None
        self.anchored: tuple[Memory, Tensor] | None = None
        self.builder = TrackBuilder(target.referent_id, size_hw, frames)


def track(
    decoder: PixelDecoder,
    video: FrameSource,
    targets: list[Target],
    *,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
) -> list[MaskTrack]:
    """Give one track per target, in their order; see `track_steps`."""
    steps = track_steps(decoder, video, targets, cancel=cancel)
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            tracks: list[MaskTrack] = end.value
            return tracks
        if progress is not None:
            progress(step)


def track_steps(
    decoder: PixelDecoder,
    video: FrameSource,
    targets: list[Target],
    *,
    cancel: threading.Event | None = None,
) -> Generator[Progress, None, list[MaskTrack]]:
    """Track targets through a video, yielding the progress after each frame.

    Each frame is decoded and encoded once per direction. When `cancel` is set the tracks so far are
    returned, marked as not complete.

    Returns:
        One track per target, in their order.
    """
    if not targets:
        return []
    started = time.monotonic()
    states = [_State(t, decoder.new_memory(), video.size_hw, video.num_frames) for t in targets]
    first = min(t.anchor for t in targets)
    last = max(t.anchor for t in targets)
    total, done = video.num_frames - first + last, 0
    forward = enumerate(video.iter(first), first)
    for reverse, frames in ((False, forward), (True, _backward(video, last, decoder))):
        for index, frame in frames:
            if cancel is not None and cancel.is_set():
                return [state.builder.build(complete=False) for state in states]
            _sweep(decoder, states, index, frame, video.size_hw, reverse=reverse)
            done += 1
            yield Progress("track", done, total, time.monotonic() - started)
    return [state.builder.build() for state in states]


@torch.inference_mode()
def _sweep(
    decoder: PixelDecoder,
    states: list[_State],
    index: int,
    frame: np.ndarray,
    size_hw: tuple[int, int],
    *,
    reverse: bool,
) -> None:
    """Decode one frame for every object whose sweep has reached it."""
    active = [
        s for s in states if (index < s.target.anchor if reverse else index >= s.target.anchor)
    ]
    if not active:
        return
    features = decoder.encode(frame)
    for state in active:
        if reverse and index == state.target.anchor - 1:
            assert state.anchored is not None
            state.memory, state.previous = state.anchored
        decoded = decoder.step(
            features,
            state.target.prompts.get(index),
            state.previous,
            state.memory,
            index,
            size_hw,
            reverse=reverse,
        )
        state.previous = decoded.gated
        if index == state.target.anchor:
            state.anchored = (state.memory.fork(), decoded.gated)
        state.builder.put(index, decoder.to_mask(decoded, size_hw), confidence(decoded))


def confidence(decoded: Decoded) -> float:
    """Say how sure the decoder is that its mask is the object: presence times predicted overlap."""
    return float((decoded.score.sigmoid() * decoded.iou.clamp(0, 1))[0])


def _backward(
    video: FrameSource, stop: int, decoder: PixelDecoder
) -> Iterator[tuple[int, np.ndarray]]:
    """Stream frames stop-1 ... 0 at the decoder's size, holding one chunk of them at a time."""
    chunk = max(1, _CHUNK_BYTES // (decoder.side**2 * 3))
    while stop > 0:
        start = max(0, stop - chunk)
        held = [decoder.squash(frame) for frame in video.iter(start, stop)]
        for index in range(stop - 1, start - 1, -1):
            yield index, held[index - start]
        stop = start
