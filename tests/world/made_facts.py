"""Clips written down by hand: things with known ways, and the survey that a scene would give of them."""

import numpy as np

from sparrow.world.cast import Figure, Thing
from sparrow.world.facts import Facts
from sparrow.world.motion import Path
from sparrow.world.scene import Survey

SIZE_HW = (240, 320)
FRAMES = 40


def thing(number, noun="fox", **changes):
    """A large red animal that stays still, unless told otherwise."""
    told = {
        "group": "animal",
        "colour": "red",
        "size": "large",
        "style": "3d",
        "picture_key": f"things/{noun}/3d.webp",
        "motion": "still",
        "kind": "picture",
        "figure": Figure(Path(((0.0, 0.0, 0.0),)), 60.0, 0.5),
    }
    return Thing(number, noun, **{**told, **changes})


def line(start, end, side=60.0, frames=FRAMES):
    """Boxes (T, 4) of a square whose centre goes straight from start to end, in pixels."""
    centres = np.linspace(start, end, frames)
    return np.concatenate([centres - side / 2, centres + side / 2], 1).astype(np.float32)


def facts(*pairs, visible=None, covered=None):
    """Facts of (thing, boxes) pairs.

    Args:
        pairs: a thing and its boxes (T, 4) each.
        visible: {thing id: (T,) share that shows}; 1 where not given.
        covered: {(thing id, id of what hides it): (T,) share}.
    """
    things = [pair[0] for pair in pairs]
    frames = len(pairs[0][1])
    visibility = np.ones((frames, len(things)), np.float32)
    for number, shares in (visible or {}).items():
        visibility[:, number - 1] = shares
    boxes = np.stack([pair[1] for pair in pairs], 1)
    boxes[visibility == 0] = np.nan
    hidden = np.zeros((frames, len(things), len(things)), np.float32)
    for (one, other), shares in (covered or {}).items():
        hidden[:, one - 1, other - 1] = shares
    return Facts(things, Survey(visibility, boxes, hidden), SIZE_HW)


def during(*spans):
    """Visibility (T,) that is 1 in the given (first, last) frames and 0 elsewhere."""
    shares = np.zeros(FRAMES, np.float32)
    for first, last in spans:
        shares[first : last + 1] = 1.0
    return shares
