"""A seed -> a Scene: things that move over a background, drawn at any frame and any size.

A scene is a pure function of its seed, its difficulty and the atlas. It knows what is where and when,
and no language.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from sparrow.errors import SparrowError
from sparrow.masks import box_of
from sparrow.world import background, shapes
from sparrow.world.background import Backdrop
from sparrow.world.cast import RUNGS, Figure, Thing, cast_occluders, cast_things
from sparrow.world.layer import NOBODY, Layer, Pose, Sprite, compose, outline, pose_matrix
from sparrow.world.picture import Atlas, Which

Difficulty = Literal["easy", "full"]
SURVEY_SHARE = 0.25
"""Size at which a survey looks at the frames."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a scene."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    masks: np.ndarray
    """(N, H, W) bool, the pixels of each thing that are seen, in the order of the scene's things."""
    boxes: np.ndarray
    """(N, 4) float32 pixel xyxy around each mask, NaN where the thing is not seen."""
    visibility: np.ndarray
    """(N,) float32 share of each thing's own area that is seen, in [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """Where every thing is in every frame, measured on small outlines without drawing colours."""

    visibility: np.ndarray
    """(T, N) float32 share of each thing's own area that is seen."""
    boxes: np.ndarray
    """(T, N, 4) float32 around what is seen, in pixels of the scene's frame; NaN where nothing is."""
    covered: np.ndarray
    """(T, N, N) float32: [t, i, j] is the share of thing i's area in view that thing j hides."""


@dataclass(frozen=True, slots=True)
class Camera:
    """How the whole picture moves and what the lens and the sensor do to it."""

    pan: tuple[float, float] = (0.0, 0.0)
    """Share of the frame's width and height, over the clip."""
    zoom: float = 0.0
    """Share that things get larger by, over the clip."""
    shake: float = 0.0
    """Share of the frame's shorter side."""
    parallax: tuple[float, float] = (0.0, 0.0)
    """How much more than the things the background moves, as pan."""
    shutter: float = 0.0
    """Share of a frame's time that it is open."""
    blur: float = 0.0
    """Pixels of the scene's frame."""
    noise: float = 0.0
    """Standard deviation, of 255."""
    light: float = 0.0
    """Share that brightness drifts by."""
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    sun: tuple[float, float] = (0.05, 0.07)
    """Where shadows fall, as a share of the thing's length."""


@dataclass(frozen=True, slots=True)
class _Actor:
    figure: Figure
    sprite: Sprite
    owner: int


