"""Scores of tracks against what their masks are worth -> a reliability histogram, and a curve that makes them agree.

Numbers only. The model applies the curve, whose two constants its config holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from sparrow.confidence import Curve

BINS = 10
"""Equal parts of [0, 1]."""
_EDGE = 1e-4  # scores are kept so far from 0 and 1: the last digit that is kept of them
_LIMITS = (
    (-3.0, 3.0),
    (-8.0, 8.0),
)  # of a fitted curve's scale, as logarithm, and bias: few frames tell little


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far scores are from the J of the masks that they belong to."""

    frames: int
    """Frames with a mask."""
    score: float | None
    """Their mean score."""
    j: float | None
    """Their mean J."""
    error: float | None
    """Expected calibration error: the distance between mean score and mean J of a bin, mean over the frames."""
    bins: tuple[tuple[int, float | None, float | None], ...]
    """For each tenth of the scores from 0 to 1: frames, mean score, mean J."""

    @classmethod
    def of(cls, scores: np.ndarray, j: np.ndarray) -> Reliability:
        """Gather scores (n,) in [0, 1] and the J (n,) of their masks; n may be 0."""
        place = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
        counts = np.bincount(place, minlength=BINS)
        sums = [np.bincount(place, weights=values, minlength=BINS) for values in (scores, j)]
        bins = tuple(
            (int(n), float(s / n) if n else None, float(w / n) if n else None)
            for n, s, w in zip(counts, *sums, strict=True)
        )
        if not len(scores):
            return cls(0, None, None, None, bins)
        error = float(np.abs(sums[0] - sums[1]).sum() / len(scores))
        return cls(len(scores), float(scores.mean()), float(j.mean()), error, bins)


def fit(scores: np.ndarray, j: np.ndarray) -> Curve:
    """Fit the curve that makes scores (n,) tell J (n,), both in [0, 1], by cross entropy; n at least 1.

    The scale stays positive: a curve may move confidence, not turn it round.
    """
    known = np.clip(scores, _EDGE, 1 - _EDGE)
    logits = np.log(known) - np.log1p(-known)

    def loss(parameters: np.ndarray) -> float:
        z = math.exp(parameters[0]) * logits + parameters[1]
        return float(np.mean(np.logaddexp(0, z) - j * z))

    best = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=_LIMITS)
    return Curve(math.exp(best.x[0]), float(best.x[1]))


def pairs(
    sure: Sequence[tuple[float, float, float]], *, followed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Give the scores (n,) of frames and their J (n,): with what was meant, or with what the track is on."""
    rows = np.array(sure, dtype=np.float64).reshape(-1, 3)
    return rows[:, 0], rows[:, 2 if followed else 1]
