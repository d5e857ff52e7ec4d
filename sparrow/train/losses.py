"""Losses as pure functions of tensors: masks, boxes, the choice among proposals, and sets of boxes.

Boxes are normalised; each function says whether xyxy or cxcywh. Knows no module and no data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_convert, box_iou, generalized_box_iou

from sparrow.model.deformable import overlap

_DICE_SCALE = 1000.0


def mask_bce(logits: Tensor, target: Tensor, num_masks: float) -> Tensor:
    """Average the cross entropy over each mask's pixels, add up masks, divide by their number.

    Args:
        logits: (N, ..., H, W).
        target: the same shape, in [0, 1]; negative pixels are ignored but counted in the average.
        num_masks: what the sum is divided by.
    """
    known = target >= 0
    loss = F.binary_cross_entropy_with_logits(logits, target.clamp(min=0), reduction="none") * known
    return loss.flatten(1).mean(1).sum() / (num_masks + 1e-8)


def mask_dice(logits: Tensor, target: Tensor, num_masks: float) -> Tensor:
    """Give 1 - Dice per mask, added up and divided by their number; shapes as in `mask_bce`."""
    known = target >= 0
    predicted = (logits.sigmoid() * known).flatten(1) / _DICE_SCALE
    wanted = (target * known).flatten(1)
    both = 2 * (predicted * wanted).sum(1)
    total = predicted.sum(1) + (wanted / _DICE_SCALE).sum(1)
    return (1 - (both + 1e-6) / (total + 1e-6)).sum() / (num_masks + 1e-8)


def balanced_bce(logits: Tensor, target: Tensor, *, inside: float = 0.7) -> Tensor:
    """Binary cross entropy per mask, weighing object and background by themselves.

    A plain mean over pixels lets small objects vanish in the background.

    Args:
        logits: (N, H, W).
        target: (N, H, W) float in {0, 1}, each with at least one 1.
        inside: weight of the object's pixels and a two-pixel seam around them; the rest has 1 - inside.

    Returns:
        (N,)
    """
    near = F.max_pool2d(target[:, None], 5, stride=1, padding=2)[:, 0]
    far = 1 - near
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    near_mean = (losses * near).sum((1, 2)) / near.sum((1, 2)).clamp(min=1)
    far_mean = (losses * far).sum((1, 2)) / far.sum((1, 2)).clamp(min=1)
    return inside * near_mean + (1 - inside) * far_mean


def box_l1(predicted: Tensor, target: Tensor) -> Tensor:
    """Give per pair the summed distance of the four numbers, (N,), for boxes (N, 4) of one form."""
    return (predicted - target).abs().sum(-1)


def box_giou(predicted: Tensor, target: Tensor) -> Tensor:
    """Give 1 - generalised IoU per pair, (N,), for xyxy boxes (N, 4)."""
    meet = (
        torch.minimum(predicted[:, 2:], target[:, 2:])
        - torch.maximum(predicted[:, :2], target[:, :2])
    ).clamp(min=0)
    span = torch.maximum(predicted[:, 2:], target[:, 2:]) - torch.minimum(
        predicted[:, :2], target[:, :2]
    )
    inter, hull = meet.prod(1), span.clamp(min=0).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).prod(1) for box in (predicted, target)]
    union = areas[0] + areas[1] - inter
    gap = (hull - union) / hull.clamp(min=1e-9)
    return 1 - inter / union.clamp(min=1e-9) + gap


@dataclass(frozen=True, eq=False)
class SelectionLoss:
    """How well proposals were judged for each referent."""

    choice: Tensor
    """Scalar: cross entropy of the judgements."""
    box: Tensor
    """Scalar: mean L1 + 1 - GIoU of the boxes of good valid proposals; 0 without regressed boxes."""
    targets: Tensor
    """(R, P) 1 where a proposal overlaps the referent."""


def selection(
    logits: Tensor,
    boxes: Tensor,
    truth: Tensor,
    valid: Tensor,
    *,
    min_iou: float = 0.3,
    regressed: Tensor | None = None,
) -> SelectionLoss:
    """Judge the logits of R referents over P proposals against the referents' true boxes.

    A referent without a true box has no good proposal. Only valid proposals count, so that a masked
    one (logit -inf) leaves the loss finite.

    Args:
        logits: (R, P).
        boxes: (P, 4) xyxy.
        truth: (R, 4) xyxy, NaN where there is nothing to find.
        valid: (P,) bool.
        min_iou: overlap from which a proposal is good.
        regressed: (R, P, 4) xyxy boxes that a head made of each proposal.
    """
    there = truth.isfinite().all(1)
    shared = box_iou(truth.nan_to_num(), boxes)  # (R, P)
    good = (shared >= min_iou) & there[:, None]
    targets = good.to(logits.dtype)
    choice = logits.new_zeros(())
    if valid.any() and len(logits):
        choice = F.binary_cross_entropy_with_logits(logits[:, valid], targets[:, valid])
    box = logits.new_zeros(())
    usable = good & valid
    if regressed is not None and usable.any():
        wanted = truth[:, None].expand_as(regressed)[usable]
        found = regressed[usable]
        # Each referent counts the same, however many good proposals it has.
        share = (usable / usable.sum(1, keepdim=True).clamp(min=1) / usable.any(1).sum())[usable]
        box = ((box_l1(found, wanted) / 4 + box_giou(found, wanted)) * share).sum()
    return SelectionLoss(choice, box, targets)


@dataclass(frozen=True)
class SetWeights:
    """What matching a query to a thing costs, and what each part of the loss counts."""

    score: float = 2.0
    l1: float = 5.0
    giou: float = 2.0


@dataclass(frozen=True, eq=False)
class SetLoss:
    """The loss of one layer's boxes against the things that are there, each part unweighted."""

    score: Tensor
    l1: Tensor
    giou: Tensor

    def total(self, weights: SetWeights) -> Tensor:
        return weights.score * self.score + weights.l1 * self.l1 + weights.giou * self.giou