class Scene:
    """A clip of the world. Build it with Scene.sample.

    Things are numbered from 1 in `things`; the arrays that render gives are in their order.
    """

    def __init__(
        self,
        seed: int,
        things: Sequence[Thing],
        actors: Sequence[_Actor],
        backdrop: Backdrop,
        camera: Camera,
        *,
        difficulty: Difficulty,
        num_frames: int,
        fps: float,
        size_hw: tuple[int, int],
    ) -> None:
        self.seed = seed
        self.difficulty = difficulty
        self.num_frames = num_frames
        self.fps = fps
        self.size_hw = size_hw
        self.camera = camera
        self._actors = tuple(sorted(actors, key=lambda actor: actor.figure.depth))
        self._backdrop = backdrop
        self._survey: Survey | None = None
        self.things = tuple(self._with_events(index, thing) for index, thing in enumerate(things))

    @classmethod
    def sample(
        cls,
        seed: int,
        *,
        difficulty: Difficulty = "easy",
        atlas: Atlas,
        num_frames: int = 40,
        fps: float = 10.0,
        size_hw: tuple[int, int] = (240, 320),
        pictures: Which = "train",
    ) -> Scene:
        """Draw the scene of a seed; the same arguments always give the same scene.

        Args:
            seed: 0 or more; see splits for which are for what.
            difficulty: "easy" (few large things, soft backgrounds) or "full".
            atlas: where pictures come from.
            num_frames: at least 1; events (entering, leaving) need 16.
            fps: frames per second, only kept.
            size_hw: the scene's own frame, in whose pixels its paths are.
            pictures: those that training may see, those held out, or all.

        Raises:
            SparrowError: an argument is out of its range, or the atlas has no such picture.
        """
        if difficulty not in RUNGS:
            raise SparrowError(f'difficulty: expected "easy" or "full", got "{difficulty}"')
        if num_frames < 1 or min(size_hw) < 16 or seed < 0:
            got = f"seed {seed}, {num_frames} frames, {size_hw}"
            raise SparrowError(f"scene: expected seed >= 0, frames >= 1, sides >= 16, got {got}")
        rng, rung = np.random.Generator(np.random.PCG64(seed)), RUNGS[difficulty]
        things = cast_things(rng, rung, atlas, pictures, num_frames=num_frames, size_hw=size_hw)
        actors = [
            _Actor(thing.figure, _sprite(rng, thing, atlas, rung.texture), index)
            for index, thing in enumerate(things)
        ]
        for figure in cast_occluders(rng, rung, num_frames=num_frames, size_hw=size_hw):
            actors.append(_Actor(figure, _occluder_sprite(rng), NOBODY))
        means = np.array([actor.sprite.mean for actor in actors])
        return cls(
            seed,
            things,
            actors,
            _draw_backdrop(rng, difficulty, means),
            _draw_camera(rng, difficulty),
            difficulty=difficulty,
            num_frames=num_frames,
            fps=fps,
            size_hw=size_hw,
        )

    def render(self, frame: float, size_hw: tuple[int, int] | None = None) -> Frame:
        """Draw one frame at any size; no other frame is drawn for it.

        Args:
            frame: from 0 to num_frames - 1; fractions lie between frames.
            size_hw: of the picture, by default the scene's own; another shape squeezes the picture.
        """
        size = self.size_hw if size_hw is None else size_hw
        layers = self._layers(frame, size)
        pan, zoom = self._view(frame)
        spare = self.camera.parallax
        share = self._share(frame) - 0.5
        canvas = self._backdrop.view(
            size,
            pan=(pan[0] + spare[0] * share, pan[1] + spare[1] * share),
            zoom=zoom,
        )
        canvas, owners = compose(canvas, layers)
        rgb = self._develop(canvas, frame)
        count = len(self.things)
        masks = owners == np.arange(count, dtype=np.int16)[:, None, None]  # (N, H, W)
        boxes = np.array([box_of(mask) for mask in masks], np.float32).reshape(count, 4)
        seen = masks.sum((1, 2))
        visibility = np.minimum(seen / np.maximum(self._areas(layers), 1.0), 1.0)
        return Frame(rgb, masks, boxes, visibility.astype(np.float32))

    def survey(self) -> Survey:
        """Measure where everything is in all frames; done once, some milliseconds."""
        if self._survey is None:
            self._survey = self._measure()
        return self._survey

    def _measure(self) -> Survey:
        count = len(self.things)
        size = (
            max(16, round(self.size_hw[0] * SURVEY_SHARE)),
            max(16, round(self.size_hw[1] * SURVEY_SHARE)),
        )
        enlarge = np.array([self.size_hw[1] / size[1], self.size_hw[0] / size[0]] * 2)
        visibility = np.zeros((self.num_frames, count), np.float32)
        boxes = np.full((self.num_frames, count, 4), np.nan, np.float32)
        covered = np.zeros((self.num_frames, count, count), np.float32)
        for frame in range(self.num_frames):
            layers = self._layers(frame, size)
            alone = outline(layers, size)
            owners = np.full(size, NOBODY, np.int16)
            for layer, mask in zip(layers, alone, strict=True):
                owners[mask] = layer.owner
            areas = self._areas(layers)
            for layer, mask in zip(layers, alone, strict=True):
                if layer.owner == NOBODY:
                    continue
                who = owners[mask]
                shown = np.bincount(who[who >= 0], minlength=count)
                index = layer.owner
                visibility[frame, index] = min(1.0, shown[index] / max(areas[index], 1.0))
                boxes[frame, index] = box_of(owners == index) * enlarge
                covered[frame, index] = shown / max(who.size, 1)
                covered[frame, index, index] = 0.0
        return Survey(visibility, boxes, covered)

    def _with_events(self, index: int, thing: Thing) -> Thing:
        """Replace planned event frames by the first frames in which they can be seen."""
        if thing.enters_at is None and thing.leaves_at is None:
            return thing
        size = (self.size_hw[0] // 4, self.size_hw[1] // 4)
        actor = next(actor for actor in self._actors if actor.owner == index)
        inside = [
            bool(outline([self._layer(actor, frame, size)], size)[0].any())
            for frame in range(self.num_frames)
        ]
        changes = [t for t in range(1, self.num_frames) if inside[t] != inside[t - 1]]
        enters = next((t for t in changes if inside[t]), None) if not inside[0] else None
        leaves = next((t for t in changes if not inside[t]), None)
        returns = next(
            (t for t in changes if inside[t] and leaves is not None and t > leaves), None
        )
        return replace(thing, enters_at=enters, leaves_at=leaves, returns_at=returns)

    def _share(self, frame: float) -> float:
        return frame / max(self.num_frames - 1, 1)

    def _view(self, frame: float) -> tuple[tuple[float, float], float]:
        """Give how far the camera has moved the picture (shares of the frame) and its zoom."""
        camera, share = self.camera, self._share(frame) - 0.5
        swing = camera.shake * math.sin(2.1 * frame), camera.shake * math.sin(1.7 * frame + 1.0)
        pan = camera.pan[0] * share + swing[0], camera.pan[1] * share + swing[1]
        return pan, 1.0 + camera.zoom * share

    def _layers(self, frame: float, size_hw: tuple[int, int]) -> list[Layer]:
        return [self._layer(actor, frame, size_hw) for actor in self._actors]

    def _layer(self, actor: _Actor, frame: float, size_hw: tuple[int, int]) -> Layer:
        """Put an actor where it is at a frame, in pixels of the asked-for size."""
        figure, sun = actor.figure, self.camera.sun
        squeeze = np.array([size_hw[1] / self.size_hw[1], size_hw[0] / self.size_hw[0]])
        scale = figure.length * figure.path.scale(frame) / actor.sprite.length
        zoom = self._view(frame)[1]
        matrix = pose_matrix(
            scale * zoom, figure.path.angle(frame), self._place(figure, frame), flip=figure.flip
        )
        matrix *= squeeze[:, None]
        smear = (0.0, 0.0)
        if self.camera.shutter > 0:
            ahead = np.subtract(self._place(figure, frame + 0.5), self._place(figure, frame - 0.5))
            way = ahead * squeeze * self.camera.shutter
            smear = (float(way[0]), float(way[1]))
        phase = math.tau * figure.bend[2] * frame + figure.path.phase
        fall = figure.length * squeeze
        return Layer(
            actor.sprite,
            Pose(matrix, (figure.bend[0], figure.bend[1], phase), smear),
            actor.owner,
            figure.shadow,
            (float(sun[0] * fall[0]), float(sun[1] * fall[1])),
        )

    def _place(self, figure: Figure, frame: float) -> tuple[float, float]:
        """Give a figure's centre as the camera sees it, pixels of the scene's frame."""
        x, y = figure.path.position(frame)
        pan, zoom = self._view(frame)
        height, width = self.size_hw
        return (
            width * (0.5 + pan[0]) + zoom * (x - width / 2),
            height * (0.5 + pan[1]) + zoom * (y - height / 2),
        )

    def _areas(self, layers: Sequence[Layer]) -> np.ndarray:
        """Give the pixels that each thing would cover if nothing hid or cut it, (N,) float64."""
        areas = np.zeros(len(self.things))
        for layer in layers:
            if layer.owner != NOBODY:
                grown = abs(np.linalg.det(layer.pose.matrix[:, :2]))
                areas[layer.owner] = layer.sprite.area * grown
        return areas

    def _develop(self, canvas: np.ndarray, frame: float) -> np.ndarray:
        """Apply lens, light and sensor to a canvas (H, W, 3) float32; gives uint8."""
        camera = self.camera
        blur = camera.blur * canvas.shape[0] / self.size_hw[0]
        if blur > 0.25:
            canvas = cv2.GaussianBlur(canvas, (0, 0), blur)
        drift = 1.0 + camera.light * math.sin(math.tau * 0.8 * self._share(frame) + self.seed % 7)
        canvas = canvas * (np.array(camera.tint, np.float32) * np.float32(drift))
        if camera.noise > 0:
            rng = np.random.Generator(np.random.PCG64([self.seed, round(frame * 1000)]))
            canvas += np.float32(camera.noise) * rng.standard_normal(canvas.shape, np.float32)
        return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)


