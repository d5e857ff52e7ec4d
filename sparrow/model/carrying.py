"""Carries what was seen of an object into the next frame along the picture's optical flow, and weighs it.

Flow knows where things go, even those that the decoder was never trained on; the decoder knows what the thing
is and whether it is still there. Knows no model.
"""

from __future__ import annotations

import cv2
import numpy as np

from sparrow.model.window import Window

_WEIGHT = 0.7
"""Of the carried log-odds against the shared decoder's logits."""
_DOUBT = 0.01
"""What was carried never says less than this for or against a pixel, ..."""
_SURE = 6.0
"""... while the decoder's logits say no more than this: where it holds the thing absent, it outweighs what was
carried."""


def carry(
    belief: np.ndarray, before: np.ndarray, after: np.ndarray, window: Window, side: int
) -> np.ndarray:
    """Carry a belief into the neighbouring frame.

    Args:
        belief: (H, W) bool or float32 in [0, 1], that a pixel of `before` shows the object.
        before: (H, W, 3) uint8.
        after: (H, W, 3) uint8.
        window: the part of both frames that is looked at; what comes from outside it is not carried.
        side: pixels of the square to which that part is scaled.

    Returns:
        (side, side) float32 in [0, 1], that a pixel of `after` in the window shows the object.
    """
    old, new = (
        cv2.cvtColor(_scaled(window.cut(frame), side), cv2.COLOR_RGB2GRAY)
        for frame in (before, after)
    )
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    still = np.zeros((side, side, 2), np.float32)
    came = engine.calc(new, old, still)  # where each pixel of the new picture was in the old one
    y, x = np.mgrid[:side, :side].astype(np.float32)
    there = _scaled(window.cut(belief).astype(np.float32), side)
    carried: np.ndarray = cv2.remap(there, x + came[..., 0], y + came[..., 1], cv2.INTER_LINEAR)
    return carried


def weighed(logits: np.ndarray, carried: np.ndarray, weight: float = _WEIGHT) -> np.ndarray:
    """Weigh the decoder's logits (h, w) and what was carried there, (h, w) in [0, 1], by `weight` of its log-odds.

    Returns:
        (h, w) float32 in [0, 1], that a pixel shows the object.
    """
    known = np.clip(carried, _DOUBT, 1 - _DOUBT)
    said = np.clip(logits, -_SURE, _SURE) + weight * np.log(known / (1 - known))
    belief: np.ndarray = (1 / (1 + np.exp(-said))).astype(np.float32)
    return belief


def _scaled(picture: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