Pairs = list[tuple[Tensor, Tensor]]


@torch.no_grad()
def match(
    logits: Tensor, boxes: Tensor, targets: Sequence[Tensor], costs: SetWeights, alpha: float = 0.25
) -> Pairs:
    """Pair queries and things one to one, image by image, at the least cost.

    Args:
        logits: (B, Q).
        boxes: (B, Q, 4) cxcywh.
        targets: per image (n, 4) cxcywh.
        costs: of a pair.
        alpha: balance of the focal cost.

    Returns:
        Per image the paired queries and things, two (min(Q, n),) int64 tensors.
    """
    share = logits.sigmoid()
    positive = alpha * (1 - share) ** 2 * -(share + 1e-8).log()
    negative = (1 - alpha) * share**2 * -(1 - share + 1e-8).log()
    pairs = []
    for score, found, wanted in zip(positive - negative, boxes, targets, strict=True):
        apart = torch.cdist(found, wanted, p=1)
        alike = generalized_box_iou(_corners(found), _corners(wanted))
        cost = costs.l1 * apart + costs.score * score[:, None] - costs.giou * alike
        worst = torch.finfo(cost.dtype).max
        finite = torch.nan_to_num(cost, nan=worst, posinf=worst, neginf=worst).cpu().numpy()
        rows, columns = linear_sum_assignment(finite)
        device = boxes.device
        pairs.append(
            (torch.as_tensor(rows, device=device), torch.as_tensor(columns, device=device))
        )
    return pairs


def set_loss(
    logits: Tensor,
    boxes: Tensor,
    targets: Sequence[Tensor],
    weights: SetWeights,
    *,
    alpha: float = 0.25,
    quality: bool = False,
) -> SetLoss:
    """Match one layer's queries to the things and judge both scores and boxes.

    Args:
        logits: (B, Q).
        boxes: (B, Q, 4) cxcywh.
        targets: per image (n, 4) cxcywh.
        weights: costs of the matching.
        alpha: balance of the focal loss.
        quality: train the score towards the IoU of its box instead of towards 1.
    """
    pairs = match(logits, boxes, targets, weights, alpha)
    images = torch.cat([torch.full_like(q, i) for i, (q, _) in enumerate(pairs)])
    queries = torch.cat([q for q, _ in pairs])
    wanted = torch.cat([t[j] for t, (_, j) in zip(targets, pairs, strict=True)])
    found = boxes[images, queries]  # (N, 4)
    count = max(1, sum(len(t) for t in targets))
    goal = torch.zeros_like(logits)
    if quality:
        reached = overlap(_corners(found.detach()), _corners(wanted))
        goal[images, queries] = reached.to(goal.dtype)
        score = varifocal(logits, goal).sum() / count
    else:
        goal[images, queries] = 1.0
        score = focal(logits, goal, alpha).sum() / count
    return SetLoss(
        score,
        box_l1(found, wanted).sum() / count,
        box_giou(_corners(found), _corners(wanted)).sum() / count,
    )


def focal(logits: Tensor, goal: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Give the binary focal loss of each logit, goal 0 or 1."""
    share = logits.sigmoid()
    loss = F.binary_cross_entropy_with_logits(logits, goal, reduction="none")
    right = share * goal + (1 - share) * (1 - goal)
    return (alpha * goal + (1 - alpha) * (1 - goal)) * loss * (1 - right) ** gamma


def varifocal(logits: Tensor, goal: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """Give the loss of each logit towards a quality in [0, 1]; easy negatives weigh little, positives fully."""
    share = logits.detach().sigmoid()
    weight = torch.where(goal > 0, goal.clamp(min=0.3), alpha * share**gamma)
    return weight * F.binary_cross_entropy_with_logits(logits, goal, reduction="none")


def quality_focal(logits: Tensor, goal: Tensor) -> Tensor:
    """Give the cross entropy of each logit towards a goal in [0, 1], weighted by its squared distance."""
    distance = (goal - logits.detach().sigmoid()) ** 2
    return distance * F.binary_cross_entropy_with_logits(logits, goal, reduction="none")


def _corners(boxes: Tensor) -> Tensor:
    return box_convert(boxes, "cxcywh", "xyxy")
