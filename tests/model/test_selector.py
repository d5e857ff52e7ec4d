from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch

from sparrow.model.checkpoint import from_dict
from sparrow.model.selector import Selector, SelectorConfig, mini_selector, select

CONFIG = SelectorConfig(
    state_dim=6, prop_dim=5, hidden=4, roi_hidden=4, roi_size=2, roi_channels=(3, 4)
)


@pytest.fixture
def selector() -> Selector:
    torch.manual_seed(0)
    return Selector(CONFIG).eval()


def test_config_survives_json() -> None:
    assert from_dict(SelectorConfig, json.loads(json.dumps(asdict(CONFIG)))) == CONFIG


@pytest.mark.parametrize(
    ("shares", "chosen"),
    [
        ([[0.1, 0.3, 0.2]], [[1]]),  # none reaches the threshold: the best
        ([[0.4, 0.39, 0.6]], [[0, 2]]),  # at the threshold counts
        ([[0.5, 0.9, 0.7, 0.8]], [[1, 3]]),  # more than two: the best, by falling share
        ([[0.9, 0.1], [0.1, 0.9]], [[0], [1]]),
    ],
)
def test_select(shares: list[list[float]], chosen: list[list[int]]) -> None:
    found = select(torch.tensor(shares).logit(), 0.4, 2)
    assert [indices.tolist() for indices in found] == chosen


def test_select_from_nothing() -> None:
    assert [len(indices) for indices in select(torch.zeros(2, 0), 0.4, 4)] == [0, 0]
    assert select(torch.zeros(0, 3), 0.4, 4) == []


def test_select_when_all_are_masked_falls_back_to_the_first() -> None:
    assert select(torch.full((1, 3), -torch.inf), 0.4, 4)[0].tolist() == [0]


def test_logits_by_hand(selector: Selector) -> None:
    states, feats, scores = torch.randn(2, 6), torch.randn(3, 5), torch.tensor([1.0, 0.5, 0.0])
    matcher = selector.proposal_selector
    with torch.no_grad():
        judged = selector(states, feats, scores)
        for r in range(2):
            for p in range(3):
                product = matcher.seg_proj(states[r]) @ matcher.prop_proj(feats[p]) / 2
                wanted = product + torch.log(scores[p].clamp(min=1e-6))
                assert judged.logits[r, p].item() == pytest.approx(wanted.item(), abs=1e-5)
    assert judged.attention.sum(1).tolist() == pytest.approx([1.0, 1.0])


def test_each_state_may_have_proposals_of_its_own(selector: Selector) -> None:
    states, feats, scores = torch.randn(2, 6), torch.randn(2, 3, 5), torch.rand(2, 3)
    valid = torch.tensor([[True, True, False], [True, False, False]])
    with torch.no_grad():
        together = selector(states, feats, scores, valid=valid)
        for row in range(2):
            alone = selector(states[row : row + 1], feats[row], scores[row], valid=valid[row])
            torch.testing.assert_close(together.logits[row], alone.logits[0])
            torch.testing.assert_close(together.refined[row], alone.refined[0])
    assert torch.isinf(together.logits[~valid]).all()
    assert (together.attention[~valid] == 0).all()


@pytest.mark.parametrize("count", [0, 1])
def test_few_proposals(count: int, selector: Selector) -> None:
    judged = selector(torch.randn(2, 6), torch.randn(count, 5), torch.rand(count))
    assert judged.logits.shape == (2, count)
    assert judged.refined.isfinite().all()


def test_the_helper_wakes_with_boxes_and_maps_and_ignores_other_channels(
    selector: Selector,
) -> None:
    states, feats, scores = torch.randn(2, 6), torch.randn(3, 5), torch.rand(3)
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.2, 0.2, 0.9, 0.7], [-0.1, 0.5, 0.3, 1.2]])
    maps = [torch.randn(1, 3, 8, 8), torch.randn(1, 4, 4, 4)]
    wide = [torch.cat([maps[0], torch.randn(1, 2, 8, 8)], 1), maps[1]]
    with torch.no_grad():
        plain = selector(states, feats, scores)
        seen = selector(states, feats, scores, boxes_norm=boxes, pyramid=maps)
        cut = selector(states, feats, scores, boxes_norm=boxes, pyramid=wide)
    assert plain.roi_logits is None
    torch.testing.assert_close(seen.logits, plain.logits + 0.1 * seen.roi_logits)
    torch.testing.assert_close(seen.roi_logits, cut.roi_logits)


def test_learns_to_pick_the_track_that_a_state_means() -> None:
    """Tracks as proposals: after a few steps the state's own track has the largest logit."""
    torch.manual_seed(0)
    selector = Selector(mini_selector(8, 8))
    optimizer = torch.optim.Adam(selector.parameters(), 0.01)
    for _ in range(60):
        feats = torch.randn(16, 4, 8)
        truth = torch.randint(4, (16,))
        states = feats[torch.arange(16), truth]
        logits = selector(states, feats, torch.ones(16, 4)).logits
        loss = torch.nn.functional.cross_entropy(logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (logits.argmax(1) == truth).float().mean() > 0.85
