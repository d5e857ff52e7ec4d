from __future__ import annotations

import pytest
import torch

from sparrow.model.tsf import representatives


@pytest.mark.parametrize("views", [1, 3, 4])
def test_few_views_all_stay_in_their_order(views: int) -> None:
    rows = torch.randn(views, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(representatives(rows, 4), rows)


def test_no_views_give_none() -> None:
    assert representatives(torch.zeros(0, 5)).shape == (0, 5)


def test_identical_views_choose_one_of_them_four_times() -> None:
    assert torch.equal(representatives(torch.ones(9, 3)), torch.ones(4, 3))


def test_one_view_of_each_cluster_nearest_to_its_middle() -> None:
    views = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    assert representatives(views, 2).tolist() == [[1.0], [11.0]]


def test_rows_keep_dtype_and_gradient() -> None:
    views = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    chosen = representatives(views, 2)
    assert chosen.dtype == torch.float64
    chosen.sum().backward()
    assert views.grad.sum() == 6
