"""A scene -> what is true of it for somebody who watches it: who is where, when, and doing what.

A question without a clear answer gets None: a fact holds by a margin or it is none. Knows no sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from sparrow.world.cast import Thing
from sparrow.world.motion import DIRECTIONS
from sparrow.world.scene import Scene, Survey

RETURNS = "returns"
"""The motion of a thing that leaves and comes back."""
RELATIONS = {
    "left": (0, -1),
    "right": (0, 1),
    "above": (1, -1),
    "below": (1, 1),
}
"""Axis (0 across, 1 down) and sign of each relation."""
CLEAR_PIXELS = 24.0
"""Longer side, in pixels of the scene's frame, from which a thing can be told apart."""

_SEEN = 0.1  # share of a thing that must show before it counts as visible
_WELL_SEEN = 0.5
_CLEAR_FRAMES = 4
_BORDER_MARGIN = 0.03  # share of the frame around the borders of thirds where no place has a word
_ORDER_MARGIN = 0.04  # share of the width between things that are told from left to right
_RELATION_MARGIN = 0.1
_RELATION_SHARE = 0.85  # of the frames that show both
_SIZE_RATIO = 1.25
_SHIFT = 0.12  # share of the frame that a thing must move to have a direction
_REST = 0.15  # ... and may at most drift when it stays still (the camera moves too)
_THIRDS = (("left", "middle", "right"), ("top", "middle", "bottom"))

Test = Callable[[Thing], bool]


