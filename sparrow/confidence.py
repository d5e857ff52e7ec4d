"""The curve that makes a score tell how good a mask is, fitted where the truth is known (benchmarks/calibrate.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Score = TypeVar("Score", float, np.ndarray)


@dataclass(frozen=True)
class Curve:
    """Turns a score c in [0, 1] into sigmoid(scale * logit(c) + bias). The plain one changes nothing."""

    scale: float = 1.0
    """Above 0; below 1 it draws scores together."""
    bias: float = 0.0
    """Below 0 it lowers them."""

    def __call__(self, score: Score) -> Score:
        """Turn a score, or an array of them; 0 and 1 stay what they are."""
        up = score**self.scale * math.exp(self.bias)
        return up / (up + (1 - score) ** self.scale)
