"""One frame and the mask of a thing in it -> pictures of what might come next, with exact masks.

The thing is lifted out of the picture, the hole is filled from around it, and both move on their
own ways, before this scenery or before others of the same video. Knows numpy and OpenCV, no model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sparrow import masks
from sparrow.errors import PromptError

_DETAIL = 2
"""Pictures are kept at so many times the side of the dreams, so that little is lost on the way."""
_HOLE = 3
"""Pixels around the thing, at the side of the dreams, that are filled too: its blurred rim."""
_SPECK = 5
"""Pixels a side of the kept picture that even the smallest thing has."""
_LEAVES = 0.08
"""Share of dreams in which the thing leaves the frame."""
_COVERED = 0.35
"""Share of dreams in which something passes in front of it or beside it."""


@dataclass(frozen=True, eq=False)
class Dream:
    """A made-up next frame."""

    before: np.ndarray
    """(S, S) bool: the pixels of the thing that were seen one frame earlier."""
    frame: np.ndarray
    """(S, S, 3) uint8."""
    mask: np.ndarray
    """(S, S) bool: those that are seen now; none where it left or is covered."""


class Dreamer:
    """Draws futures of one frame, squashed to the square that the model sees."""

    def __init__(self, frame: np.ndarray, mask: np.ndarray, side: int) -> None:
        """Lift the thing out of the frame.

        Args:
            frame: (H, W, 3) uint8.
            mask: (H, W) bool: the thing.
            side: S of the dreams in pixels.

        Raises:
            PromptError: the mask is empty or not of the frame's size.
        """
        if mask.shape != frame.shape[:2]:
            raise PromptError(
                f"dreams: expected a mask of the frame's size {frame.shape[:2]}, got {mask.shape}"
            )
        if not mask.any():
            raise PromptError("dreams: expected a mask with at least one pixel, got an empty one")
        self._side = side
        self._large = (_DETAIL * side, _DETAIL * side)
        picture = cv2.resize(frame, self._large, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(mask.astype(np.float32), self._large, interpolation=cv2.INTER_AREA)
        if np.count_nonzero(alpha >= 0.5) < _SPECK**2:
            alpha = cv2.dilate((alpha > 0).astype(np.float32), np.ones((_SPECK, _SPECK)))
        self._thing = np.dstack([picture, (255 * alpha).astype(np.uint8)])
        box = masks.box_of(alpha >= 0.5) / _DETAIL
        self._centre = (box[:2] + box[2:]) / 2
        self._size = float(np.sqrt((box[2:] - box[:2]).prod()))
        self._sceneries = [_filled(picture, alpha >= 0.5, side)]

    def show(self, around: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Dream before other frames too, instead of those shown earlier.

        Args:
            around: frames (H, W, 3) uint8 of any size, each with a mask (H, W) bool of where in it the thing
                may be; that is filled from around it.
        """
        del self._sceneries[1:]
        for frame, mask in around:
            picture = cv2.resize(frame, self._large, interpolation=cv2.INTER_AREA)
            share = cv2.resize(mask.astype(np.float32), self._large, interpolation=cv2.INTER_AREA)
            self._sceneries.append(_filled(picture, share > 0, self._side))

    def dream(self, rng: np.random.Generator) -> Dream:
        """Draw a next frame; the thing was seen before it."""
        while True:
            motion = _Motion.draw(rng, self._side, self._centre, self._size)
            cover = _Cover.draw(rng, self._side, self._centre, self._size)
            before = self._bent(self._thing[..., 3], motion, 0) >= 128
            if cover is not None:
                before &= cover.shape(0) < 0.5
            if before.any():
                break
        scenery = self._sceneries[int(rng.integers(len(self._sceneries)))]
        canvas = self._warped(scenery, motion.camera)
        alpha: np.ndarray = np.zeros((self._side, self._side), np.float32)
        if motion.stays:
            thing = self._bent(self._thing, motion, 1).astype(np.float32)
            alpha = thing[..., 3] / 255
            canvas += alpha[..., None] * (thing[..., :3] - canvas)
        if cover is not None:
            veil = cover.shape(1)
            canvas += veil[..., None] * (self._warped(scenery, cover.look) - canvas)
            alpha = alpha * (1 - veil)
        return Dream(before, _developed(rng, canvas), alpha >= 0.5)

    def _warped(self, picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """See a picture through a map (2, 3) from dream pixels to dream pixels of the real frame."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            picture,
            _enlarged(matrix),
            (self._side, self._side),
            flags=flags,
            borderMode=cv2.BORDER_REFLECT_101,
        ).astype(np.float32)

    def _bent(self, picture: np.ndarray, motion: _Motion, time: int) -> np.ndarray:
        """See the thing (L, L[, 4]) uint8 where it is at a time, (S, S[, 4])."""
        matrix, bend = motion.thing(time).astype(np.float32), motion.bend(time)
        y, x = np.mgrid[: self._side, : self._side].astype(np.float32)
        at = np.stack([x + bend[..., 0], y + bend[..., 1]], -1) @ matrix[:, :2].T + matrix[:, 2]
        at = ((at + 0.5) * _DETAIL - 0.5).astype(np.float32)
        across, down = cv2.split(at)
        return np.asarray(cv2.remap(picture, across, down, cv2.INTER_LINEAR))


def spoiled(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make the mistakes of a tracker in a mask (S, S): too wide, too narrow, leaking, broken.

    Returns:
        (S, S) bool.
    """
    drawn = mask.astype(np.uint8)
    width = 2 * int(rng.integers(1, 4)) + 1
    change = rng.random()
    if change < 0.5:
        morph = cv2.dilate if change < 0.3 else cv2.erode
        drawn = np.asarray(morph(drawn, np.ones((width, width), np.uint8)))
    inside = np.argwhere(drawn)
    if len(inside) and rng.random() < 0.5:
        y, x = inside[rng.integers(len(inside))]
        size = math.sqrt(len(inside)) * rng.uniform(0.3, 1.2, 2)
        place = (float(x + 0.4 * rng.normal() * size[0]), float(y + 0.4 * rng.normal() * size[1]))
        spot = (place, (float(size[0]), float(size[1])), float(rng.uniform(0, 90)))
        cv2.ellipse(drawn, spot, int(rng.random() < 0.7), -1)
    return drawn > 0


def _enlarged(matrix: np.ndarray) -> np.ndarray:
    """Let a map (2, 3) between dream pixels end in pixels of the kept picture; centres on centres."""
    large = matrix * _DETAIL
    large[:, 2] += (_DETAIL - 1) / 2
    return large


def _filled(picture: np.ndarray, thing: np.ndarray, side: int) -> np.ndarray:
    """Fill a thing (L, L) bool of a picture (L, L, 3) from around it; all of it where nothing is around."""
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    share = cv2.resize(thing.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    rim = np.ones((2 * _HOLE + 1, 2 * _HOLE + 1), np.uint8)
    hole = cv2.dilate((share > 0).astype(np.uint8), rim)
    if hole.all():
        return np.full_like(picture, 127)
    filled = cv2.inpaint(small, hole, 3, cv2.INPAINT_TELEA)
    large = picture.shape[:2]
    veil = cv2.resize(hole.astype(np.float32), large, interpolation=cv2.INTER_LINEAR)[..., None]
    blended = picture * (1 - veil) + cv2.resize(filled, large) * veil
    return blended.astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Motion:
    """How camera and thing move between two frames, in dream pixels."""

    centre: np.ndarray
    """(2,) of the thing in the real frame."""
    place: np.ndarray
    """(2, 2) where it is at time 0, and how far it moves."""
    form: np.ndarray
    """(2, 3) at time 0, and its change: log scale, stretch, radians."""
    bends: np.ndarray
    """(2, S, S, 2) displacements at time 0, and their change."""
    camera: np.ndarray
    """(2, 3) maps dream pixels to pixels of the real frame where the scenery is seen at time 1."""
    stays: bool
    """Whether the thing is still in the frame at time 1."""

    @classmethod
    def draw(cls, rng: np.random.Generator, side: int, centre: np.ndarray, size: float) -> _Motion:
        pace = math.exp(rng.uniform(math.log(0.2), math.log(1.6)))
        spread = (0.03 if rng.random() < 0.4 else 0.2) * side
        place = np.clip(centre + rng.normal(0, spread, 2), 0.05 * side, 0.95 * side)
        speed = rng.normal(0, 0.1, 2) * pace * max(size, 0.1 * side)
        form = np.array([0.12, 0.06, 0.1])  # standard deviations
        x, y, zoom, angle = rng.normal(0, [0.06 * side, 0.06 * side, 0.08, 0.04])
        middle = np.array([side / 2, side / 2])
        return cls(
            centre,
            np.stack([place, speed]),
            np.stack([rng.normal(0, form), rng.normal(0, 0.35 * form) * pace]),
            np.stack([_waves(rng, side, size) * share * size for share in (0.05, 0.03)]),
            _seen_from(zoom, 0.0, angle, middle, middle + np.array([x, y])),
            stays=bool(rng.random() >= _LEAVES),
        )

    def thing(self, time: int) -> np.ndarray:
        """Map dream pixels to pixels of the real frame where the thing is seen, (2, 3)."""
        scale, stretch, angle = self.form[0] + self.form[1] * time
        return _seen_from(scale, stretch, angle, self.centre, self.place[0] + self.place[1] * time)

    def bend(self, time: int) -> np.ndarray:
        return np.asarray(self.bends[0] + self.bends[1] * time)


def _seen_from(
    scale: float, stretch: float, angle: float, centre: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """Map pixels (2, 3) back to a picture whose `centre` now lies at `place`, scaled and turned."""
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    back = np.diag(np.exp([-scale - stretch, -scale + stretch])) @ turn
    return np.hstack([back, (centre - back @ place)[:, None]])


def _waves(rng: np.random.Generator, side: int, size: float) -> np.ndarray:
    """Draw smooth displacements (S, S, 2) of about one, their waves about half the thing's size."""
    cells = int(np.clip(round(2 * side / max(size, 1.0)), 3, 12)) + 1
    coarse = rng.standard_normal((cells, cells, 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))


@dataclass(frozen=True, eq=False)
class _Cover:
    """A piece of the scenery that passes in front of the thing."""

    side: int
    place: np.ndarray
    """(2, 2) of its middle at time 0, and how far it moves."""
    size: tuple[float, float]
    angle: float
    """Degrees."""
    square: bool
    look: np.ndarray
    """(2, 3) where in the scenery its pixels come from."""

    @classmethod
    def draw(
        cls, rng: np.random.Generator, side: int, centre: np.ndarray, size: float
    ) -> _Cover | None:
        if rng.random() >= _COVERED:
            return None
        width, height = 2 * size * np.exp(rng.uniform(np.log([0.1, 0.3]), np.log([0.5, 2.0])))
        shift = rng.uniform(-0.5, 0.5, 2) * side
        return cls(
            side,
            np.stack([centre + rng.normal(0, 0.8, 2) * size, rng.normal(0, 0.25, 2) * size]),
            (float(width), float(height)),
            angle=float(rng.uniform(-90, 90)) if rng.random() < 0.6 else 0.0,
            square=bool(rng.random() < 0.5),
            look=np.array([[1, 0, shift[0]], [0, 1, shift[1]]]),
        )

    def shape(self, time: int) -> np.ndarray:
        """Draw where it is, (S, S) float32 in [0, 1]."""
        drawn = np.zeros((self.side, self.side), np.float32)
        x, y = self.place[0] + self.place[1] * time
        spot = ((float(x), float(y)), self.size, self.angle)
        if self.square:
            cv2.fillConvexPoly(drawn, np.round(cv2.boxPoints(spot)).astype(np.int32), 1.0)
        else:
            cv2.ellipse(drawn, spot, 1.0, -1)
        return np.asarray(cv2.GaussianBlur(drawn, (3, 3), 0))


def _developed(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Let light, lens and sensor change a canvas (S, S, 3) float32; gives uint8."""
    if rng.random() < 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 1.0))
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.03, 3)).astype(np.float32)
    canvas = canvas * gain + np.float32(rng.normal(0, 8))
    noise = rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(0, 6))
    return np.clip(canvas + noise + 0.5, 0, 255).astype(np.uint8)
