"""Outcomes of questions, pointed things and proposals -> their means.

Fractions in [0, 1]; None where nothing was asked that could tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sparrow.bench.calibration import Reliability, pairs
from sparrow.bench.outcome import Outcome, Pointed, World

FIRST = (1, 5, 10, 16)
"""Proposals of a frame, best first, among which a thing is looked for."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over questions or their referents."""

    questions: int
    j: float | None
    f: float | None
    j_and_f: float | None
    answer_accuracy: float | None
    refusal_recall: float | None
    false_refusals: float | None
    reentry_recall: float | None
    """Over all times that a referent comes back into view."""
    id_switches_per_100: float | None
    """In 100 frames in which a track is on some thing."""
    referent_chosen_right: float | None
    noun_accuracy: float | None
    late_j_and_f: float | None
    """Over the referents that do not show in frame 0."""
    first_frame_j: float | None
    """In the first frame in which a referent shows."""
    box_iou: float | None
    """Of the boxes that an answer meant with those of its referents."""
    calibration_error: float | None
    """Expected, of the tracks' scores against J with what was meant."""

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Scores:
        """Average outcomes; J and F over referents, right and refused answers over questions."""
        j = mean(value for o in outcomes for value in o.j)
        f = mean(value for o in outcomes for value in o.f)
        frames = sum(o.frames for o in outcomes)
        switches = sum(o.switches for o in outcomes)
        return cls(
            questions=len(outcomes),
            j=j,
            f=f,
            j_and_f=None if j is None or f is None else (j + f) / 2,
            answer_accuracy=mean(o.exact for o in outcomes),
            refusal_recall=mean(o.refused for o in outcomes),
            false_refusals=mean(o.missed for o in outcomes),
            reentry_recall=mean(back for o in outcomes for back in o.returns),
            id_switches_per_100=100 * switches / frames if frames else None,
            referent_chosen_right=mean(right for o in outcomes for right in o.right),
            noun_accuracy=mean(said for o in outcomes for said in o.nouns),
            late_j_and_f=mean(
                (one_j + one_f) / 2
                for o in outcomes
                for one_j, one_f, late in zip(o.j, o.f, o.late, strict=False)
                if late
            ),
            first_frame_j=mean(value for o in outcomes for value in o.first),
            box_iou=mean(value for o in outcomes for value in o.boxes),
            calibration_error=reliability(outcomes).error,
        )


@dataclass(frozen=True, slots=True)
class Pointing:
    """A box around one thing in the first frame, and no words."""

    clips: int
    key_frame_iou: float | None
    """Overlap on the frame pointed at."""
    j: float | None
    """Mean over all frames."""

    @classmethod
    def of(cls, pointed: Sequence[Pointed]) -> Pointing:
        """Average what was pointed at."""
        return cls(len(pointed), mean(p.first for p in pointed), mean(p.j for p in pointed))


@dataclass(frozen=True, slots=True)
class Proposing:
    """Share of the things in sampled frames that are among the first proposals, by how many are looked at."""

    things: int
    """Things, counted anew in each frame, of which enough is seen."""
    recall_50: dict[str, float | None]
    recall_75: dict[str, float | None]

    @classmethod
    def of(cls, worlds: Sequence[World]) -> Proposing:
        """Average the worlds' proposals over things and frames."""
        ranks = np.array([rank for world in worlds for rank in world.ranks], np.int64)
        ranks = ranks.reshape(-1, 2)
        found = [
            {str(count): mean((column >= 0) & (column < count)) for count in FIRST}
            for column in ranks.T
        ]
        return cls(len(ranks), *found)


def reliability(measured: Sequence[Outcome | Pointed], *, followed: bool = False) -> Reliability:
    """Compare the tracks' scores with J: with what was meant, or with the thing that each track is on."""
    return Reliability.of(
        *pairs([sure for one in measured for sure in one.sure], followed=followed)
    )


def mean(values: Iterable[float | None]) -> float | None:
    """Average what is given; None if nothing is."""
    given = [float(value) for value in values if value is not None]
    return float(np.mean(given)) if given else None
