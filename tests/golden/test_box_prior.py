"""The box prior against the official scores and keep rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sparrow.model.box_prior import BoxPriorConfig, keep, prior_scores


@pytest.fixture(scope="module")
def golden(load_golden: Any) -> Any:
    return load_golden("box_prior")


@pytest.mark.parametrize("prefix", ["", "tiny_"])
def test_scores(prefix: str, golden: Any) -> None:
    io = golden.io
    ours = prior_scores(io[f"{prefix}masks"], io[f"{prefix}boxes"])
    torch.testing.assert_close(ours, io[f"{prefix}scores"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", ["default", "strict", "keep2", "unlimited"])
def test_keeps_the_same_boxes(case: str, golden: Any) -> None:
    wanted = golden.config["cases"][case]
    config = BoxPriorConfig(min_score=wanted["min_score"], max_keep=wanted["max_keep"])
    kept = keep(prior_scores(golden.io["masks"], golden.io["boxes"]), config)
    theirs = golden.io[f"{case}.kept"]
    torch.testing.assert_close(golden.io["boxes"][kept], theirs, atol=0, rtol=0)
