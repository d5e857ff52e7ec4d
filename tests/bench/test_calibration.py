"""Reliability of scores that were made to lie, and the curve that sets them right."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.bench.calibration import BINS, Reliability, fit, pairs
from sparrow.confidence import Curve


def test_no_scores_have_no_error() -> None:
    found = Reliability.of(np.zeros(0), np.zeros(0))
    assert (found.frames, found.score, found.j, found.error) == (0, None, None, None)
    assert found.bins == ((0, None, None),) * BINS


def test_error_is_the_mean_distance_of_the_bins() -> None:
    scores = np.array([0.05, 0.95, 0.95, 1.0])
    found = Reliability.of(scores, np.array([0.05, 0.5, 0.7, 0.9]))
    assert found.bins[0] == (1, 0.05, 0.05)
    assert found.bins[9] == (3, pytest.approx(2.9 / 3), pytest.approx(0.7))
    assert found.error == pytest.approx((2.9 - 2.1) / 4)
    assert found.score == pytest.approx(scores.mean())


def test_a_bin_may_err_both_ways_and_yet_agree() -> None:
    assert Reliability.of(np.array([0.75, 0.75]), np.array([0.5, 1.0])).error == pytest.approx(0)


def test_fit_finds_the_curve_that_was_there() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.01, 0.99, 20_000)
    true = Curve(0.6, -1.2)
    found = fit(scores, rng.random(20_000) < true(scores))  # J 0 or 1, by that chance
    assert found.scale == pytest.approx(true.scale, abs=0.05)
    assert found.bias == pytest.approx(true.bias, abs=0.05)
    truth = true(scores)
    assert Reliability.of(scores, truth).error > 0.15
    assert Reliability.of(found(scores), truth).error < 0.02


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("j", [0.0, 1.0])
def test_fit_of_one_frame_is_finite_and_keeps_the_order(score: float, j: float) -> None:
    curve = fit(np.array([score]), np.array([j]))
    assert np.isfinite([curve.scale, curve.bias]).all()
    assert curve.scale > 0


def test_pairs_choose_what_is_compared() -> None:
    sure = [(0.9, 0.1, 0.8), (0.5, 0.2, 0.4)]
    assert [v.tolist() for v in pairs(sure, followed=False)] == [[0.9, 0.5], [0.1, 0.2]]
    assert [v.tolist() for v in pairs(sure, followed=True)] == [[0.9, 0.5], [0.8, 0.4]]
    assert [v.shape for v in pairs([], followed=True)] == [(0,), (0,)]
