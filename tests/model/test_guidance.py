"""Which boxes point at which [SEG]: edges and alignment, with an untrained Selector."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparrow.model.guidance import Guidance, guide
from sparrow.model.selector import Selector, SelectorConfig

CONFIG = SelectorConfig(
    state_dim=8, prop_dim=6, hidden=8, roi=False, threshold=0.05, max_selected=3
)


@pytest.fixture(scope="module")
def selector() -> Selector:
    torch.manual_seed(0)
    return Selector(CONFIG).eval()


def states(count: int, seed: int) -> Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


def run(selector: Selector, segs: int, boxes: int, proposals: int = 5) -> Guidance:
    generator = torch.Generator().manual_seed(7)
    feats = torch.randn(proposals, 6, generator=generator)
    scores = torch.rand(proposals, generator=generator)
    corners = torch.rand(proposals, 4, generator=generator)
    with torch.inference_mode():
        return guide(selector, states(segs, 1), states(boxes, 2), corners, feats, scores)


@pytest.mark.parametrize(
    ("segs", "boxes", "proposals"), [(0, 0, 5), (0, 2, 5), (2, 2, 0), (2, 0, 0)]
)
def test_nothing_to_choose_for_or_from(
    segs: int, boxes: int, proposals: int, selector: Selector
) -> None:
    guidance = run(selector, segs, boxes, proposals)
    assert guidance.boxes_norm is None
    assert torch.equal(guidance.states, states(segs, 1))


@pytest.mark.parametrize(
    ("segs", "boxes", "asked"), [(1, 1, [0]), (2, 2, [0, 1]), (3, 2, [0, 1, 1]), (1, 3, [0])]
)
def test_each_seg_gets_its_box_tokens_boxes_or_the_last(
    segs: int, boxes: int, asked: list[int], selector: Selector
) -> None:
    guidance = run(selector, segs, boxes)
    every = run(selector, boxes, boxes).boxes_norm
    assert guidance.boxes_norm is not None and every is not None
    assert [len(own) > 0 for own in guidance.boxes_norm] == [True] * segs
    for own, place in zip(guidance.boxes_norm, asked, strict=True):
        assert torch.equal(own, every[place])
    assert torch.equal(guidance.states, states(segs, 1))  # [BOX] only chooses


def test_without_box_tokens_the_segs_ask_and_are_refined(selector: Selector) -> None:
    guidance = run(selector, 2, 0)
    assert guidance.boxes_norm is not None and len(guidance.boxes_norm) == 2
    assert guidance.states.shape == (2, 8)
    assert not torch.allclose(guidance.states, states(2, 1))
