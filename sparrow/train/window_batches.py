"""Batches for the windows stage: squares around one thing, seen large, and what points at it there.

The prompts are those of tracking in the world: a proposal's box, or where there is none the mask of some
frames ago; and now and then nothing is there. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sparrow import masks as mask_tools
from sparrow.model.looking import LATER, WINDOW
from sparrow.model.window import Window
from sparrow.train.pointing import by_box, by_click, by_mask, shrunk
from sparrow.world import splits
from sparrow.world.cutouts import sample_cutout_clip
from sparrow.world.picture import Atlas
from sparrow.world.scene import Scene

_SEEN = 16
"""Pixels from which a thing counts as there."""
_SIDE = 240
"""Of the frames of cut-outs, pixels."""
_PER_CLIP = 4
"""Things that are taken from a clip."""
_GONE = 0.5
"""Share of clips with a thing that has just gone in which it is pointed at."""
_NOTHING = 0.4
"""Share of clips in which a place without anything is pointed at, too."""
_FALSE_BOXES = 0.35
"""Share of boxes, not masks, among what points at nothing."""
_CLICKS = 0.1
"""Share of clicks, not boxes, on the first frame."""
_MASKS = 0.15
"""Share of masks that are a little off among what else is asked for."""
_MOST = 0.5
"""Share of a thing that must lie in a window to be asked for there."""


@dataclass(frozen=True)
class WindowSettings:
    """What the windows stage draws its batches from."""

    phases: tuple[tuple[float, int, int], ...] = ((0.6, 1, 16), (1.0, 3, 6))
    """(until this share of the steps, frames per thing, things per batch)."""
    full_share: float = 0.75
    """Of the worlds, those of the full difficulty."""
    cutouts: float = 0.2
    """Share of clips with class-agnostic cut-outs instead of a world."""
    photos: str | None = None
    """Folder of training-only pictures and photographs, see `sparrow atlas`; done without if absent."""
    boxed_first: float = 0.7
    """Share of first frames with a box; the others have the mask of some frames before."""
    boxed: float = 0.6
    """Share of later frames with a box."""
    asked: int = 2
    """What else is asked for in each first window, its neighbours above all: the encoder's work is shared."""
    validation_batches: int = 6
    """Of each kind."""


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """N things over T frames."""

    frames: np.ndarray
    """(T, N, S, S, 3) uint8 windows."""
    masks: np.ndarray
    """(T, N, S/2, S/2) bool."""
    edges: np.ndarray
    """(T, N, 4) float32 xyxy of the windows in pixels of the frame."""
    points: np.ndarray
    """(T, N, 2, 2) float32 window pixels."""
    labels: np.ndarray
    """(T, N, 2) int32; -1: nothing is pointed at."""
    dense: np.ndarray
    """(T, N, S/4, S/4) float32."""
    prompted: np.ndarray
    """(T, N) bool: the frame has a prompt of its own."""
    asked: Asked
    """What else is asked for in the first windows."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A prompts in each of N windows, none of which has a frame before it."""

    masks: np.ndarray
    """(A, N, S/2, S/2) bool."""
    points: np.ndarray
    """(A, N, 2, 2) float32 window pixels."""
    labels: np.ndarray
    """(A, N, 2) int32."""
    dense: np.ndarray
    """(A, N, S/4, S/4) float32."""


@dataclass(frozen=True, eq=False)
class _Thing:
    """A thing in the frames that are drawn, and in one before them."""

    frames: Sequence[np.ndarray]
    """T times (H, W, 3) uint8."""
    masks: Sequence[np.ndarray]
    """T times (H, W) bool."""
    before: np.ndarray
    """(H, W) bool, its mask some frames before the first."""
    around: np.ndarray
    """(N, H, W) bool, all things in the first frame."""


_Row = dict[str, np.ndarray]


