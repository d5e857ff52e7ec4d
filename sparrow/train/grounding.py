"""The loss of the released model's training: words, masks and the choice of proposals, in one forward pass.

Towers, SAM2's image encoder and the Proposer are not trained. What of the rest is, the optimiser decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparrow.model.box_prior import tight_boxes
from sparrow.model.framewise import decode_frame
from sparrow.model.guidance import guide
from sparrow.model.sam import FrameFeatures
from sparrow.model.selector import Judgement
from sparrow.model.sparrow import SparrowModel
from sparrow.model.splice import Spliced
from sparrow.model.videoglamm import VideoGlamm
from sparrow.train.losses import SelectionLoss, mask_bce, mask_dice, selection


@dataclass(frozen=True, eq=False)
class GroundedSample:
    """A conversation about a clip, and where its referents are."""

    inputs: Spliced
    """With the clip's visual tokens in their place."""
    labels: Tensor
    """(S,) the ids to be learnt and -100 elsewhere."""
    frames: Tensor
    """(T, 3, S, S) normalised for SAM2."""
    masks: Tensor
    """(R, T, H, W) float, 1 inside, 0 outside, -1 not known; the n-th belongs to the n-th [SEG]."""


@dataclass(frozen=True)
class GroundingWeights:
    """What each part of the loss counts. The defaults are the released ones."""

    words: float = 1.0
    bce: float = 2.0
    dice: float = 0.5
    choice: float = 1.0
    box: float = 0.01


@dataclass(frozen=True, eq=False)
class GroundingLoss:
    """Each part unweighted, scalars."""

    words: Tensor
    bce: Tensor
    """Mean over all masks of all frames."""
    dice: Tensor
    choice: Tensor
    """Mean over the conversations with a [SEG]."""
    box: Tensor

    def total(self, weights: GroundingWeights) -> Tensor:
        parts = vars(weights).items()
        return torch.stack([weight * vars(self)[name] for name, weight in parts]).sum()


def grounding_loss(model: SparrowModel, samples: Sequence[GroundedSample]) -> GroundingLoss:
    """Give the loss of a batch.

    As released: the boxes that the Selector chooses on the first frame point in every frame, and its
    goal is every proposal that overlaps the box around all of a referent's masks by 0.3. A mask without
    a [SEG] is compared with logits of zero; a [SEG] without a mask is left alone. Unlike the release,
    proposals and referents that are absent never make the loss NaN.

    Raises:
        TypeError: the model has another VideoLLM.
    """
    llm = model.video_llm
    if not isinstance(llm, VideoGlamm):
        raise TypeError(f"expected the released VideoLLM, got {type(llm).__name__}")
    reading = llm.forward_text([one.inputs for one in samples], [one.labels for one in samples])
    drawn, chosen = [], []
    for one, seg, box in zip(samples, reading.seg_states, reading.box_states, strict=True):
        masks, choice = _ground(model, one, seg, box)
        drawn.append(masks)
        if choice is not None:
            chosen.append(choice)
    logits = torch.cat([masks.flatten(0, 1) for masks in drawn])  # (all R * T, H, W)
    truth = torch.cat([one.masks.flatten(0, 1) for one in samples]).to(logits)
    zero = reading.loss.new_zeros(())
    return GroundingLoss(
        reading.loss,
        mask_bce(logits, truth, len(truth)),
        mask_dice(logits, truth, len(truth)),
        torch.stack([own.choice for own in chosen]).mean() if chosen else zero,
        torch.stack([own.box for own in chosen]).mean() if chosen else zero,
    )


def union_boxes(masks: Tensor) -> Tensor:
    """Give the normalised xyxy box around all of a referent's masks (R, T, H, W), (R, 4); NaN for none."""
    inside = (masks > 0).any(1)  # (R, H, W)
    return tight_boxes(inside).masked_fill(~inside.flatten(1).any(1)[:, None], torch.nan)


def _ground(
    model: SparrowModel, sample: GroundedSample, seg: Tensor, box: Tensor
) -> tuple[Tensor, SelectionLoss | None]:
    """Draw the masks (R, T, H, W) of a conversation's [SEG] states and judge its choice of proposals."""
    referents, count, *size = sample.masks.shape
    if not len(seg):
        return seg.new_zeros(referents, count, *size), None
    decoder = model.pixel_decoder
    with torch.no_grad():
        features = [decoder.encode_pixels(pixels) for pixels in sample.frames]
        proposals = model.proposer.propose_as_released(sample.frames[0])
    rows = (proposals.boxes_norm[0], proposals.feats[0], proposals.scores[0])
    pyramid = decoder.sam.pyramid(features[0])
    guidance = guide(model.selector, seg, box, *rows, pyramid=pyramid)
    boxes = guidance.boxes_norm
    scaled = None if boxes is None else [own * decoder.side for own in boxes]
    logits = _draw(model, features, guidance.states, scaled, (size[0], size[1]))[:referents]
    missing = logits.new_zeros(referents - len(logits), count, *size)
    asking = box if len(box) else seg
    judged = model.selector(asking, *rows[1:], boxes_norm=rows[0], pyramid=pyramid)
    return torch.cat([logits, missing]), _choice(judged, rows[0], sample.masks)


def _draw(
    model: SparrowModel,
    features: Sequence[FrameFeatures],
    states: Tensor,
    boxes: list[Tensor] | None,
    size_hw: tuple[int, int],
) -> Tensor:
    """Give logits (R, T, H, W) at the size of the true masks."""
    frames = [decode_frame(model.pixel_decoder, one, states, boxes) for one in features]
    return F.interpolate(torch.stack(frames, 1), size_hw, mode="bilinear", align_corners=False)


def _choice(judged: Judgement, boxes_norm: Tensor, masks: Tensor) -> SelectionLoss:
    """Judge the choice for as many referents as have both a state and masks."""
    count = min(len(judged.logits), len(masks))
    valid = torch.ones(len(boxes_norm), dtype=torch.bool, device=boxes_norm.device)
    regressed = None if judged.boxes_norm is None else judged.boxes_norm[:count]
    truth = union_boxes(masks[:count]).to(boxes_norm)
    return selection(judged.logits[:count], boxes_norm, truth, valid, regressed=regressed)
