"""DAVIS J and F against outputs of the official functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sparrow.metrics import boundary_f, jaccard
from tests.golden.conftest import Golden


@pytest.fixture(scope="module")
def golden(load_golden: Callable[[str], Golden]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_golden("metrics").io.items()}


def measure(
    predictions: np.ndarray, truths: np.ndarray, voids: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Score every object and frame of (N, T, H, W) masks: J and F, each (N, T) float32."""
    j, f = np.zeros((2, *truths.shape[:2]), dtype=np.float32)
    for thing, frame in np.ndindex(*truths.shape[:2]):
        void = None if voids is None else voids[frame]
        j[thing, frame] = jaccard(predictions[thing, frame], truths[thing, frame], void)
        f[thing, frame] = boundary_f(predictions[thing, frame], truths[thing, frame], void)
    return j, f


@pytest.mark.parametrize("case", ["novoid", "void"])
def test_davis_equals_the_official_numbers(golden: dict[str, np.ndarray], case: str) -> None:
    voids = golden["davis.void"] if case == "void" else None
    j, f = measure(golden["davis.pred"], golden["davis.gt"], voids)
    np.testing.assert_array_equal(j, golden[f"davis.{case}.J"])
    np.testing.assert_array_equal(f, golden[f"davis.{case}.F"])


def test_a_missing_object_counts_as_empty_masks(golden: dict[str, np.ndarray]) -> None:
    given = golden["davis.pred"]
    predictions = np.stack([given[2], given[0], np.zeros_like(given[0])])
    j, f = measure(predictions, golden["davis.gt"], None)
    np.testing.assert_array_equal(j, golden["davis.semi_2of3.J"])
    np.testing.assert_array_equal(f, golden["davis.semi_2of3.F"])
