"""Pointing that learns: what the user points at -> a decoder fine-tuned for it -> its track.

From each frame pointed at, next frames are dreamt (see dreams.py), and a copy of the model's decoder
learns to find the thing in them, given its mask in the frame before. After some training that copy follows
the thing for a moment, so that the rest is dreamt before sceneries the video really has. The copy belongs to
that thing and that call; the shared model never changes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparrow import masks
from sparrow.dreams import Dream, Dreamer, spoiled
from sparrow.errors import ModelError, PromptError
from sparrow.model.following import WINDOW, Followed, Follower, follow_steps, hints
from sparrow.model.looking import Eyes, point
from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder
from sparrow.model.sam import Decoded
from sparrow.model.tracking import FrameSource, Reached, Target, reversed_frames
from sparrow.model.window import Window
from sparrow.train.losses import mask_bce, mask_dice
from sparrow.types import MaskTrack, Progress
from sparrow.work import finish, progress_only

_TRAINED = (
    "sam.image_encoder.",
    "sam.sam_prompt_encoder.",
    "sam.sam_mask_decoder.",
    "sam.no_mem_embed",
)
"""What an adapted decoder has for itself; the rest is the shared model's."""
_MARGIN = 0.15
"""Share of a mask's size by which its thing may reach beyond it."""
_HELD_OUT = 8
"""Dreams that are never trained on."""
_GAIN = 0.004
"""By how much their overlap must rise for adapting to go on."""
_SETTLING = 16
"""Steps over which the learning rate falls to nothing where adapting ends early."""
_PIXELS = 60.0
"""Weight of the mean over pixels beside the other losses."""


@dataclass(frozen=True)
class Effort:
    """How long and how to adapt."""

    seconds: float = 30.0
    """Of wall clock, for all things together."""
    steps: int | None = None
    """Steps per thing instead: the result then depends on nothing but the seed."""
    seed: int = 0
    side: int = 192
    """Of the squares that the copies see, a multiple of 32: a little more than the shared model was
    trained on shows more of the thing."""
    batch: int = 4
    """Dreams per step."""
    learning_rate: float = 6e-4
    warm_up: int = 8
    """Steps."""
    blind: float = 0.1
    """Share of dreams without the mask of the frame before: the thing is to be found by its looks."""
    spoilt: float = 0.6
    """Share of the others where that mask has a tracker's mistakes."""
    looks: tuple[float, ...] = (0.25, 0.55)
    """Shares of the effort after which the video's own sceneries join, and are renewed."""
    look_frames: int = 80
    """Frames next to the first prompt that are looked through for them."""
    sceneries: int = 16
    check_every: int = 10
    """Steps between looks at dreams that are not trained on."""
    patience: int = 8
    """Looks that must be better than as many before them; otherwise adapting ends early."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise PromptError(f"adapt: expected a number of seconds above 0, got {self.seconds}")
        if self.steps is not None and self.steps < 1:
            raise PromptError(f"adapt: expected at least one step, got {self.steps}")
        if self.side < 32 or self.side % 32:
            raise PromptError(f"adapt: expected a side that is a multiple of 32, got {self.side}")


def adapt_and_track(
    decoder: PixelDecoder,
    video: FrameSource,
    targets: Sequence[Target],
    effort: Effort,
    *,
    span: range | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[MaskTrack]:
    """Give one track per target, in their order; see `adapt_and_track_steps`."""
    steps = adapt_and_track_steps(
        decoder, video, targets, effort, span=span, cancel=cancel, clock=clock
    )
    return finish(steps, progress_only(progress))


def adapt_and_track_steps(
    decoder: PixelDecoder,
    video: FrameSource,
    targets: Sequence[Target],
    effort: Effort,
    *,
    span: range | None = None,
    cancel: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Progress | Reached, None, list[MaskTrack]]:
    """Fine-tune a copy of the decoder for each target, then follow them all, yielding the progress.

    The effort is shared out evenly; every frame that a target has a prompt on is dreamt from. When `cancel` is
    set, adapting ends, and the tracks so far are returned, marked as not complete.

    Args:
        decoder: the shared one; it is not changed.
        video: where the frames come from.
        targets: what to adapt to and to track.
        effort: how long.
        span: the frames to track in, all prompted ones among them; None for the whole video.
        cancel: checked before each step and each frame.
        clock: what seconds are measured by.

    Raises:
        ModelError: the decoder takes no masks as maps, so that it cannot be adapted.
        PromptError: a prompt points at nothing.
    """
    if not decoder.config.dense_prompts:
        raise ModelError(
            "adapt: expected a model whose decoder has dense_prompts, such as sparrow-mini; "
            "a full checkpoint tracks without adapting"
        )
    started = time.monotonic()
    things = []
    for place, target in enumerate(targets):
        stills = [_still(decoder, video, frame, prompt) for frame, prompt in target.prompts.items()]
        adapting = _Adapting(decoder, video, stills, effort)
        run = adapting.run(effort.seconds / len(targets), clock, cancel)
        for share in run:
            done = round(100 * (place + share) / len(targets))
            yield Progress("adapt", done, 100, time.monotonic() - started)
        things.append(
            Followed(
                target.referent_id,
                adapting.decoder,
                {still.index: still.mask for still in stills},
                target.before,
            )
        )
    return (yield from follow_steps(video, things, span=span, cancel=cancel))


@dataclass(frozen=True, eq=False)
class Still:
    """A frame that the user pointed at, with the thing's mask."""

    index: int
    frame: np.ndarray
    """(H, W, 3) uint8."""
    mask: np.ndarray
    """(H, W) bool."""


