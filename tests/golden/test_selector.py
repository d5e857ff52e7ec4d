"""The Selector and its loss against the official ones on the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sparrow.model.selector import (
    Judgement,
    RoiHelper,
    Selector,
    SelectorConfig,
    select,
)
from sparrow.train.losses import selection
from tests.golden.renamed import renamed

CASES = ("full", "masked", "noroi", "fallback", "allmasked", "cap4")


@pytest.fixture(scope="module")
def golden(load_golden: Any) -> Any:
    return load_golden("selector")


@pytest.fixture(scope="module")
def selector(golden: Any) -> Selector:
    config = SelectorConfig(prop_dim=32, hidden=24, roi_hidden=20)
    model = Selector(config)
    released = {f"model.{name}": value for name, value in golden.weights.items()}
    model.load_state_dict(renamed(released, "selector."))
    return model.eval()


def judge(selector: Selector, golden: Any, case: str) -> Judgement:
    io = golden.io
    pyramid = [io[f"pyramid.{level}"] for level in range(3)]
    with torch.no_grad():
        return selector(
            io["seg"],
            io["features"],
            io["scores"],
            valid=io[f"{case}.proposal_mask"],
            boxes_norm=io["boxes"],
            pyramid=pyramid if golden.config["cases"][case]["use_roi"] else None,
        )


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_judges_alike(case: str, selector: Selector, golden: Any) -> None:
    ours, io = judge(selector, golden, case), golden.io
    assert_close(ours.logits, io[f"{case}.fused_logits"])
    assert_close(ours.logits.sigmoid(), io[f"{case}.probabilities"])
    assert_close(ours.attention, io[f"{case}.attention"])
    assert_close(ours.refined, io[f"{case}.refined"])
    if golden.config["cases"][case]["use_roi"]:
        assert_close(ours.roi_logits, io[f"{case}.roi_logits"])
    else:
        assert ours.roi_logits is None
        assert_close(ours.logits, io[f"{case}.selector_logits"])


@pytest.mark.parametrize("case", CASES)
def test_selects_the_same_boxes_in_the_same_order(
    case: str, selector: Selector, golden: Any
) -> None:
    wanted = golden.config["cases"][case]
    logits = judge(selector, golden, case).logits
    chosen = select(logits, wanted["threshold"], wanted["max_selected"])
    assert [len(c) for c in chosen] == wanted["n_selected"]
    for row, indices in enumerate(chosen):
        torch.testing.assert_close(
            golden.io["boxes"][indices], golden.io[f"{case}.selected_boxes.{row}"], atol=0, rtol=0
        )


def test_regresses_the_same_boxes(selector: Selector, golden: Any) -> None:
    assert_close(judge(selector, golden, "full").boxes_norm, golden.io["full.selector_pred_boxes"])


def test_roi_helper_fits_maps_of_other_widths_and_numbers(selector: Selector, golden: Any) -> None:
    io = golden.io
    helper = selector.roi_helper
    assert isinstance(helper, RoiHelper)
    theirs = io["roi_mismatch.logits"]
    pyramid = [io["roi_mismatch.pyramid.0"], io["roi_mismatch.pyramid.1"]]
    with torch.no_grad():
        ours = helper(io["seg"], io["boxes"][: theirs.shape[1]], pyramid)
    assert_close(ours, theirs)


def true_boxes(golden: Any) -> Tensor:
    """The recorded boxes, NaN for the referent that is nowhere to be seen."""
    found = [golden.io[f"gt_box.{i}"] for i in range(3)]
    return torch.stack([box if len(box) else torch.full((4,), torch.nan) for box in found])


@pytest.mark.parametrize("case", ["full", "noroi", "masked"])
def test_loss(case: str, selector: Selector, golden: Any) -> None:
    """In "masked" the official selection loss is NaN; ours averages over the valid proposals."""
    io, judged = golden.io, judge(selector, golden, case)
    count = golden.config["cases"][case]["num_gt"]
    valid = io[f"{case}.proposal_mask"]
    ours = selection(
        judged.logits[:count],
        io["boxes"],
        true_boxes(golden)[:count],
        valid,
        regressed=judged.boxes_norm[:count],
    )
    torch.testing.assert_close(ours.targets, io[f"{case}.targets"], atol=0, rtol=0)
    assert_close(ours.box[None], io[f"{case}.proposal_box_loss"])
    if case == "masked":
        assert io["masked.proposal_loss"].isnan()
        logits, targets = judged.logits[:count][:, valid], io["masked.targets"][:, valid]
        by_hand = -(targets * logits.sigmoid().log() + (1 - targets) * (-logits).sigmoid().log())
        assert_close(ours.choice, by_hand.mean())
    else:
        assert_close(ours.choice[None], io[f"{case}.proposal_loss"])
