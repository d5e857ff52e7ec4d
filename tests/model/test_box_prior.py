from __future__ import annotations

import math

import pytest
import torch

from sparrow.model.box_prior import BoxPriorConfig, keep, prior_scores


def mask(rows: slice, columns: slice, side: int = 20) -> torch.Tensor:
    drawn = torch.zeros(1, side, side)
    drawn[:, rows, columns] = 1
    return drawn


def test_no_boxes() -> None:
    assert prior_scores(torch.zeros(0, 4, 4), torch.zeros(0, 4)).shape == (0,)
    assert keep(torch.zeros(0), BoxPriorConfig()).shape == (0,)


@pytest.mark.parametrize(
    ("drawn", "box", "score"),
    [
        (mask(slice(0, 0), slice(0, 0)), [0.1, 0.1, 0.5, 0.5], 0.0),  # empty
        (mask(slice(0, 20), slice(0, 20)), [0.0, 0.0, 1.0, 1.0], 0.2),  # the whole frame
        (mask(slice(2, 12), slice(4, 8)), [0.2, 0.1, 0.4, 0.6], 1.0),  # fills its box
        (mask(slice(2, 12), slice(4, 8)), [0.5, 0.7, 0.9, 0.9], 0.2 / (1 + math.log(0.1 / 0.08))),
        (mask(slice(10, 20), slice(10, 20)), [0.5, 0.5, 1.5, 1.5], 1.0),  # cut at the frame
        (mask(slice(2, 4), slice(2, 4)), [0.4, 0.1, 0.1, 0.4], 0.2 / (1 + math.log(0.01 / 1e-6))),
    ],
)
def test_scores(drawn: torch.Tensor, box: list[float], score: float) -> None:
    found = prior_scores(drawn, torch.tensor([box]))
    assert found.item() == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(
    ("scores", "limit", "kept"),
    [
        ([0.1, 0.2], 4, [1]),  # none is good: the best
        ([0.9, 0.1, 0.5], 4, [0, 2]),  # in their order
        ([0.5, 0.9, 0.7], 2, [1, 2]),  # too many: the best first
        ([0.5, 0.9, 0.7], 0, [0, 1, 2]),  # no limit
    ],
)
def test_keeps(scores: list[float], limit: int, kept: list[int]) -> None:
    assert keep(torch.tensor(scores), BoxPriorConfig(max_keep=limit)).tolist() == kept
