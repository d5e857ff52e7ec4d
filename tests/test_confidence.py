"""The curve over scores: its ends and its order, on numbers and arrays."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.confidence import Curve


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("bias", [-2.0, 0.0, 1.0])
def test_curve_keeps_the_ends_and_the_order(scale: float, bias: float) -> None:
    curved = Curve(scale, bias)(np.linspace(0, 1, 101))
    assert (curved[0], curved[-1]) == (0.0, 1.0)
    assert (np.diff(curved) > 0).all()


def test_plain_curve_changes_nothing() -> None:
    scores = np.linspace(0, 1, 1001)
    assert (Curve()(scores) == scores).all()


def test_a_number_is_turned_like_an_array() -> None:
    curve = Curve(0.5, -0.7)
    assert isinstance(curve(0.9), float)
    assert curve(0.9) == pytest.approx(curve(np.array([0.9]))[0])
    assert (curve(0.0), curve(1.0)) == (0.0, 1.0)
    assert Curve(1.0, -1.0)(0.5) == pytest.approx(1 / (1 + np.e))
