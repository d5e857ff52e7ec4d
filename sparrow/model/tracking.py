"""Tracks prompted objects through a video: from each anchor forward and backward, frames streamed.

Holds one frame, the objects' pruned memories and RLE masks, however long the video is.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from sparrow import boxes
from sparrow.confidence import Curve
from sparrow.model.looking import Eyes, Sight, look
from sparrow.model.memory import Memory
from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder
from sparrow.model.sam import Decoded
from sparrow.types import MaskTrack, Progress, TrackBuilder
from sparrow.work import Pulse, finish, progress_only

_SAME_BOX = 0.5  # overlap from which a proposal is taken for the object's next box
_SURE_BOX = 0.3  # score that it needs for that
_SURE_FAR = 0.85  # presence times overlap from which a thing is believed where it was not proposed
_CHUNK_BYTES = 128 << 20  # of frames held at once when a video is read backwards

SHOWN_EVERY = 0.5
"""Seconds between the tracks so far."""


class FrameSource(Protocol):
    """What tracking needs of a video: sparrow.video.Video, or anything that streams frames."""

    @property
    def num_frames(self) -> int: ...

    @property
    def size_hw(self) -> tuple[int, int]: ...

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]: ...


Propose = Callable[[np.ndarray], list[tuple[np.ndarray, np.ndarray]]]
"""Frames (n, H, W, 3) to normalised boxes (P, 4) and scores (P,) of each."""


@dataclass(frozen=True)
class Target:
    """An object to track."""

    referent_id: int
    anchor: int
    """The frame where tracking starts, both ways; it must have a prompt."""
    prompts: Mapping[int, FramePrompt]
    """By frame; later prompts correct what memory says. A mask is taken for the truth."""
    before: MaskTrack | None = None
    """The track that is corrected: it stays where tracking does not come."""
    near: range | None = None
    """Frames in which it is not known to be out of sight; in others a mask must be surer. None: all."""


class Growing:
    """The track of one referent while it grows, over the one that it corrects."""

    def __init__(self, video: FrameSource, referent_id: int, before: MaskTrack | None) -> None:
        self._before = before
        if before is None:
            self._builder = TrackBuilder(referent_id, video.size_hw, video.num_frames)
        else:
            self._builder = TrackBuilder.on(before.renamed(referent_id))

    def put(self, frame: int, mask: np.ndarray, score: float) -> None:
        """Set one frame; see `TrackBuilder`."""
        self._builder.put(frame, mask, score)

    def so_far(self) -> MaskTrack:
        """Give what there is, marked as not complete."""
        return self._builder.build(complete=False)

    def whole(self, span: range) -> MaskTrack:
        """Give the track once all frames of `span` are set; it is complete if what it corrects was, elsewhere."""
        track = self._builder.build()
        if self._before is None or self._before.complete or len(span) == track.num_frames:
            return track
        return self._builder.build(complete=False)


@dataclass(frozen=True, eq=False)
class Reached:
    """Streamed: what tracking has reached."""

    tracks: tuple[MaskTrack, ...]
    """One for each target, marked as not complete."""


class _State:
    """One object while a sweep runs over the frames."""

    def __init__(self, target: Target, memory: Memory, growing: Growing) -> None:
        self.target = target
        self.memory = memory
        self.sight: Sight | None = None
        self.anchored: tuple[Memory, Sight] | None = None
        self.growing = growing


def track(
    decoder: PixelDecoder,
    video: FrameSource,
    targets: list[Target],
    *,
    propose: Propose | None = None,
    span: range | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
) -> list[MaskTrack]:
    """Give one track per target, in their order; see `track_steps`."""
    steps = track_steps(decoder, video, targets, propose=propose, span=span, cancel=cancel)
    return finish(steps, progress_only(progress))


def track_steps(
    decoder: PixelDecoder,
    video: FrameSource,
    targets: list[Target],
    *,
    propose: Propose | None = None,
    span: range | None = None,
    cancel: threading.Event | None = None,
) -> Generator[Progress | Reached, None, list[MaskTrack]]:
    """Track targets through a video, yielding the progress after each frame, and at times the tracks so far.

    Each frame is decoded and encoded once per direction. When `cancel` is set the tracks so far are
    returned, marked as not complete.

    Args:
        decoder: draws the masks.
        video: where the frames come from.
        targets: what to track.
        propose: where given, a proposal that lies where the object last was becomes its box in a frame
            without a prompt: a small decoder's masks then do not creep into what is beside them.
        span: the frames to track in, all prompted ones among them; None for the whole video.
        cancel: checked before each frame.

    Returns:
        One track per target, in their order.
    """
    if not targets:
        return []
    started, pulse = time.monotonic(), Pulse(SHOWN_EVERY)
    span = range(video.num_frames) if span is None else span
    states = [
        _State(t, decoder.new_memory(), Growing(video, t.referent_id, t.before)) for t in targets
    ]
    first = min(t.anchor for t in targets)
    last = max(t.anchor for t in targets)
    total, done = span.stop - first + last - span.start, 0

    def squashed(start: int, stop: int) -> Iterator[np.ndarray]:
        return map(decoder.squash, video.iter(start, stop))

    forward = enumerate(video.iter(first, span.stop), first)
    if decoder.config.windowed:
        reversed_ = reversed_frames(video, last, span.start)
    else:
        reversed_ = backward(squashed, last, 3 * decoder.side**2, start=span.start)
    for reverse, frames in ((False, forward), (True, reversed_)):
        for index, frame in frames:
            if cancel is not None and cancel.is_set():
                return [state.growing.so_far() for state in states]
            _sweep(decoder, states, index, frame, video.size_hw, propose, reverse=reverse)
            done += 1
            yield Progress("track", done, total, time.monotonic() - started)
            if pulse.due():
                yield Reached(tuple(state.growing.so_far() for state in states))
    return [state.growing.whole(span) for state in states]


@torch.inference_mode()
def _sweep(
    decoder: PixelDecoder,
    states: list[_State],
    index: int,
    frame: np.ndarray,
    size_hw: tuple[int, int],
    propose: Propose | None,
    *,
    reverse: bool,
) -> None:
    """Decode one frame for every object whose sweep has reached it."""
    active = [
        s for s in states if (index < s.target.anchor if reverse else index >= s.target.anchor)
    ]
    if not active:
        return
    eyes, found = Eyes(decoder, frame, size_hw), None
    for state in active:
        if reverse and index == state.target.anchor - 1:
            assert state.anchored is not None
            state.memory, state.sight = state.anchored
        prompt = state.target.prompts.get(index)
        known = prompt is not None and prompt.mask is not None
        if prompt is None and propose is not None and state.sight and state.sight.box is not None:
            found = found or propose(frame[None])[0]
            prompt = _snapped(state.sight.box, *found, size_hw)
        sight = look(eyes, prompt, state.sight, state.memory, index, reverse=reverse)
        near = state.target.near
        if (
            prompt is None
            and near is not None
            and index not in near
            and _raw(sight.decoded) < _SURE_FAR
        ):
            sight = sight.missed(state.sight)
        state.sight = sight
        if index == state.target.anchor:
            state.anchored = (state.memory.fork(), sight)
        config = decoder.config
        curve = config.confidence_unaided if prompt is None else config.confidence
        state.growing.put(index, sight.mask, 1.0 if known else confidence(sight.decoded, curve))


def _snapped(
    box: np.ndarray, proposed: np.ndarray, scores: np.ndarray, size_hw: tuple[int, int]
) -> FramePrompt | None:
    """Point with the proposal that overlaps the last box (4,), in pixels, best, if it does so well enough."""
    overlaps = boxes.iou_matrix(boxes.to_norm(box, size_hw)[None], proposed)[0] * (
        scores >= _SURE_BOX
    )
    best = int(overlaps.argmax()) if len(overlaps) else 0
    if not len(overlaps) or overlaps[best] < _SAME_BOX:
        return None
    return FramePrompt(box=boxes.to_pixels(proposed[best], size_hw))


def confidence(decoded: Decoded, curve: Curve) -> float:
    """Say how sure the decoder is that its mask is the object: presence times predicted overlap, on a curve."""
    return curve(_raw(decoded))


def _raw(decoded: Decoded) -> float:
    return float((decoded.score.sigmoid() * decoded.iou.clamp(0, 1))[0])


def backward(
    read: Callable[[int, int], Iterator[np.ndarray]], stop: int, frame_bytes: int, start: int = 0
) -> Iterator[tuple[int, np.ndarray]]:
    """Stream frames stop-1 ... start with their indices, holding one chunk of them at a time.

    Args:
        read: streams the frames from a first one up to a last one, exclusive.
        stop: the frame before which it begins.
        frame_bytes: what a frame takes as it is read.
        start: the last frame.
    """
    chunk = max(1, _CHUNK_BYTES // frame_bytes)
    while stop > start:
        first = max(start, stop - chunk)
        held = list(read(first, stop))
        for index in range(stop - 1, first - 1, -1):
            yield index, held[index - first]
        stop = first


def reversed_frames(
    video: FrameSource, stop: int, start: int = 0
) -> Iterator[tuple[int, np.ndarray]]:
    """Stream the displayed frames stop-1 ... start with their indices."""
    return backward(video.iter, stop, 3 * math.prod(video.size_hw), start=start)
