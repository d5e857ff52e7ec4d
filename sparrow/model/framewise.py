"""The PixelDecoder's released `framewise` mode: each frame by itself, from [SEG] states and boxes.

No memory: the boxes that were chosen on the first frame point at the same place in every frame. The
box-prior filter is here too, since it asks the same decoder. Frames arrive one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from sparrow.model.box_prior import COMPARED_AT, BoxPriorConfig, keep, prior_scores
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.sam import Decoded, FrameFeatures, Prompts, box_points

_ROWS = 32  # prompts that are decoded at once; some 40 MB each at 1024 pixels


def decode_frame(
    decoder: PixelDecoder,
    features: FrameFeatures,
    states: Tensor,
    boxes: list[Tensor] | None = None,
) -> Tensor:
    """Give the logits (R, S/4, S/4) of R states in one frame; > 0 is the object.

    A state with several boxes is decoded with each; the largest logit counts at every pixel. Can be
    differentiated.

    Args:
        decoder: draws.
        features: of the frame.
        states: (R, E) projected [SEG] states.
        boxes: R times (n >= 1, 4) xyxy in model pixels; None: the states alone.

    Raises:
        ValueError: there are not R lists of boxes, or one is empty.
    """
    counts = box_counts(boxes, len(states))
    if not len(states):
        return states.new_zeros(0, decoder.side // 4, decoder.side // 4)
    logits = decode_pairs(decoder, features, states, boxes).logits[:, 0]
    if boxes is None:
        return logits
    return torch.stack([own.max(0).values for own in logits.split(counts)])


def decode_pairs(
    decoder: PixelDecoder, features: FrameFeatures, states: Tensor, boxes: list[Tensor] | None
) -> Decoded:
    """Decode every pair of a state and one of its boxes by itself; arguments as in `decode_frame`.

    Returns:
        As many rows as there are boxes, state by state; without boxes one row per state.
    """
    tokens = decoder.token_proj(states)[:, None]  # (R, 1, D)
    rows = list(range(len(states)))
    if boxes is not None:
        rows = [row for row, own in enumerate(boxes) for _ in range(len(own))]
    corners = None if boxes is None else torch.cat(boxes)
    parts = []
    for start in range(0, len(rows), _ROWS):
        some = slice(start, start + _ROWS)
        points = None if corners is None else box_points(corners[some])
        prompts = Prompts(points=points, tokens=tokens[rows[some]], picture=True)
        shared = features.repeat(len(rows[some]))
        parts.append(vars(decoder.sam.decode_alone(shared, prompts)))
    return Decoded(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})


@torch.inference_mode()
def inference_framewise(
    decoder: PixelDecoder,
    frames: Iterable[Tensor],
    states: Tensor,
    boxes: list[Tensor] | None,
    size_hw: tuple[int, int],
    *,
    first: FrameFeatures | None = None,
) -> Iterator[Tensor]:
    """Yield the masks (R, H, W) bool of each frame.

    Args:
        decoder: draws.
        frames: normalised (3, S, S) each; one is held at a time.
        states: (R, E) projected [SEG] states.
        boxes: as in `decode_frame`, of the first frame; used in all.
        size_hw: of the displayed frames.
        first: features of the first frame, where they have been computed already.

    Raises:
        ValueError: there are not R lists of boxes, or one is empty.
    """
    for index, frame in enumerate(frames):
        if not len(states):
            yield torch.zeros(0, *size_hw, dtype=torch.bool, device=states.device)
            continue
        features = (first if index == 0 else None) or decoder.encode_pixels(frame)
        yield to_masks(decode_frame(decoder, features, states, boxes), size_hw)


@torch.inference_mode()
def prior_masks(
    decoder: PixelDecoder, features: FrameFeatures, boxes: Tensor, size_hw: tuple[int, int]
) -> Tensor:
    """Give the masks (P, 256, 256) in [0, 1] that boxes alone draw in a frame.

    Cut to yes and no at the displayed size, then resized: so the release compares them.

    Args:
        decoder: draws.
        features: of the frame.
        boxes: (P, 4) xyxy in model pixels.
        size_hw: of the displayed frame.
    """
    parts = [torch.zeros(0, COMPARED_AT, COMPARED_AT, device=boxes.device)]
    for start in range(0, len(boxes), _ROWS):
        rows = boxes[start : start + _ROWS]
        prompts = Prompts(points=box_points(rows))
        decoded = decoder.sam.decode_alone(features.repeat(len(rows)), prompts)
        masks = to_masks(decoded.gated[:, 0], size_hw)[:, None].float()
        small = F.interpolate(
            masks, (COMPARED_AT, COMPARED_AT), mode="bilinear", align_corners=False
        )
        parts.append(small[:, 0])
    return torch.cat(parts)


@torch.inference_mode()
def fitting_boxes(
    decoder: PixelDecoder,
    features: FrameFeatures,
    boxes_norm: list[Tensor],
    size_hw: tuple[int, int],
    config: BoxPriorConfig,
) -> list[Tensor]:
    """Keep of each state's boxes those that SAM2 alone fills: the released box-prior filter.

    Args:
        decoder: draws.
        features: of the first frame.
        boxes_norm: R times (n, 4) normalised xyxy.
        size_hw: of the displayed frame.
        config: when a box is kept.

    Returns:
        R times (<= n, 4) normalised xyxy; at least one where there was one.
    """
    if not boxes_norm:
        return []
    # States often share boxes: each one is drawn once.
    unique, places = torch.unique(torch.cat(boxes_norm), dim=0, return_inverse=True)
    masks = prior_masks(decoder, features, unique * decoder.side, size_hw)
    scores = prior_scores(masks, unique)[places].split([len(own) for own in boxes_norm])
    return [own[keep(score, config)] for own, score in zip(boxes_norm, scores, strict=True)]


def to_masks(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Scale logits (R, S/4, S/4) to the displayed frame and cut them: (R, H, W) bool."""
    if not len(logits):
        return torch.zeros(0, *size_hw, dtype=torch.bool, device=logits.device)
    scaled = F.interpolate(logits[:, None], size=size_hw, mode="bilinear", align_corners=False)
    return scaled[:, 0] > 0


def box_counts(boxes: list[Tensor] | None, states: int) -> list[int]:
    """Count the boxes of each state.

    Raises:
        ValueError: there are not as many lists as states, or one is empty.
    """
    counts = [len(own) for own in boxes or []]
    if boxes is not None and (len(counts) != states or 0 in counts):
        raise ValueError(
            f"boxes: expected at least one for each of {states} states, or None; got {counts}"
        )
    return counts