def _sprite(rng: np.random.Generator, thing: Thing, atlas: Atlas, texture: float) -> Sprite:
    if thing.kind == "shape":
        amount = texture * rng.random()
        return Sprite(shapes.shape_picture(rng, thing.noun, thing.colour, texture=amount))
    return Sprite(atlas.pixels(thing.picture_key))


def _occluder_sprite(rng: np.random.Generator) -> Sprite:
    """Draw something without a noun: a free form or a post, with a texture."""
    if rng.random() < 0.6:
        alpha = shapes.blob_outline(rng, roughness=float(rng.uniform(0.1, 0.8)))
    else:
        alpha = shapes.limb_outline(rng)
    return Sprite(shapes.fill(alpha, rng.uniform(20, 235, 3), rng, texture=1.0))


def _draw_backdrop(rng: np.random.Generator, difficulty: Difficulty, means: np.ndarray) -> Backdrop:
    """Choose a background; an easy one is soft and of another colour than the things."""
    if difficulty == "easy":
        bases = rng.uniform(30, 230, (8, 3))
        apart = np.linalg.norm(bases[:, None] - means[None], axis=2).min(1)
        base, contrast = bases[np.argmax(apart)], rng.uniform(0.1, 0.5)
        kind = str(rng.choice(background.SOFT))
    else:
        base, contrast = rng.uniform(30, 230, 3), rng.uniform(0.25, 1.0)
        kind = str(rng.choice(background.RICH))
    return Backdrop(kind, int(rng.integers(2**31)), base, float(contrast))