class WindowBatches:
    """Draws batches of worlds and of cut-outs."""

    def __init__(
        self,
        settings: WindowSettings,
        side: int,
        squash: Callable[[np.ndarray], np.ndarray],
        atlas: Atlas,
        photos: Path | None,
    ) -> None:
        """Prepare to draw.

        Args:
            settings: what is drawn.
            side: S, of the squares.
            squash: resizes a part of a frame to (S, S, 3).
            atlas: the world's pictures.
            photos: folder of training-only pictures, if any.
        """
        self._settings = settings
        self._side = side
        self._squash = squash
        self._atlas = atlas
        self._photos = photos

    def draw(
        self, rng: np.random.Generator, frames: int, count: int, seeds: tuple[int, int]
    ) -> WindowBatch:
        """Draw the windows of `count` things over so many frames, from worlds of these seeds."""
        things: list[_Thing] = []
        while len(things) < count:
            cut_out = seeds == splits.TRAIN and rng.random() < self._settings.cutouts
            drawn = self._cut_outs(rng, frames) if cut_out else self._scene(rng, frames, seeds)
            things += _choose(*drawn, rng)
        looked = [self._look(rng, thing) for thing in things[:count]]
        seen, asked = _stacked([rows for rows, _ in looked]), _stacked([more for _, more in looked])
        return WindowBatch(**seen, asked=Asked(**asked))

    def _scene(
        self, rng: np.random.Generator, frames: int, seeds: tuple[int, int]
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Draw T + 1 frames (H, W, 3) of a world and the masks (T + 1, N, H, W) of its things."""
        scene = Scene.sample(
            int(rng.integers(*seeds)),
            difficulty="full" if rng.random() < self._settings.full_share else "easy",
            atlas=self._atlas,
        )
        gap, stride = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        first = int(rng.integers(gap, max(gap + 1, scene.num_frames - (frames - 1) * stride)))
        times = np.minimum(first + stride * np.arange(frames), scene.num_frames - 1)
        times = np.append(first - gap, times)
        if rng.random() < 0.5:
            times = scene.num_frames - 1 - times
        drawn = [scene.render(int(t)) for t in times]
        return [d.rgb for d in drawn], np.stack([d.masks for d in drawn])

    def _cut_outs(
        self, rng: np.random.Generator, frames: int
    ) -> tuple[list[np.ndarray], np.ndarray]:
        pixels, masks = sample_cutout_clip(
            rng,
            num_frames=frames + 1,
            size=_SIDE,
            max_objects=_PER_CLIP,
            level=float(rng.uniform(0.2, 0.9)),
            atlas=self._atlas,
            photos=self._photos,
        )
        return list(pixels), masks

    def _look(self, rng: np.random.Generator, thing: _Thing) -> tuple[list[_Row], list[_Row]]:
        """Cut the windows of a thing, each around what points at it, and draw the prompts.

        Returns:
            One row for each frame, and one for each prompt that is asked besides.
        """
        rows: list[_Row] = []
        asked: list[_Row] = []
        last = mask_tools.box_of(thing.before)  # where it was last
        for t, (frame, mask) in enumerate(zip(thing.frames, thing.masks, strict=True)):
            size_hw, there = frame.shape[:2], mask.sum() >= _SEEN
            share = self._settings.boxed if t else self._settings.boxed_first
            boxed = rng.random() < (share if there else _FALSE_BOXES * (t == 0))
            if np.isnan(last[0]):  # it has just come
                boxed, last = True, mask_tools.box_of(mask)
            around = _rough(mask_tools.box_of(mask) if there else last, rng, size_hw)
            around = around if boxed else last
            window = _about(around, WINDOW if boxed or t == 0 else LATER, rng, size_hw)
            rows.append(
                {
                    "frames": self._squash(window.cut(frame)),
                    "masks": self._target(window.cut(mask)),
                    "edges": window.edges,
                    "prompted": np.array(boxed or t == 0),
                }
            )
            if boxed and there and t == 0 and rng.random() < _CLICKS:
                rows[-1] |= self._click(rng, window.cut(mask))
            elif boxed:
                rows[-1] |= self._box(around, window)
            else:
                rows[-1] |= self._mask(window.cut(thing.before) & (t == 0))
            if t == 0:
                asked = [self._ask(rng, thing, window) for _ in range(self._settings.asked)]
            last = mask_tools.box_of(mask) if there else last
        return rows, asked

    def _ask(self, rng: np.random.Generator, thing: _Thing, window: Window) -> _Row:
        """Point at anything in a window: at a neighbour rather than at what it is around, or at nothing."""
        areas = thing.around.sum((1, 2))
        here = np.stack([window.cut(mask) for mask in thing.around])
        inside = here.sum((1, 2))
        found = np.flatnonzero((inside >= _SEEN) & (inside >= _MOST * areas))
        if not len(found):
            mask = np.zeros(window.size_hw, bool)
            return {"masks": self._target(mask), **self._mask(mask)}
        mask = here[rng.choice(found)]
        kind = rng.random()
        if kind < _CLICKS:
            row = self._click(rng, mask)
        elif kind < _CLICKS + _MASKS:
            row = self._mask(_off(mask, rng))
        else:
            row = self._box(
                _rough(mask_tools.box_of(mask), rng, mask.shape), Window.whole(mask.shape)
            )
        return {"masks": self._target(mask), **row}

    def _target(self, mask: np.ndarray) -> np.ndarray:
        return shrunk(mask, self._side // 2) >= 0.5

    def _box(self, box: np.ndarray, window: Window) -> _Row:
        """Point with a box (4,) in pixels of the frame."""
        edges = window.edges
        corners = (box.reshape(2, 2) - edges[:2]) * (self._side / (edges[2:] - edges[:2]))
        return vars(by_box(corners, self._side))

    def _click(self, rng: np.random.Generator, mask: np.ndarray) -> _Row:
        return vars(by_click(mask, rng, self._side))

    def _mask(self, mask: np.ndarray) -> _Row:
        return vars(by_mask(mask, self._side, boxed=True))


def _choose(frames: list[np.ndarray], masks: np.ndarray, rng: np.random.Generator) -> list[_Thing]:
    """Take things of a clip's T + 1 frames that are there in the second, now and then one that has just gone.

    Args:
        frames: T + 1 times (H, W, 3).
        masks: (T + 1, N, H, W).
        rng: chooses.
    """
    there = masks[1].sum((1, 2)) >= _SEEN
    gone = ~there & (masks[0].sum((1, 2)) >= _SEEN)
    chosen = list(rng.permutation(np.flatnonzero(there))[:_PER_CLIP])
    if gone.any() and rng.random() < _GONE:
        chosen.append(rng.choice(np.flatnonzero(gone)))
    things = [_Thing(frames[1:], list(masks[1:, n]), masks[0, n], masks[1]) for n in chosen]
    if there.any() and rng.random() < _NOTHING:
        first = int(np.flatnonzero(there)[0])
        nowhere = _moved(masks[1, first], rng)
        if np.count_nonzero(nowhere & masks.any((0, 1))) < 0.15 * np.count_nonzero(nowhere):
            empty = np.zeros_like(nowhere)
            things.append(_Thing(frames[1:], [empty] * (len(frames) - 1), nowhere, masks[1]))
    return things


def _moved(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put a mask (H, W) somewhere else in the frame."""
    height, width = mask.shape
    x0, y0, x1, y1 = mask_tools.box_of(mask).astype(int).tolist()
    top, left = rng.integers(height - (y1 - y0) + 1), rng.integers(width - (x1 - x0) + 1)
    moved = np.zeros_like(mask)
    moved[top : top + y1 - y0, left : left + x1 - x0] = mask[y0:y1, x0:x1]
    return moved


def _off(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let a mask (h, w) grow or shrink a little."""
    size = 1 + 2 * int(rng.integers(0, 3))
    change = cv2.dilate if rng.random() < 0.5 else cv2.erode
    return np.asarray(change(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0)


def _about(
    box: np.ndarray, times: float, rng: np.random.Generator, size_hw: tuple[int, ...]
) -> Window:
    """Lay a window about a box (4,), a little off, a little larger or smaller."""
    reach = times * float((box[2:] - box[:2]).max())
    centre = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.04, 2) * reach
    return Window.at(centre, reach * float(np.exp(rng.normal(0, 0.15))), size_hw)


def _rough(box: np.ndarray, rng: np.random.Generator, size_hw: tuple[int, ...]) -> np.ndarray:
    """Move a box's edges as a proposer does."""
    corners = box.reshape(2, 2)
    spread = float(rng.choice([0.02, 0.05, 0.09])) * (corners[1] - corners[0])
    corners = corners + rng.normal(0, 1, (2, 2)) * spread
    corners = np.stack([corners.min(0), np.maximum(corners.max(0), corners.min(0) + 2)])
    return np.clip(corners, 0, size_hw[1::-1]).reshape(4).astype(np.float32)


def _stacked(groups: Sequence[list[_Row]]) -> _Row:
    """Stack N groups of T rows to arrays (T, N, ...)."""
    return {
        key: np.stack([np.stack([row[key] for row in rows]) for rows in groups], axis=1)
        for key in groups[0][0]
    }
