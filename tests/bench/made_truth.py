"""A clip of three things whose truth is known pixel by pixel, and answers about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparrow.bench.truth import Truth
from sparrow.types import GroundedAnswer, MaskTrack, Referent
from sparrow.world.dialogue import QA, Phrase

TEXT = "the fox and the lemon are moving."
FOX, LEMON = Phrase("the fox", (0, 7), 1), Phrase("the lemon", (12, 21), 2)


def square(x: int, y: int = 10, side: int = 12) -> np.ndarray:
    mask = np.zeros((48, 64), dtype=bool)
    mask[y : y + side, x : x + side] = True
    return mask


NOTHING = np.zeros((48, 64), dtype=bool)
# Thing 1 moves right; thing 2 stands, is out of sight from frame 3 to 6, and comes back; thing 3 stands.
MASKS = np.stack(
    [
        np.stack([square(2 + t), square(40) if not 3 <= t < 7 else NOTHING, square(20, y=30)])
        for t in range(10)
    ]
)  # (T, N, H, W)


def truth_of(masks: np.ndarray) -> Truth:
    """Take masks (T, N, H, W) for the truth: what shows of a thing shows wholly."""
    return Truth(masks, masks.any((2, 3)).astype(np.float32))


TRUTH = truth_of(MASKS)


def question(*phrases: Phrase, family: str = "motion") -> QA:
    things = tuple(phrase.thing_id for phrase in phrases)
    return QA(family, "what is moving?", TEXT, phrases, things, ())


def answer(
    *followed: np.ndarray, text: str = TEXT, scores: Sequence[float] | None = None
) -> GroundedAnswer:
    """Make an answer with a track for each (T, H, W) that was followed."""
    referents = tuple(Referent(i, "", (0, 0), "#000000") for i in range(1, len(followed) + 1))
    tracks = tuple(
        MaskTrack.from_masks(i, list(masks), scores or [1.0] * len(masks))
        for i, masks in enumerate(followed, start=1)
    )
    return GroundedAnswer(text, referents, tracks)