def _still(decoder: PixelDecoder, video: FrameSource, index: int, prompt: FramePrompt) -> Still:
    frame = next(video.iter(index, index + 1))
    with torch.inference_mode():
        mask = point(Eyes(decoder, frame), prompt).mask
    if not mask.any():
        raise PromptError(
            f"adapt: found nothing at the prompt in frame {index}; "
            "draw a box tightly around the thing"
        )
    return Still(index, frame, mask)


class _Adapting:
    """One thing's copy of the decoder while it learns."""

    def __init__(
        self, decoder: PixelDecoder, video: FrameSource, stills: Sequence[Still], effort: Effort
    ) -> None:
        self.decoder = own_copy(decoder, effort.side)
        self._video = video
        self._stills = stills
        self._effort = effort
        self._rng = np.random.default_rng(effort.seed)
        self._dreamers = [self._dreamer(still) for still in stills]
        held_out = np.random.default_rng((effort.seed, 1))
        self._held = [self._dreamers[0].dream(held_out) for _ in range(_HELD_OUT)]
        self._weights = [w for name, w in self.decoder.named_parameters() if _is_trained(name)]

    def _dreamer(self, still: Still) -> Dreamer:
        window = Window.around(masks.box_of(still.mask), WINDOW, still.mask.shape)
        return Dreamer(window.cut(still.frame), window.cut(still.mask), self.decoder.side)

    def run(
        self, seconds: float, clock: Callable[[], float], cancel: threading.Event | None
    ) -> Iterator[float]:
        """Train, yielding the share of the effort that is spent."""
        effort, started, step = self._effort, clock(), 0
        optimizer = torch.optim.AdamW(self._weights, betas=(0.9, 0.98), weight_decay=0.0)
        looks = list(effort.looks)
        overlaps: list[float] = []
        settling: int | None = None
        while cancel is None or not cancel.is_set():
            share = step / effort.steps if effort.steps else (clock() - started) / seconds
            left = 1.0 if settling is None else 1 - (step - settling) / _SETTLING
            if share >= 1 or left <= 0:
                break
            if looks and share >= looks[0]:
                del looks[0]
                self._look_around()
            rate = effort.learning_rate * min(1.0, (step + 1) / effort.warm_up) * left
            for group in optimizer.param_groups:
                group["lr"] = rate * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
            self._step(optimizer)
            step += 1
            if step % effort.check_every == 0 and settling is None:
                overlaps.append(self._check())
                settling = step if _is_flat(overlaps, effort.patience) else None
            yield min(share, 1.0)

    @torch.inference_mode()
    def _check(self) -> float:
        """Give the mean overlap on dreams that are never trained on."""
        decoded = self._decode(self._held, [dream.before for dream in self._held])
        found = (decoded.gated[:, 0] > 0).cpu().numpy()
        return float(
            np.mean(
                [masks.iou(f, _small(d.mask, 4)) for f, d in zip(found, self._held, strict=True)]
            )
        )

    @torch.enable_grad()
    def _step(self, optimizer: torch.optim.Optimizer) -> None:
        dreams = [self._dream() for _ in range(self._effort.batch)]
        decoded = self._decode(dreams, [self._hint(dream) for dream in dreams])
        truth = torch.from_numpy(np.stack([_small(dream.mask, 2) for dream in dreams]))
        loss = dream_loss(decoded, truth.to(decoded.logits.device))
        optimizer.zero_grad()
        torch.autograd.backward(loss, inputs=self._weights)
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        optimizer.step()

    def _dream(self) -> Dream:
        return self._dreamers[int(self._rng.integers(len(self._dreamers)))].dream(self._rng)

    def _hint(self, dream: Dream) -> np.ndarray:
        """Give what is known of the frame before a dream, (S, S) bool: mistaken, or nothing, at times."""
        if self._rng.random() < self._effort.blind:
            return np.zeros_like(dream.before)
        if self._rng.random() < self._effort.spoilt:
            return spoiled(dream.before, self._rng)
        return dream.before

    def _decode(self, dreams: Sequence[Dream], before: Sequence[np.ndarray]) -> Decoded:
        sam = self.decoder.sam
        features = sam.encode(self.decoder.prepare([dream.frame for dream in dreams]))
        return sam.decode_alone(features, hints(self.decoder, before))

    def _look_around(self) -> None:
        """Follow the thing for a moment, and dream before what is seen around it from then on."""
        known = {still.index: still for still in self._stills}
        first = known[min(known)]
        follower = Follower(self.decoder, first.frame, first.mask)
        count, frames = _next_to(self._video, first.index, self._effort.look_frames)
        chosen = set(np.linspace(0, count - 1, self._effort.sceneries + 1).astype(int)[1:].tolist())
        around = []
        for place, (index, frame) in enumerate(frames):
            window = follower.window()
            if index in known:
                mask = known[index].mask
                follower.put(frame, mask)
            else:
                mask, _ = follower.step(frame)
            if place in chosen and window.cut(mask).any():
                around.append((window.cut(frame), _widened(window.cut(mask))))
        for dreamer in self._dreamers:
            dreamer.show(around)


