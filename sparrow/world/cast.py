"""Who plays in a scene: draws the things, their ways and the nameless occluders for a seed.

Decides; does not draw a pixel. The rungs of difficulty are written down here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparrow.errors import SparrowError
from sparrow.world import motion, shapes
from sparrow.world.motion import Path
from sparrow.world.picture import Atlas, Which

SHAPE_GROUP = "shape"
_TRIES = 10
_FRAMES_FOR_EVENTS = 16


@dataclass(frozen=True, slots=True)
class Figure:
    """How a sprite is drawn over time."""

    path: Path
    length: float
    """Pixels of its longer side in the scene's own frame."""
    depth: float
    """Larger is nearer; nearer covers farther."""
    flip: bool = False
    bend: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Deformation: share of its size, waves along it, waves per frame."""
    shadow: float = 0.0
    """How dark its shadow is."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing that can be spoken of, with all that is true of it in the whole clip."""

    id: int
    """From 1."""
    noun: str
    group: str
    colour: str
    size: str
    """ "small" or "large"."""
    style: str
    """ "3d", "noto", "photo" or "shape"."""
    picture_key: str
    """Key in the atlas, or "shape/<noun>"."""
    motion: str
    """One of motion.WORDS; "" for a thing that leaves and returns."""
    kind: str
    """ "picture" or "shape"."""
    figure: Figure
    enters_at: int | None = None
    """First frame in which it is in view, where that is not frame 0."""
    leaves_at: int | None = None
    """First frame in which it is out of view again."""
    returns_at: int | None = None
    """First frame in which it is back in view after having left."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A rung of difficulty: what a scene may hold."""

    counts: tuple[float, ...]
    """Chances of 1, 2, 3 ... things."""
    small: tuple[float, float]
    """Lengths of things called small, as shares of the frame's shorter side."""
    large: tuple[float, float]
    shapes: float
    """Share of geometric shapes among the things."""
    thin: bool
    """May thin shapes appear?"""
    kin: float
    """Chance that a further thing is of a kind that is there already."""
    alike: float
    """Chance that a further thing shares group or colour with one that is there."""
    enters: float
    """Chances of each event for each thing."""
    leaves: float
    returns: float
    bends: float
    """Chance that a thing deforms."""
    occluders: tuple[float, ...]
    """Chances of 0, 1, 2 ... nameless occluders."""
    apart: bool
    """Are things placed so that they cover each other little?"""
    texture: float


RUNGS = {
    "easy": Rung(
        counts=(0.25, 0.4, 0.35),
        small=(0.25, 0.31),
        large=(0.39, 0.5),
        shapes=0.25,
        thin=False,
        kin=0.15,
        alike=0.1,
        enters=0.06,
        leaves=0.06,
        returns=0.0,
        bends=0.15,
        occluders=(1.0,),
        apart=True,
        texture=0.15,
    ),
    "full": Rung(
        counts=(0.06, 0.16, 0.24, 0.24, 0.18, 0.12),
        small=(0.1, 0.23),
        large=(0.32, 0.55),
        shapes=0.2,
        thin=True,
        kin=0.3,
        alike=0.25,
        enters=0.14,
        leaves=0.12,
        returns=0.08,
        bends=0.4,
        occluders=(0.5, 0.3, 0.2),
        apart=False,
        texture=0.7,
    ),
}


@dataclass(frozen=True, slots=True)
class _Look:
    noun: str
    group: str
    colour: str
    style: str
    key: str


@dataclass(frozen=True, slots=True)
class _Event:
    word: str
    path: Path
    enters_at: int | None = None
    leaves_at: int | None = None
    returns_at: int | None = None


def cast_things(
    rng: np.random.Generator,
    rung: Rung,
    atlas: Atlas,
    which: Which,
    *,
    num_frames: int,
    size_hw: tuple[int, int],
) -> tuple[Thing, ...]:
    """Draw the things of a scene; their event frames are as planned, not yet as seen."""
    count = 1 + int(rng.choice(len(rung.counts), p=rung.counts))
    looks: list[_Look] = []
    things: list[Thing] = []
    for number in range(1, count + 1):
        looks.append(_draw_look(rng, rung, atlas, which, looks))
        size = "large" if rng.random() < 0.5 else "small"
        share = rng.uniform(*(rung.large if size == "large" else rung.small))
        tries = _TRIES if rung.apart else 1
        options = [
            _draw_thing(
                rng, rung, number, looks[-1], size, share * min(size_hw), num_frames, size_hw
            )
            for _ in range(tries)
        ]
        things.append(min(options, key=lambda option: _crowding(option, things, num_frames)))
    if count > 1 and all(thing.enters_at is not None for thing in things):
        first = things[0]
        path = motion.draw_path(
            rng,
            first.motion,
            length=first.figure.length,
            size_hw=size_hw,
            num_frames=num_frames,
            inside=1.0,
        )
        things[0] = replace(first, enters_at=None, figure=replace(first.figure, path=path))
    return tuple(things)


def cast_occluders(
    rng: np.random.Generator, rung: Rung, *, num_frames: int, size_hw: tuple[int, int]
) -> tuple[Figure, ...]:
    """Draw the ways of things without a noun that pass or stand in front."""
    count = int(rng.choice(len(rung.occluders), p=rung.occluders))
    figures = []
    for _ in range(count):
        length = rng.uniform(0.25, 0.6) * min(size_hw)
        word = str(rng.choice(motion.WORDS[:5]))
        path = motion.draw_path(
            rng, word, length=length, size_hw=size_hw, num_frames=num_frames, inside=0.2
        )
        depth = float(rng.uniform(0.4, 1.3))
        figures.append(Figure(path, float(length), depth, shadow=float(rng.uniform(0, 0.3))))
    return tuple(figures)


