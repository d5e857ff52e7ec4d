"""What the released kind of model computed when it agreed with the official code, it still computes."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.golden.own import FILE, compute

RECORDED = load_file(FILE)
BORDER = 4  # pixels of a mask that may differ


@pytest.fixture(scope="module")
def computed() -> dict[str, Tensor]:
    return compute()


def test_nothing_is_left_out(computed: dict[str, Tensor]) -> None:
    assert set(computed) == set(RECORDED)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_as_recorded(name: str, computed: dict[str, Tensor]) -> None:
    ours, theirs = computed[name], RECORDED[name]
    assert ours.shape == theirs.shape
    if ours.dtype == torch.bool:
        assert (ours ^ theirs).sum() <= BORDER
    else:
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