def own_copy(decoder: PixelDecoder, side: int) -> PixelDecoder:
    """Copy what is trained of a decoder, for squares of another side; the rest stays the shared one's memory.

    Args:
        decoder: the shared one.
        side: a multiple of 32.
    """
    with torch.random.fork_rng(devices=[]):  # building draws weights that are replaced at once
        own = PixelDecoder(replace(decoder.config, image_size=side))
    weights = decoder.state_dict()
    own.load_state_dict(
        {name: w.clone() if _is_trained(name) else w for name, w in weights.items()}, assign=True
    )
    for name, weight in own.named_parameters():
        weight.requires_grad_(_is_trained(name))
    return own.to(decoder.sam.no_mem_embed.device).eval()


def dream_loss(decoded: Decoded, truth: Tensor) -> Tensor:
    """Mask, overlap and presence losses of B things.

    The pixels of a mask count alike: the training losses of the shared model weigh a thing as much as all that
    is around it, which lets a tracker leak into scenery that it has not seen.

    Args:
        decoded: of B frames.
        truth: (B, S/2, S/2) bool.
    """
    present = truth.flatten(1).any(1)
    logits = F.interpolate(decoded.logits, scale_factor=2.0, mode="bilinear", align_corners=False)[
        :, 0
    ]
    target = truth.float()
    loss = F.binary_cross_entropy_with_logits(decoded.score, present.float())
    loss = loss + _PIXELS * mask_bce(logits, target, len(target))
    if not present.any():
        return loss
    with torch.no_grad():
        inside = logits > 0
        union = (inside | truth).flatten(1).sum(1).clamp(min=1)
        overlap = (inside & truth).flatten(1).sum(1) / union
    loss = loss + mask_dice(logits[present], target[present], float(present.sum()))
    return loss + (decoded.iou - overlap)[present].abs().mean()


def _is_trained(name: str) -> bool:
    return name.startswith(_TRAINED)


def _is_flat(overlaps: Sequence[float], patience: int) -> bool:
    """Say whether the latest overlaps are hardly better than as many before them."""
    if len(overlaps) < 2 * patience:
        return False
    latest, earlier = overlaps[-patience:], overlaps[-2 * patience : -patience]
    return float(np.mean(latest) - np.mean(earlier)) < _GAIN


def _small(mask: np.ndarray, times: int) -> np.ndarray:
    """Shrink a mask (S, S) bool so many times."""
    cells = len(mask) // times
    return np.asarray(mask.reshape(cells, times, cells, times).mean((1, 3)) >= 0.5)


def _widened(mask: np.ndarray) -> np.ndarray:
    """Widen a mask (H, W) bool by a share of its size: the thing is somewhere in there."""
    box = masks.box_of(mask)
    radius = 1 + int(_MARGIN * float((box[2:] - box[:2]).prod() ** 0.5))
    square = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), square) > 0)


def _next_to(
    video: FrameSource, index: int, count: int
) -> tuple[int, Iterator[tuple[int, np.ndarray]]]:
    """Stream up to `count` frames after a frame, or before it, backwards, if there are more; and say how many."""
    after = video.num_frames - 1 - index
    if after >= min(count, index):
        return min(count, after), islice(enumerate(video.iter(index + 1), index + 1), count)
    return min(count, index), islice(reversed_frames(video, index), count)
