"""How things are marked in a picture: the modes, their measures and the outline pattern of each referent.

Plain numbers, no pictures: overlay.py paints by them in files, the page's stage in the browser, so that what
is seen is what is exported. The stage gets them from `Look.to_json` and `measures`, and keeps no copy.

Everything below is in pixels of the video (H, W), // and % being whole-number division and remainder.
s = min(H, W) is the short side; the line, t = max(1, (s + 120) // 240), is what outlines are measured in.
A mask's box (x0, y0, x1, y1) is its tight one, x1 and y1 exclusive. `x over c by a` is x (1 - a) + c a.

outline      The depth of a pixel is its Chebyshev distance to the nearest pixel outside the mask, and beyond
             the frame is outside: 1 at the edge. Its cell is (x - x0) // n + (y - y0) // n. Drawn are, by
             `pattern_of` the referent:
               solid   depth <= t
               dashed  depth <= t where the cell for n = DASH t is even
               double  depth <= t, and 2 t < depth <= 3 t
               dotted  depth <= t where the cell for n = DOT t is even
             in the referent's colour, opaque. Before that, the band is dimmed (black over it by CASING), so that
             gaps and the line's inner side stand out from any background: depth <= t in mode "mask", depth <= 2 t
             in "outline" and "box", depth <= 3 t for double in each.
mask         The referent's colour over the picture inside the mask by `opacity`, then the outline.
outline      The outline only.
box          The outline of the full rectangle x0..x1, y0..y1 instead of the mask's.
spotlight    Outside all masks: black over the picture by DARKENING.
blur-rest    Outside all masks: the picture blurred by a Gaussian of standard deviation BLUR s.
blur-object  For each mask: grown by m = max(2, ceil(GROWTH s)) to both sides (a square of 2 m + 1), it shows
             the picture blurred by a Gaussian of standard deviation max(BLUR s, (longer side of its box) / DETAIL).
             An approximation may show less (larger patches), never more.
cut-out      Outside all masks: GROUND, opaque; in files with an alpha channel transparent instead.

The last four have no outline. The rest of a frame where a shown thing is absent is the whole frame; where no
referent is shown at all (none there, or all hidden), the picture stays as it is. Masks are painted in the order
of their tracks, later ones above; then come the labels in the same order.

label        The phrase in one line (shortened by "…" to LABEL_CHARACTERS), sans-serif, max(12, s / LABEL) high,
             with a quarter of that around it, on the referent's colour: black text where
             .299 R + .587 G + .114 B is above LABEL_LUMA, else white. Above the box, at its left edge; inside, at
             the box's top, where there is no room above; moved into the frame. Where it would cover an earlier
             label, it goes right below that one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from sparrow.errors import SparrowError

Mode = Literal["mask", "outline", "box", "spotlight", "blur-rest", "blur-object", "cut-out"]
Pattern = Literal["solid", "dashed", "double", "dotted"]

MODES: tuple[Mode, ...] = get_args(Mode)
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

DASH = 5
"""Lines: length of a dash and of a gap."""
DOT = 2
"""Lines: length of a dot and of a gap."""
CASING = 0.5
"""How much the band under an outline is dimmed."""
DARKENING = 0.7
"""How much the rest of a spotlight is darkened."""
BLUR = 0.025
"""Standard deviation as a share of the short side."""
DETAIL = 6
"""A thing blurred for privacy shows its longer side in no more than so many standard deviations."""
GROWTH = 0.012
"""Share of the short side by which such a thing's mask is grown: hair and motion blur go too."""
GROUND = "#16181d"
"""What a cut-out stands on, where there is no transparency."""
LABEL = 28
"""The short side holds so many lines of label text."""
LABEL_CHARACTERS = 40
LABEL_LUMA = 140


class LookError(SparrowError):
    """A look that there is not."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the referents of a video are marked in it."""

    mode: Mode = "mask"
    opacity: float = 0.45
    """Of the fill in mode "mask", from 0 (nothing) to 1 (only colour); the other modes have none."""
    label: bool = True
    """Whether the phrases are written beside the things."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise LookError(f"look: expected one of {', '.join(MODES)}, got {self.mode!r}")
        if not isinstance(self.opacity, (int, float)) or not 0 <= self.opacity <= 1:
            raise LookError(f"look: expected an opacity from 0 to 1, got {self.opacity!r}")
        if not isinstance(self.label, bool):
            raise LookError(f"look: expected label to be true or false, got {self.label!r}")

    def to_json(self) -> dict[str, str | float | bool]:
        """Give what `Look(**...)` makes the same look from; plain JSON values."""
        return {"mode": self.mode, "opacity": float(self.opacity), "label": self.label}


def pattern_of(referent_id: int) -> Pattern:
    """Give the outline pattern that belongs to a referent id (>= 1)."""
    return PATTERNS[(referent_id - 1) % len(PATTERNS)]


def measures() -> dict[str, float | str]:
    """Give every constant of the formulas above by its name, for the browser."""
    return {
        "DASH": DASH,
        "DOT": DOT,
        "CASING": CASING,
        "DARKENING": DARKENING,
        "BLUR": BLUR,
        "DETAIL": DETAIL,
        "GROWTH": GROWTH,
        "GROUND": GROUND,
        "LABEL": LABEL,
        "LABEL_CHARACTERS": LABEL_CHARACTERS,
        "LABEL_LUMA": LABEL_LUMA,
    }


def line(size_hw: tuple[int, int]) -> int:
    """Give t, the width of a line, in pixels."""
    return max(1, (min(size_hw) + 120) // 240)


def blur(size_hw: tuple[int, int]) -> float:
    """Give the standard deviation that blurs the rest of a picture, in pixels."""
    return BLUR * min(size_hw)


def privacy_blur(size_hw: tuple[int, int], box: tuple[int, int, int, int]) -> float:
    """Give the standard deviation that makes a thing in a box (xyxy) unrecognisable, in pixels."""
    longer = max(box[2] - box[0], box[3] - box[1])
    return max(blur(size_hw), longer / DETAIL)


def privacy_growth(size_hw: tuple[int, int]) -> int:
    """Give m, by how many pixels a mask is grown to each side before it is blurred."""
    return max(2, math.ceil(GROWTH * min(size_hw)))


def label_size(size_hw: tuple[int, int]) -> int:
    """Give the height of label text in pixels."""
    return max(12, round(min(size_hw) / LABEL))
