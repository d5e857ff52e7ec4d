"""Follows one thing with a decoder fine-tuned for it: each frame's mask is the next one's prompt.

Looks through a window that goes along, so that small things are seen large. What the thing looks like
is in the weights, so there is no memory; where the decoder is unsure the mask is empty. Optical flow carries
the mask along: it settles what the decoder is not sure of, and tells when the thing becomes smaller or
larger. Knows nothing of how the weights came about.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from sparrow import masks
from sparrow.model.carrying import carry, weighed
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.sam import Prompts
from sparrow.model.tracking import (
    SHOWN_EVERY,
    FrameSource,
    Growing,
    Reached,
    confidence,
    reversed_frames,
)
from sparrow.model.window import Window
from sparrow.types import MaskTrack, Progress
from sparrow.work import Pulse

WINDOW = 3.0
"""Side of the window in longer sides of the thing."""
_DETAIL = 2
"""Masks are cut at so many times the decoder's side."""
_CARRIED = 0.15
"""Weight of what flow carried against the decoder's logits, ..."""
_UNKNOWN = 0.5
"""... and what it says where nothing was to be carried."""
_STEP = 0.2
"""Share of its size that a thing's edge can move in a frame."""
_GROWTH = 1.1
"""How much larger a mask can be than the one before, ..."""
_LARGEST = 1.1
"""... and than the thing was lately; what is beyond is left out, least sure pixels first."""
_SMALLEST = 0.05
"""Share of the thing's area below which what is left of a mask is not believed."""
_LATELY = 0.01
"""Share of each new area in the thing's area, ..."""
_PACE = 0.03
"""... which also changes as the carried mask does, by at most this share a frame."""
_SURE = 0.3
"""Expected overlap from which a mask is believed, ..."""
_SURE_AGAIN = 0.5
"""... and that of a thing that had been lost."""


@dataclass(frozen=True, eq=False)
class Followed:
    """A thing to follow, with its own decoder."""

    referent_id: int
    decoder: PixelDecoder
    masks: Mapping[int, np.ndarray]
    """(H, W) bool by frame: what the user accepted; it is followed from the first of them, both ways."""
    before: MaskTrack | None = None
    """The track that is corrected: it stays where following does not come."""

    @property
    def anchor(self) -> int:
        return min(self.masks)


