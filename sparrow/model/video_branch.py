"""The PixelDecoder's released `video` mode: prompts on the first frame, SAM2's memory from there on.

All referents are tracked as one batch with one pruned memory, so that memory is flat however long the
video is. Frames arrive one at a time and masks leave one at a time.

The release takes [SEG] states alone here: it lacks the function that it calls for boxes. Two ways of
taking them are offered. `point_together`, the default, gives SAM2 a box's corners and the state as one
prompt, as the framewise mode does. `point_in_turn` is what the release would do with upstream SAM2's
function: each box replaces what came before it, and the mask so far is given along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from sparrow.model.framewise import box_counts, decode_pairs, to_masks
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.sam import Decoded, FrameFeatures, Prompts, box_points

_LOGIT_LIMIT = 32.0  # of a mask that is refined, as upstream

Point = Callable[[PixelDecoder, FrameFeatures, Tensor, list[Tensor] | None], Decoded]
"""Decoder, features of the first frame, states (R, E), boxes as in `inference_video` to R masks."""


def point_together(
    decoder: PixelDecoder, features: FrameFeatures, states: Tensor, boxes: list[Tensor] | None
) -> Decoded:
    """Decode R referents from a box and the [SEG] state together, text last.

    Of several boxes the largest logit counts at every pixel; the pointer, which memory goes by, is that
    of the box whose mask is held to be best.
    """
    if boxes is None:
        return _by_states(decoder, features, states)
    every = decode_pairs(decoder, features, states, boxes)
    return _best_of(every, [len(own) for own in boxes])


def point_in_turn(
    decoder: PixelDecoder, features: FrameFeatures, states: Tensor, boxes: list[Tensor] | None
) -> Decoded:
    """Decode R referents from the [SEG] state, then from each box alone upon the mask so far."""
    decoded = _by_states(decoder, features, states)
    for turn in range(max((len(own) for own in boxes or []), default=0)):
        rows = [row for row, own in enumerate(boxes or []) if turn < len(own)]
        corners = torch.stack([own[turn] for own in boxes or [] if turn < len(own)])
        so_far = decoded.gated[rows].clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)
        prompts = Prompts(points=box_points(corners), logits=so_far)
        again = decoder.sam.decode_alone(features.repeat(len(rows)), prompts)
        decoded = _replaced(decoded, rows, again)
    return decoded


@torch.inference_mode()
def inference_video(
    decoder: PixelDecoder,
    frames: Iterable[Tensor],
    states: Tensor,
    boxes: list[Tensor] | None,
    size_hw: tuple[int, int],
    *,
    first: FrameFeatures | None = None,
    point: Point = point_together,
) -> Iterator[Tensor]:
    """Yield the masks (R, H, W) bool of each frame.

    Args:
        decoder: draws and remembers.
        frames: normalised (3, S, S) each; one is held at a time.
        states: (R, E) projected [SEG] states.
        boxes: R times (n >= 1, 4) xyxy in model pixels of the first frame; None: the states alone.
        size_hw: of the displayed frames.
        first: features of the first frame, where they have been computed already.
        point: what states and boxes make of the first frame.

    Raises:
        ValueError: there are not R lists of boxes, or one is empty.
    """
    box_counts(boxes, len(states))
    memory = decoder.new_memory()
    for index, frame in enumerate(frames):
        if not len(states):
            yield torch.zeros(0, *size_hw, dtype=torch.bool, device=states.device)
            continue
        if index == 0:
            features = first or decoder.encode_pixels(frame)
            decoded = point(decoder, features, states, boxes)
            decoder.sam.remember(features.repeat(len(states)), decoded, memory, 0)
        else:
            shared = decoder.encode_pixels(frame).repeat(len(states))
            decoded = decoder.sam.step(shared, Prompts(), memory, index)
        yield to_masks(decoded.gated[:, 0], size_hw)


def _by_states(decoder: PixelDecoder, features: FrameFeatures, states: Tensor) -> Decoded:
    prompts = Prompts(tokens=decoder.token_proj(states)[:, None])
    return decoder.sam.decode_alone(features.repeat(len(states)), prompts)


def _best_of(decoded: Decoded, counts: list[int]) -> Decoded:
    """Merge the rows of each referent: the largest logits, the rest from its surest row."""
    held = decoded.iou + decoded.presence[:, 0]  # presence outweighs any overlap
    starts = [sum(counts[:row]) for row in range(len(counts))]
    best = [
        start + int(own.argmax()) for start, own in zip(starts, held.split(counts), strict=True)
    ]
    merged = {name: value[best] for name, value in vars(decoded).items()}
    for name in ("logits", "gated"):
        merged[name] = torch.stack([own.max(0).values for own in vars(decoded)[name].split(counts)])
    return Decoded(**merged)


def _replaced(decoded: Decoded, rows: list[int], by: Decoded) -> Decoded:
    """Put other rows in place of some."""
    index = torch.tensor(rows, device=decoded.logits.device)
    return Decoded(
        **{
            name: value.index_copy(0, index, vars(by)[name])
            for name, value in vars(decoded).items()
        }
    )
