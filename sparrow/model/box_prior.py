"""The box prior: does the mask that a box alone gives fill that box? Weeds out boxes around nothing.

Pure functions of masks and boxes; who makes the masks is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparrow.model.deformable import overlap

_TINY, _HUGE = 1e-4, 0.9  # share of the frame below and above which a mask counts for little
_PENALTY = 0.2
_OVERLAP_SHARE = 0.8
COMPARED_AT = 256
"""Side of the masks, pixels, at which the release compares."""


@dataclass(frozen=True)
class BoxPriorConfig:
    """When a box is kept."""

    min_score: float = 0.35
    max_keep: int = 4
    """Only the best are kept; 0: no limit."""


def prior_scores(masks: Tensor, boxes_norm: Tensor) -> Tensor:
    """Score how well boxes agree with the masks that they prompted, (P,) in [0, 1].

    Mostly the overlap of the box with the mask's own box, partly how alike their areas are; very small
    and very large masks count a fifth, empty ones nothing.

    Args:
        masks: (P, h, w), above 0.5 is the mask.
        boxes_norm: (P, 4) normalised xyxy; what sticks out of the frame is cut off.
    """
    inside = masks > 0.5
    own = tight_boxes(inside)
    boxes = boxes_norm.clamp(0, 1)
    area = inside.float().mean((1, 2))
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    apart = (area.clamp(min=1e-6) / extent.clamp(min=1e-6)).log().abs()
    score = _OVERLAP_SHARE * overlap(own, boxes) + (1 - _OVERLAP_SHARE) / (1 + apart)
    score = torch.where((area < _TINY) | (area > _HUGE), _PENALTY * score, score)
    return torch.where(area > 0, score, 0.0)


def keep(scores: Tensor, config: BoxPriorConfig) -> Tensor:
    """Give the indices of the boxes to keep, by scores (P,).

    Those of at least the least score, in their order; only the best `max_keep` by falling score where
    they are more; the single best where there is none; none where P is 0.
    """
    if not len(scores):
        return torch.zeros(0, dtype=torch.int64, device=scores.device)
    good = (scores >= config.min_score).nonzero()[:, 0]
    if not len(good):
        return scores.argmax()[None]
    if 0 < config.max_keep < len(good):
        good = good[scores[good].topk(config.max_keep).indices]
    return good


def tight_boxes(masks: Tensor) -> Tensor:
    """Give the normalised xyxy box around each bool mask (P, h, w), zeros for an empty one."""
    ends = []
    for side in (masks.any(1), masks.any(2)):  # (P, w) along x, (P, h) along y
        count = side.shape[1]
        first = side.int().argmax(1)
        last = count - side.flip(1).int().argmax(1)
        there = side.any(1)
        ends.append(torch.stack([first, last], 1) * there[:, None] / count)
    return torch.stack([ends[0][:, 0], ends[1][:, 0], ends[0][:, 1], ends[1][:, 1]], 1)