class Follower:
    """Carries a mask from frame to frame."""

    def __init__(self, decoder: PixelDecoder, frame: np.ndarray, mask: np.ndarray) -> None:
        """Begin at a frame (H, W, 3) uint8 and its mask (H, W) bool with at least one pixel."""
        self._decoder = decoder
        self._first = self._area = float(np.count_nonzero(mask))
        box = masks.box_of(mask)
        self._reach = WINDOW * float((box[2:] - box[:2]).max())
        self._where = (box[:2] + box[2:]) / 2
        self._frame, self._mask = frame, mask

    def put(self, frame: np.ndarray, mask: np.ndarray) -> None:
        """Go on from a frame's mask (H, W) bool that is known to be right."""
        self._frame, self._mask = frame, mask
        if mask.any():
            self._area = float(np.count_nonzero(mask))
            self._look_at(mask)

    def window(self) -> Window:
        """Give the part of the next frame that is looked at."""
        reach = self._reach * (self._area / self._first) ** 0.5
        return Window.at(self._where, reach if self._mask.any() else 2 * reach, self._mask.shape)

    def step(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """Find the thing in the next frame (H, W, 3) uint8: its mask (H, W) bool and a score in [0, 1]."""
        window = self.window()
        size = window.size_hw[::-1]
        large = _DETAIL * self._decoder.side
        before = cv2.resize(
            window.cut(self._mask).astype(np.float32), (large, large), interpolation=cv2.INTER_AREA
        )
        logits, sure, score = self._decode(window.cut(frame), before)
        lost = not before.any()
        carried = np.full_like(before, _UNKNOWN) if lost else self._carried(frame, window, before)
        unit = size[0] * size[1] / large**2  # pixels of the frame in one of the mask
        found = self._bounded(weighed(logits, carried, _CARRIED), before, self._area / unit)
        area = float(np.count_nonzero(found)) * unit
        enough = sure >= (_SURE_AGAIN if lost else _SURE) and area >= _SMALLEST * self._area
        self._frame, self._mask = frame, np.zeros_like(self._mask)
        if enough:
            part = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
            window.cut(self._mask)[:] = part >= 0.5
            self._area += _LATELY * (area - self._area)
            self._look_at(self._mask)
        return self._mask, score

    def _carried(self, frame: np.ndarray, window: Window, before: np.ndarray) -> np.ndarray:
        """Carry the mask along, `before` (L, L) as the window shows it; the area goes with it. In [0, 1]."""
        found = carry(self._mask, self._frame, frame, window, self._decoder.side)
        carried = cv2.resize(found, before.shape, interpolation=cv2.INTER_LINEAR)
        change = float(carried.sum()) / float(before.sum())
        self._area *= min(max(change, 1 - _PACE), 1 + _PACE)
        return np.asarray(carried)

    @torch.inference_mode()
    def _decode(self, picture: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Give the logits (L, L), the expected overlap (0 where absent) and the score."""
        decoder = self._decoder
        decoded = decoder.sam.decode_alone(decoder.encode(picture), hints(decoder, [before]))
        logits = F.interpolate(
            decoded.gated, size=before.shape, mode="bilinear", align_corners=False
        )
        sure = float(decoded.iou[0]) if float(decoded.score[0]) > 0 else 0.0
        return logits[0, 0].cpu().numpy(), sure, confidence(decoded, decoder.config.confidence)

    def _bounded(self, belief: np.ndarray, before: np.ndarray, area: float) -> np.ndarray:
        """Cut the mask (L, L) that can have become of `before`; a leak does not get far."""
        found = belief > 0.5
        most = _LARGEST * area
        if before.any():
            radius = int(max(2, _STEP * _extent(before >= 0.5)))
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
            found &= cv2.dilate((before >= 0.5).astype(np.uint8), disc) > 0
            most = min(most, _GROWTH * max(float(before.sum()), 0.2 * area))
        if np.count_nonzero(found) > most:
            rank = np.where(found, belief + 1e-3 * before, 0.0).ravel()
            surest = np.argpartition(rank, -int(most) - 1)[rank.size - int(most) :]
            found = np.zeros(rank.size, dtype=bool)
            found[surest] = True
            return found.reshape(before.shape)
        return found

    def _look_at(self, mask: np.ndarray) -> None:
        box = masks.box_of(mask)
        if not np.isnan(box[0]):
            self._where = (box[:2] + box[2:]) / 2


def hints(decoder: PixelDecoder, before: Sequence[np.ndarray]) -> Prompts:
    """Point at B things by their masks (N, N), floats in [0, 1] or bool; an empty one points at nothing."""
    side, grid = decoder.side, decoder.side // 4
    points = np.zeros((len(before), 2, 2), np.float32)
    labels = np.full((len(before), 2), -1, np.int32)
    dense = np.zeros((len(before), 1, grid, grid), np.float32)
    for row, mask in enumerate(before):
        box = masks.box_of(mask >= 0.5)
        if not np.isnan(box[0]):
            points[row], labels[row] = box.reshape(2, 2) * side / len(mask), (2, 3)
            dense[row, 0] = cv2.resize(
                mask.astype(np.float32), (grid, grid), interpolation=cv2.INTER_AREA
            )
    device = decoder.sam.no_mem_embed.device
    given = (torch.from_numpy(points).to(device), torch.from_numpy(labels).to(device))
    return Prompts(given, None, torch.from_numpy(dense).to(device))


def follow_steps(
    video: FrameSource,
    things: Sequence[Followed],
    *,
    span: range | None = None,
    cancel: threading.Event | None = None,
) -> Generator[Progress | Reached, None, list[MaskTrack]]:
    """Follow things through a video, yielding the progress after each frame, and at times the tracks so far.

    When `cancel` is set the tracks so far are returned, marked as not complete.

    Args:
        video: where the frames come from.
        things: what to follow.
        span: the frames to follow in, all accepted ones among them; None for the whole video.
        cancel: checked before each frame.

    Returns:
        One track per thing, in their order.
    """
    started, pulse = time.monotonic(), Pulse(SHOWN_EVERY)
    span = range(video.num_frames) if span is None else span
    first, last = min(t.anchor for t in things), max(t.anchor for t in things)
    total, done = span.stop - first + last - span.start, 0
    growing = [Growing(video, thing.referent_id, thing.before) for thing in things]
    forward = enumerate(video.iter(first, span.stop), first)
    backwards = reversed_frames(video, last, span.start)
    anchors: dict[int, np.ndarray] = {}
    for reverse, frames in ((False, forward), (True, backwards)):
        followers = {place: _begin(things[place], frame) for place, frame in anchors.items()}
        for index, frame in frames:
            if cancel is not None and cancel.is_set():
                return [each.so_far() for each in growing]
            for place, (thing, each) in enumerate(zip(things, growing, strict=True)):
                if index == thing.anchor and not reverse:
                    anchors[place], followers[place] = frame, _begin(thing, frame)
                if index in thing.masks:
                    followers[place].put(frame, thing.masks[index])
                    each.put(index, thing.masks[index], 1.0)
                elif (index < thing.anchor) == reverse:
                    each.put(index, *followers[place].step(frame))
            done += 1
            yield Progress("track", done, total, time.monotonic() - started)
            if pulse.due():
                yield Reached(tuple(each.so_far() for each in growing))
    return [each.whole(span) for each in growing]


def _begin(thing: Followed, frame: np.ndarray) -> Follower:
    """Begin to follow a thing from its anchor, whose frame is given."""
    return Follower(thing.decoder, frame, thing.masks[thing.anchor])


def _extent(mask: np.ndarray) -> float:
    """Give the side of the square as large as the box of a mask (H, W), 0 for an empty one."""
    box = masks.box_of(mask)
    return 0.0 if np.isnan(box[0]) else float((box[2:] - box[:2]).prod() ** 0.5)
