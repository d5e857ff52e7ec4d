"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from sparrow.train.losses import (
    SetWeights,
    box_giou,
    box_l1,
    focal,
    mask_bce,
    mask_dice,
    match,
    quality_focal,
    selection,
    set_loss,
    varifocal,
)

LOG2 = math.log(2)
WEIGHTS = SetWeights()


def test_mask_losses_of_nothing_are_zero() -> None:
    none = torch.zeros(0, 4, 4)
    assert mask_bce(none, none, 0).item() == 0
    assert mask_dice(none, none, 0).item() == 0


def test_mask_bce_averages_pixels_and_counts_ignored_ones() -> None:
    logits = torch.zeros(2, 2, 2)
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, -1.0], [-1.0, -1.0]]])
    assert mask_bce(logits, target, 2).item() == pytest.approx((LOG2 + LOG2 / 4) / 2)


def test_mask_dice_is_zero_when_perfect_and_one_when_disjoint() -> None:
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    perfect = torch.where(target > 0, 50.0, -50.0)
    assert mask_dice(perfect, target, 1).item() == pytest.approx(0, abs=1e-6)
    assert mask_dice(-perfect, target, 1).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("found", "wanted", "giou"),
    [
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], 1.0),  # no area at all: finite
        ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0], 0.0),
        ([0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0], 1.0),  # touching, hull filled
        ([0.0, 0.0, 0.25, 1.0], [0.75, 0.0, 1.0, 1.0], 1.5),  # a gap of half the hull
    ],
)
def test_giou(found: list[float], wanted: list[float], giou: float) -> None:
    assert box_giou(torch.tensor([found]), torch.tensor([wanted])).item() == pytest.approx(giou)


def test_l1_sums_the_four_numbers() -> None:
    found, wanted = torch.tensor([[0.0, 0.1, 0.2, 0.3]]), torch.tensor([[0.1, 0.1, 0.4, 0.0]])
    assert box_l1(found, wanted).tolist() == pytest.approx([0.6])


def test_focal_losses_at_even_odds() -> None:
    logits, goal = torch.zeros(2), torch.tensor([1.0, 0.0])
    assert focal(logits, goal).tolist() == pytest.approx([0.25 * LOG2 / 4, 0.75 * LOG2 / 4])
    assert quality_focal(logits, torch.tensor([0.5, 1.0])).tolist() == pytest.approx([0, LOG2 / 4])
    assert varifocal(logits, torch.tensor([0.8, 0.0])).tolist() == pytest.approx(
        [0.8 * LOG2, 0.75 * LOG2 / 4]
    )


BOXES = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 0.4]])


def test_selection_counts_overlapping_proposals_as_good() -> None:
    truth = torch.tensor([[0.0, 0.0, 0.5, 0.5], [math.nan] * 4])
    found = selection(torch.zeros(2, 3), BOXES, truth, torch.ones(3, dtype=torch.bool))
    assert found.targets.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert found.choice.item() == pytest.approx(LOG2)
    assert found.box.item() == 0


def test_selection_is_finite_with_masked_proposals() -> None:
    logits = torch.tensor([[2.0, -torch.inf, -torch.inf]], requires_grad=True)
    valid = torch.tensor([True, False, False])
    found = selection(logits, BOXES, BOXES[:1], valid)
    assert found.choice.item() == pytest.approx(math.log1p(math.exp(-2)))
    found.choice.backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("referents", "valid"), [(0, [True] * 3), (1, [False] * 3)], ids=["no referent", "none valid"]
)
def test_selection_of_nothing_is_zero(referents: int, valid: list[bool]) -> None:
    found = selection(
        torch.full((referents, 3), -torch.inf), BOXES, BOXES[:referents], torch.tensor(valid)
    )
    assert (found.choice.item(), found.box.item()) == (0, 0)


def test_selection_weighs_referents_alike() -> None:
    """The first referent has two good proposals, the second one; both count a half."""
    truth = BOXES[:2]
    regressed = truth[:, None].expand(2, 3, 4).clone()
    regressed[1] = torch.tensor([0.5, 0.5, 1.0, 0.75])  # half of the box: IoU .5, one edge .25 off
    valid = torch.ones(3, dtype=torch.bool)
    found = selection(torch.zeros(2, 3), BOXES, truth, valid, regressed=regressed)
    assert found.box.item() == pytest.approx((0.25 / 4 + 0.5) / 2)


def test_match_pairs_each_thing_with_its_best_query() -> None:
    targets = [torch.tensor([[0.7, 0.7, 0.2, 0.2], [0.3, 0.3, 0.2, 0.2]]), torch.zeros(0, 4)]
    boxes = torch.tensor(
        [[[0.3, 0.3, 0.2, 0.2], [0.5, 0.5, 0.9, 0.9], [0.7, 0.7, 0.2, 0.2]]]
    ).repeat(2, 1, 1)
    pairs = match(torch.zeros(2, 3), boxes, targets, WEIGHTS)
    assert [p.tolist() for p in pairs[0]] == [[0, 2], [1, 0]]
    assert [len(p) for p in pairs[1]] == [0, 0]


def test_match_prefers_the_surer_of_equal_boxes() -> None:
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2]]])
    pairs = match(torch.tensor([[-3.0, 3.0]]), boxes, [boxes[0, :1]], WEIGHTS)
    assert pairs[0][0].tolist() == [1]


def test_match_survives_boxes_that_are_not_numbers() -> None:
    boxes = torch.tensor([[[math.nan] * 4, [0.5, 0.5, 0.2, 0.2]]])
    pairs = match(torch.zeros(1, 2), boxes, [boxes[0, 1:]], WEIGHTS)
    assert pairs[0][0].tolist() == [1]


def test_set_loss_without_things_pushes_scores_down_only() -> None:
    found = set_loss(torch.zeros(2, 3), torch.rand(2, 3, 4), [torch.zeros(0, 4)] * 2, WEIGHTS)
    assert found.score.item() == pytest.approx(6 * 0.75 * LOG2 / 4)
    assert (found.l1.item(), found.giou.item()) == (0, 0)


def test_set_loss_by_hand() -> None:
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]]])
    targets = [torch.tensor([[0.5, 0.5, 0.2, 0.4]])]
    found = set_loss(torch.zeros(1, 2), boxes, targets, WEIGHTS)
    assert found.score.item() == pytest.approx(LOG2 / 4)
    assert found.l1.item() == pytest.approx(0.2)
    assert found.giou.item() == pytest.approx(0.5)
    assert found.total(WEIGHTS).item() == pytest.approx(2 * LOG2 / 4 + 5 * 0.2 + 2 * 0.5)
    by_quality = set_loss(torch.zeros(1, 2), boxes, targets, WEIGHTS, quality=True)
    assert by_quality.score.item() == pytest.approx(0.5 * LOG2 + 0.75 * LOG2 / 4)
