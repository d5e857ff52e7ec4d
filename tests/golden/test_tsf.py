"""The choice of representative views against the official K-means."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sparrow.model.tsf import representatives

CASES = (
    "n1_k4", "n4_k4", "n5_k4", "n16_k4", "clusters_k4", "n64_k1", "n33_k7_it1", "n33_k7_it20",
    "dup_all", "dup_half", "k0", "it0",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_chooses_the_same_views(case: str, load_golden: Any) -> None:
    golden = load_golden("tsf_kmeans")
    wanted = golden.config["cases"][case]
    ours = representatives(golden.io[f"{case}.x"], wanted["k"], wanted["iters"])
    torch.testing.assert_close(ours, golden.io[f"{case}.out"], atol=0, rtol=0)