def _draw_look(
    rng: np.random.Generator, rung: Rung, atlas: Atlas, which: Which, others: Sequence[_Look]
) -> _Look:
    """Choose what a thing is: a shape or a picture, perhaps of a kind or a look that is there."""
    model = others[int(rng.integers(len(others)))] if others else None
    chance = rng.random()
    if model is not None and chance < rung.kin:
        if model.group == SHAPE_GROUP:
            colour = _colour(rng) if rng.random() < 0.7 else model.colour
            return replace(model, colour=colour)
        if rng.random() < 0.5:
            return model
        pictures = atlas.of_noun(model.noun, which)
        return _look_of(atlas, pictures[int(rng.integers(len(pictures)))].key)
    if which != "held_out" and rng.random() < rung.shapes:
        names = [name for name in shapes.NAMES if rung.thin or name not in shapes.THIN]
        name = str(rng.choice(names))
        colour = model.colour if model is not None and chance > 1 - rung.alike else _colour(rng)
        return _Look(name, SHAPE_GROUP, colour, "shape", f"shape/{name}")
    pictures = atlas.select(which)
    if model is not None and chance > 1 - rung.alike:
        alike = [p for p in pictures if p.colour == model.colour or p.group == model.group]
        pictures = tuple(alike) or pictures
    if not pictures:
        raise SparrowError(f'atlas: expected pictures for "{which}", it has none')
    nouns = list(dict.fromkeys(picture.noun for picture in pictures))
    noun = nouns[int(rng.integers(len(nouns)))]
    of_noun = [picture for picture in pictures if picture.noun == noun]
    return _look_of(atlas, of_noun[int(rng.integers(len(of_noun)))].key)


def _look_of(atlas: Atlas, key: str) -> _Look:
    picture = atlas.picture(key)
    return _Look(picture.noun, picture.group, picture.colour, picture.style, key)


def _colour(rng: np.random.Generator) -> str:
    return str(rng.choice(list(shapes.PALETTE)))


def _draw_thing(
    rng: np.random.Generator,
    rung: Rung,
    number: int,
    look: _Look,
    size: str,
    length: float,
    num_frames: int,
    size_hw: tuple[int, int],
) -> Thing:
    """Give a look its way through the clip, with at most one event."""
    word = str(rng.choice(motion.WORDS, p=(0.22, 0.16, 0.16, 0.14, 0.14, 0.18)))
    path = motion.draw_path(
        rng,
        word,
        length=length,
        size_hw=size_hw,
        num_frames=num_frames,
        inside=1.0 if rung.apart else 0.8,
    )
    event = _draw_event(rng, rung, word, path, length, num_frames, size_hw)
    bend = _draw_bend(rng, rung, look)
    figure = Figure(
        path=event.path,
        length=float(length),
        depth=float(rng.uniform(0, 1)),
        flip=bool(rng.random() < 0.5) and look.group != SHAPE_GROUP,
        bend=bend,
        shadow=float(rng.uniform(0.15, 0.5)) if rng.random() < 0.7 else 0.0,
    )
    return Thing(
        id=number,
        noun=look.noun,
        group=look.group,
        colour=look.colour,
        size=size,
        style=look.style,
        picture_key=look.key,
        motion=event.word,
        kind="shape" if look.group == SHAPE_GROUP else "picture",
        figure=figure,
        enters_at=event.enters_at,
        leaves_at=event.leaves_at,
        returns_at=event.returns_at,
    )


def _draw_bend(rng: np.random.Generator, rung: Rung, look: _Look) -> tuple[float, float, float]:
    """Perhaps let a thing deform; a shape so little that it keeps its name."""
    if rng.random() >= rung.bends:
        return (0.0, 0.0, 0.0)
    most = 0.015 if look.group == SHAPE_GROUP else 0.03
    return (
        float(rng.uniform(0.005, most)),
        float(rng.uniform(0.5, 1.4)),
        float(rng.uniform(0.01, 0.05)),
    )


def _draw_event(
    rng: np.random.Generator,
    rung: Rung,
    word: str,
    path: Path,
    length: float,
    num_frames: int,
    size_hw: tuple[int, int],
) -> _Event:
    """Perhaps let a thing on its way enter, leave, or leave and return."""
    chance, last = rng.random(), num_frames - 1
    if num_frames < _FRAMES_FOR_EVENTS:
        return _Event(word, path)
    if word in motion.DIRECTIONS and chance < rung.enters:
        enters_at = int(rng.uniform(0.1, 0.5) * last)
        return _Event(word, motion.entering(path, word, enters_at, length, size_hw), enters_at)
    if word in motion.DIRECTIONS and chance < rung.enters + rung.leaves:
        leaves_at = int(rng.uniform(0.5, 0.9) * last)
        return _Event(word, motion.leaving(path, word, leaves_at, length, size_hw), None, leaves_at)
    if chance > 1 - rung.returns:
        gone, back = int(rng.uniform(0.3, 0.42) * last), int(rng.uniform(0.52, 0.66) * last)
        side = str(rng.choice(list(motion.DIRECTIONS)))
        path = motion.returning(path, side, gone, back, length, size_hw)
        return _Event("", path, None, gone, back)
    return _Event(word, path)


def _crowding(thing: Thing, others: Sequence[Thing], num_frames: int) -> float:
    """Say how much a thing would cover the others over the clip; 0 where never."""
    total = 0.0
    for frame in np.linspace(0, num_frames - 1, 5):
        here = thing.figure.path.position(frame)
        for other in others:
            there = other.figure.path.position(frame)
            reach = 0.5 * (thing.figure.length + other.figure.length)
            total += max(0.0, 1.0 - math.dist(here, there) / reach)
    return total
