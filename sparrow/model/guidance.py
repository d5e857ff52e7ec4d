"""Guidance: which states and boxes point at the referents, chosen as the released code does.

The Selector's judgement on the first frame's proposals becomes a list of boxes for each [SEG] state.
Knows neither pixels nor masks; what SAM2 makes of the boxes is framewise.py's and video_branch.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sparrow.model.selector import Selector


@dataclass(frozen=True, eq=False)
class Guidance:
    """What SAM2 is told about R referents."""

    states: Tensor
    """(R, E) what is given as text."""
    boxes_norm: list[Tensor] | None
    """R times (n >= 1, 4) normalised xyxy; None: the states alone."""


def guide(
    selector: Selector,
    seg_states: Tensor,
    box_states: Tensor,
    boxes_norm: Tensor,
    feats: Tensor,
    scores: Tensor,
    *,
    valid: Tensor | None = None,
    pyramid: Sequence[Tensor] | None = None,
) -> Guidance:
    """Choose boxes for each [SEG].

    The [BOX] states ask, the n-th for the n-th [SEG] and the last one for any further. Without a [BOX]
    the [SEG] states ask themselves, and what they attended to is added to them. Where there is nothing
    to choose from the states go alone.

    Args:
        selector: judges.
        seg_states: (R, E).
        box_states: (Q, E), Q may be 0.
        boxes_norm: (P, 4) normalised xyxy proposals of the first frame.
        feats: (P, D).
        scores: (P,) in [0, 1].
        valid: (P,) bool; None: all are.
        pyramid: maps (1, C, h, w) of the first frame, from `Sam.pyramid`, for the ROI helper.
    """
    if not len(seg_states) or not len(boxes_norm):
        return Guidance(seg_states, None)
    asking = box_states if len(box_states) else seg_states
    judgement = selector(asking, feats, scores, valid=valid, boxes_norm=boxes_norm, pyramid=pyramid)
    chosen = [boxes_norm[indices] for indices in selector.select(judgement)]
    aligned = [chosen[min(row, len(chosen) - 1)] for row in range(len(seg_states))]
    return Guidance(seg_states if len(box_states) else judgement.refined, aligned)
