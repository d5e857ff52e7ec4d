"""What a model's answers about one world were worth, as numbers that survive a file unchanged.

Knows neither masks nor means: judging.py makes outcomes, scores.py averages them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Sure = tuple[float, float, float]
"""Of a frame with a mask: the track's score, J with the thing that was meant, J with the one it is on."""

Ranks = tuple[int, int]
"""Of a thing in a frame: the place (from 0) of the first proposal that overlaps it by 0.5, and by 0.75; -1 for none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the answer to one question was worth. A true referent is one of the R that it should ground."""

    family: str
    exact: bool
    """Is the answer the true one, word for word?"""
    j: tuple[float, ...] = ()
    """Mean J over the clip for each true referent, and 0 for each one too many."""
    f: tuple[float, ...] = ()
    right: tuple[bool, ...] = ()
    """(R,) is there a track that is on it more than on anything else?"""
    late: tuple[bool, ...] = ()
    """(R,) does it not show in frame 0?"""
    first: tuple[float, ...] = ()
    """J in the first frame in which a true referent shows; left out where it never does."""
    boxes: tuple[float, ...] = ()
    """(R,) overlap of the boxes that the answer meant with the true ones, 0 where nothing was meant."""
    refused: bool | None = None
    """About something absent: did the answer ground nothing? None for other questions."""
    missed: bool | None = None
    """About something there: did the answer ground nothing? None for other questions."""
    nouns: tuple[bool, ...] = ()
    """For each pointed thing, if large enough: was it called by its noun?"""
    returns: tuple[bool, ...] = ()
    """For each time that a true referent comes back into view: was its mask soon back too?"""
    switches: int = 0
    """Times that a track went over to another thing."""
    frames: int = 0
    """Frames in which a track was on some thing."""
    sure: tuple[Sure, ...] = ()
    """For each frame in which a track has a mask."""


@dataclass(frozen=True, slots=True)
class Pointed:
    """A thing followed from a box in the first frame, without words."""

    first: float
    """J in the first frame."""
    j: float
    """Mean over all frames."""
    sure: tuple[Sure, ...] = ()
    """For each frame in which the track has a mask."""


@dataclass(frozen=True, slots=True)
class World:
    """All that was measured on the world of a seed."""

    seed: int
    model: str
    """What the model calls itself."""
    answers: tuple[Outcome, ...]
    pointed: Pointed | None
    """None where nothing is in the first frame."""
    ranks: tuple[Ranks, ...]
    """For each thing in each sampled frame, if enough of it is seen there."""

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> World:
        """Take back what json made of `dataclasses.asdict` of a world.

        Raises:
            TypeError: a field is missing or unknown.
            KeyError: likewise.
        """
        pointed = row["pointed"]
        return cls(
            int(row["seed"]),
            str(row["model"]),
            tuple(Outcome(**_tuples(answer)) for answer in row["answers"]),
            None if pointed is None else Pointed(**_tuples(pointed)),
            _tuple(row["ranks"]),
        )


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _tuple(value) for key, value in row.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(part) for part in value) if isinstance(value, list) else value