class Facts:
    """What a viewer can tell of the things of a clip.

    Args:
        things: in the order of the survey's arrays.
        survey: where they are in every frame.
        size_hw: pixels of the scene's frame.
    """

    def __init__(self, things: Sequence[Thing], survey: Survey, size_hw: tuple[int, int]) -> None:
        self.things = tuple(things)
        self.size_hw = size_hw
        self.num_frames = len(survey.visibility)
        self._index = {thing.id: index for index, thing in enumerate(self.things)}
        self._covered = survey.covered
        self._visibility = survey.visibility
        self._seen = (survey.visibility > _SEEN) & ~np.isnan(survey.boxes[..., 0])  # (T, N)
        boxes = survey.boxes / np.array([size_hw[1], size_hw[0]] * 2, np.float32)
        self._centres = (boxes[..., :2] + boxes[..., 2:]) / 2  # (T, N, 2) in [0, 1]
        sides = survey.boxes[..., 2:] - survey.boxes[..., :2]
        large = np.nan_to_num(sides).max(2) >= CLEAR_PIXELS
        clear: np.ndarray = (large & (survey.visibility >= _WELL_SEEN)).sum(0) >= _CLEAR_FRAMES
        ever = survey.visibility.max(0, initial=0.0) > 0
        self.clear = tuple(t for t, is_clear in zip(self.things, clear, strict=True) if is_clear)
        """Things that can be told apart."""
        self.vague = tuple(
            t for t, c, e in zip(self.things, clear, ever, strict=True) if e and not c
        )
        """Things that show, but not well enough to speak of."""
        self._lengths = self._measure_lengths(sides)

    @classmethod
    def of(cls, scene: Scene) -> Facts:
        """Survey a scene."""
        return cls(scene.things, scene.survey(), scene.size_hw)

    def only(self, test: Test) -> Thing | None:
        """Give the one thing that passes a test; None where there is none, several or doubt."""
        found = self.every(test)
        return found[0] if found is not None and len(found) == 1 else None

    def every(self, test: Test) -> tuple[Thing, ...] | None:
        """List the things that pass a test; None where a vague thing may be one of them."""
        if any(test(thing) for thing in self.vague):
            return None
        return tuple(thing for thing in self.clear if test(thing))

    def seen(self, thing: Thing) -> np.ndarray:
        """Say per frame, (T,) bool, whether the thing shows."""
        seen: np.ndarray = self._seen[:, self._index[thing.id]]
        return seen

    def spans(self, thing: Thing) -> list[tuple[int, int]]:
        """List the (first, last) frames of its appearances, without gaps and glimpses below 3 frames."""
        frames = np.flatnonzero(self.seen(thing))
        if frames.size == 0:
            return []
        cuts = np.flatnonzero(np.diff(frames) > 4) + 1
        runs = [(int(run[0]), int(run[-1])) for run in np.split(frames, cuts)]
        return [run for run in runs if run[1] - run[0] >= 2]

    def centre(self, thing: Thing) -> tuple[float, float]:
        """Give the mean (x, y) of where it shows, as shares of the frame."""
        x, y = self._centres[self.seen(thing), self._index[thing.id]].mean(0)
        return float(x), float(y)

    def length(self, thing: Thing) -> float:
        """Give its usual size, the root of its box's area in pixels."""
        return float(self._lengths[self._index[thing.id]])

    def motion(self, thing: Thing) -> str | None:
        """Give its motion word (one of motion.WORDS, or RETURNS) where the eye agrees with it."""
        if thing.returns_at is not None:
            return RETURNS if len(self.spans(thing)) == 2 else None
        if not thing.motion:
            return None
        (x0, y0), (x1, y1) = self._ends(thing)
        if thing.motion in DIRECTIONS:
            along = np.dot((x1 - x0, y1 - y0), DIRECTIONS[thing.motion])
            return thing.motion if along >= _SHIFT else None
        drift = max(abs(x1 - x0), abs(y1 - y0))
        return None if thing.motion == "still" and drift > _REST else thing.motion

    def place(self, thing: Thing) -> str | None:
        """Name the ninth of the frame where it stays: "left", "top", "bottom right", "middle" ..."""
        x, y = (_third(value, axis) for axis, value in enumerate(self.centre(thing)))
        if x is None or y is None:
            return None
        words = [word for word in (y, x) if word != "middle"]
        return " ".join(words) or "middle"

    def way(self, thing: Thing) -> tuple[str, str] | None:
        """Name the thirds of the frame between which a moving thing goes, e.g. ("left", "middle")."""
        if self.motion(thing) not in DIRECTIONS:
            return None
        axis = 0 if thing.motion in ("left", "right") else 1
        start, end = (_third(point[axis], axis) for point in self._ends(thing))
        return (start, end) if start and end and start != end else None

    def moves_within(self, thing: Thing) -> bool:
        """Say whether it stays about where it is, so that one place describes it."""
        start, end = self._ends(thing)
        return self.motion(thing) != RETURNS and all(
            abs(b - a) <= 0.2 for a, b in zip(start, end, strict=True)
        )

    def when(self, thing: Thing) -> str | None:
        """Name when it shows: "whole", "beginning", "middle", "end" or "ends" (both)."""
        shares = [(a / self.num_frames, (b + 1) / self.num_frames) for a, b in self.spans(thing)]
        if len(shares) == 2 and shares[0][0] <= 0.05 and shares[1][1] >= 0.95:
            return "ends"
        if len(shares) != 1:
            return None
        ((start, stop),) = shares
        if start <= 0.05:
            return "whole" if stop >= 0.95 else "beginning" if stop <= 0.8 else None
        if start < 0.15:
            return None
        return "end" if stop >= 0.95 else "middle" if stop <= 0.85 else None

    def is_to(self, one: Thing, relation: str, other: Thing) -> bool | None:
        """Say whether one thing is left, right, above or below another one; None in doubt."""
        axis, sign = RELATIONS[relation]
        both = self.seen(one) & self.seen(other)
        if both.sum() < _CLEAR_FRAMES:
            return None
        a, b = (self._centres[both, self._index[thing.id], axis] for thing in (one, other))
        ahead = sign * (a - b)
        if abs(ahead.mean()) < _RELATION_MARGIN:
            return None
        share = (ahead > 0).mean()
        return True if share >= _RELATION_SHARE else False if share <= 1 - _RELATION_SHARE else None

    def left_to_right(self, things: Sequence[Thing]) -> tuple[Thing, ...] | None:
        """Order things by where they are on average; None where two are too close to call."""
        ordered = sorted(things, key=lambda thing: self.centre(thing)[0])
        xs = [self.centre(thing)[0] for thing in ordered]
        return tuple(ordered) if all(np.diff(xs) >= _ORDER_MARGIN) else None

    def ranked(self, relation: str) -> tuple[Thing, ...] | None:
        """Order all things from the outermost in a direction; None where any neighbours are in doubt."""
        axis, sign = RELATIONS[relation]
        ordered = sorted(
            self.clear, key=lambda thing: sign * self.centre(thing)[axis], reverse=True
        )
        pairs = pairwise(ordered)
        if self.vague or not all(self.is_to(a, relation, b) for a, b in pairs):
            return None
        return tuple(ordered)

    def outermost(self, relation: str) -> Thing | None:
        """Give the thing that is left of (right of, above, below) all others."""
        if self.vague or len(self.clear) < 2:
            return None
        for one in self.clear:
            if all(one is other or self.is_to(one, relation, other) for other in self.clear):
                return one
        return None

    def largest(self) -> Thing | None:
        """Give the thing that is clearly larger than all others."""
        return self._extreme(1.0)

    def smallest(self) -> Thing | None:
        """Give the thing that is clearly smaller than all others."""
        return self._extreme(-1.0)

    def is_larger(self, one: Thing, other: Thing) -> bool | None:
        """Compare sizes; None where they are too close."""
        ratio = self.length(one) / self.length(other)
        return True if ratio >= _SIZE_RATIO else False if ratio <= 1 / _SIZE_RATIO else None

    def enters(self, thing: Thing) -> bool:
        """Say whether it comes into view after the clip has begun, and stays."""
        spans = self.spans(thing)
        return thing.enters_at is not None and len(spans) == 1 and spans[0][0] >= 3

    def leaves(self, thing: Thing) -> bool:
        """Say whether it goes out of view for good."""
        spans = self.spans(thing)
        gone = thing.leaves_at is not None and thing.returns_at is None
        return gone and len(spans) == 1 and spans[0][1] <= self.num_frames - 4

    def passes_behind(self, one: Thing, other: Thing) -> bool:
        """Say whether one thing gets mostly hidden by another one and shows well before and after."""
        i, j = self._index[one.id], self._index[other.id]
        hidden = np.flatnonzero(self._covered[:, i, j] >= 0.6)
        if hidden.size < 2:
            return False
        well = self._visibility[:, i] >= 0.8
        return bool(well[: hidden[0]].any() and well[hidden[-1] + 1 :].any())

    def hides(self, one: Thing, other: Thing) -> bool:
        """Say whether the other thing ever covers a good part of the first."""
        covered = self._covered[:, self._index[one.id], self._index[other.id]]
        return bool((covered >= 0.3).any())

    def _ends(self, thing: Thing) -> tuple[np.ndarray, np.ndarray]:
        """Give where it is (x, y) when it first and when it last shows, each over some frames."""
        centres = self._centres[self.seen(thing), self._index[thing.id]]
        few = max(1, len(centres) // 8)
        return centres[:few].mean(0), centres[-few:].mean(0)

    def _measure_lengths(self, sides: np.ndarray) -> np.ndarray:
        roots = np.sqrt(np.nan_to_num(sides).prod(2))  # (T, N)
        whole = np.where(self._visibility >= 0.8, roots, np.nan)
        lengths = np.zeros(len(self.things))
        for index in range(len(self.things)):
            full = whole[~np.isnan(whole[:, index]), index]
            lengths[index] = np.median(full) if full.size else roots[:, index].max(initial=0.0)
        return lengths

    def _extreme(self, sign: float) -> Thing | None:
        if self.vague or len(self.clear) < 2:
            return None
        first, *others = sorted(self.clear, key=lambda thing: -sign * self.length(thing))
        ahead = all(self.is_larger(first, other) is (sign > 0) for other in others)
        return first if ahead else None


def _third(value: float, axis: int) -> str | None:
    """Name the third of the frame that a coordinate in [0, 1] is in; None near a border of thirds."""
    if min(abs(value - 1 / 3), abs(value - 2 / 3)) < _BORDER_MARGIN:
        return None
    return _THIRDS[axis][min(max(int(3 * value), 0), 2)]
