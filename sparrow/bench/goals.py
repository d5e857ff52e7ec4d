"""The figures that sparrow-mini is to reach on held-out worlds of the full difficulty, beside what it reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparrow.bench.outcome import Outcome
from sparrow.bench.scores import Scores


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach."""

    name: str
    limit: float
    at_most: bool
    """Is the limit the largest good figure, not the smallest?"""
    figure: float | None
    """None where no question could tell."""

    @property
    def reached(self) -> bool | None:
        """Say whether the figure is good; None where there is none."""
        if self.figure is None:
            return None
        return self.figure <= self.limit if self.at_most else self.figure >= self.limit


@dataclass(frozen=True, slots=True)
class _Aim:
    name: str
    limit: float
    figure: Callable[[Scores], float | None]
    families: tuple[str, ...] = ()
    """Of the questions that count; empty: all."""
    at_most: bool = False


_AIMS = (
    _Aim("J&F by noun or look", 0.80, lambda s: s.j_and_f, ("noun", "look")),
    _Aim(
        "J&F by motion, event, relation", 0.70, lambda s: s.j_and_f, ("motion", "event", "relation")
    ),
    _Aim("J&F of what is absent in frame 0", 0.65, lambda s: s.late_j_and_f),
    _Aim("answers exact", 0.90, lambda s: s.answer_accuracy),
    _Aim("absent things refused", 0.95, lambda s: s.refusal_recall),
    _Aim("false refusals", 0.03, lambda s: s.false_refusals, at_most=True),
    _Aim("re-entry recall", 0.85, lambda s: s.reentry_recall),
    _Aim("identity switches per 100 frames", 2.0, lambda s: s.id_switches_per_100, at_most=True),
)


def goals(outcomes: Sequence[Outcome]) -> tuple[Goal, ...]:
    """Compare outcomes with every goal."""
    found = []
    for aim in _AIMS:
        counted = [o for o in outcomes if not aim.families or o.family in aim.families]
        found.append(Goal(aim.name, aim.limit, aim.at_most, aim.figure(Scores.of(counted))))
    return tuple(found)
