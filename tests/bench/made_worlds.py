"""Outcomes of worlds made up from a seed, for what only counts them."""

from __future__ import annotations

from sparrow.bench.outcome import Outcome, Pointed, World


def world(seed: int, *, exact: bool = True) -> World:
    """Make a world with two answers: one grounded, one refusal."""
    share = (seed % 10) / 10
    noun = Outcome(
        "noun",
        exact,
        j=(share,),
        f=(share,),
        right=(True,),
        late=(seed % 2 == 1,),
        first=(0.5,),
        boxes=(0.25,),
        missed=False,
        returns=(True, False),
        switches=1,
        frames=40,
        sure=((0.9, share, 1.0), (0.123, 0.3333, 0.3333)),
    )
    absent = Outcome("absent", not exact, refused=exact)
    pointed = None if seed % 5 == 0 else Pointed(0.8, share, ((0.7, 0.6, 0.6),))
    return World(seed, "bird", (noun, absent), pointed, ((0, 4), (5, -1), (-1, -1)))