def _draw_camera(rng: np.random.Generator, difficulty: Difficulty) -> Camera:
    """Choose camera, light and sensor; movement stays well below that of moving things."""
    hard = difficulty == "full"
    moves = rng.random() < (0.6 if hard else 0.3)
    reach = 0.05 if hard else 0.02
    turn = rng.uniform(0, math.tau)
    spare = rng.uniform(-0.12, 0.12, 2) if hard and rng.random() < 0.4 else np.zeros(2)
    return Camera(
        pan=tuple((rng.uniform(-reach, reach, 2) if moves else np.zeros(2)).tolist()),
        zoom=float(rng.uniform(-0.1, 0.1)) if hard and moves else 0.0,
        shake=float(rng.uniform(0, 0.004)) if hard and rng.random() < 0.3 else 0.0,
        parallax=tuple(spare.tolist()),
        shutter=float(rng.uniform(0.2, 0.9)) if hard and rng.random() < 0.5 else 0.0,
        blur=float(rng.uniform(0.3, 1.2)) if hard and rng.random() < 0.4 else 0.0,
        noise=float(rng.uniform(0, 8.0 if hard else 3.0)),
        light=float(rng.uniform(0, 0.12 if hard else 0.05)),
        tint=tuple(rng.uniform(0.93 if hard else 0.97, 1.04, 3).tolist()),
        sun=(0.09 * math.cos(turn), 0.09 * math.sin(turn)),
    )
