"""Class-agnostic clips for the promptable tracker: moving things of every kind with their masks.

Pictures, shapes, free blobs, articulated figures and, where there is an asset folder, photographs.
Nothing here has a name; how hard a clip is follows one level from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sparrow.world import background, shapes
from sparrow.world.background import Backdrop
from sparrow.world.layer import NOBODY, Layer, Pose, Sprite, compose, pose_matrix
from sparrow.world.motion import Path as Way
from sparrow.world.picture import Atlas, load_atlas

_REACH = 40.0
"""Ways are as long as the frames of a scene, whatever the stride between the drawn frames."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A sprite that rides on a body: its joint on the body and where the body hangs on it."""

    sprite: Sprite
    joint: tuple[float, float]
    """On the body, shares of the body's length from its middle."""
    scale: float
    swing: float
    """Radians."""
    rest: float
    """Radians, the angle it swings around."""
    beat: float
    """Swings per frame."""
    phase: float


@dataclass(frozen=True, slots=True)
class _Body:
    sprite: Sprite
    way: Way
    length: float
    """Pixels of its longer side."""
    owner: int
    bend: tuple[float, float, float]
    shadow: float
    parts: tuple[_Part, ...] = ()


def sample_cutout_clip(
    rng: np.random.Generator,
    *,
    num_frames: int,
    size: int,
    max_objects: int,
    level: float,
    atlas: Atlas,
    photos: Path | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a clip of things to be pointed at.

    Args:
        rng: where randomness comes from.
        num_frames: T, how many frames; the stride between them, and with it the speed, varies.
        size: S, side of the square frames in pixels.
        max_objects: there are 1 to so many things.
        level: 0 (one or two large things, soft backgrounds, slow) to 1 (many, small, textured,
            covered, fast, of the background's colours).
        atlas: where pictures come from; those held out are not drawn.
        photos: an asset folder (see atlas.build_assets) with photographs and backgrounds.

    Returns:
        Frames (T, S, S, 3) uint8, and masks (T, M, S, S) bool of the pixels of each of M things
        that are seen, M <= max_objects. At least one thing is seen in frame 0.
    """
    album = None if photos is None else load_atlas(photos)
    most = max(1, min(max_objects, round(2 + 3 * level)))
    while True:
        count = int(rng.integers(1, most + 1))
        frames, masks = _draw_clip(rng, num_frames, size, count, level, atlas, album)
        if masks[0].any():
            return frames, masks


def _draw_clip(
    rng: np.random.Generator,
    num_frames: int,
    size: int,
    count: int,
    level: float,
    atlas: Atlas,
    album: Atlas | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a clip of so many things, of which none may happen to be in view."""
    backdrop = _draw_backdrop(rng, level, album)
    scenery = backdrop.view((size, size))
    bodies: list[_Body] = []
    for owner in range(count):
        alike = bodies[-1].sprite if bodies and rng.random() < 0.3 * level else None
        bodies.append(_draw_body(rng, owner, size, level, atlas, album, scenery, alike))
    for _ in range(int(rng.binomial(2, 0.45 * level))):
        blob = _blob(rng, level, album)
        bodies.append(_draw_body(rng, NOBODY, size, level, atlas, album, scenery, blob))
    bodies = [bodies[index] for index in rng.permutation(len(bodies))]
    stride = float(np.exp(rng.uniform(math.log(0.5), math.log(1.5 + 5.0 * level))))
    start = float(rng.uniform(0, max(0.0, _REACH - stride * (num_frames - 1))))
    camera = _Camera.draw(rng, level)
    frames, masks = [], []
    for time in start + stride * np.arange(num_frames):
        layers = [layer for body in bodies for layer in _layers(body, time, size, camera, stride)]
        canvas, owners = compose(camera.look(backdrop, size, time), layers)
        frames.append(camera.develop(rng, canvas, time))
        masks.append(owners == np.arange(count, dtype=np.int16)[:, None, None])
    return np.stack(frames), np.stack(masks)


@dataclass(frozen=True, slots=True)
class _Camera:
    """What moves the whole picture and what the lens and the sensor do to it."""

    pan: np.ndarray
    """(2,) share of the frame per frame."""
    zoom: float
    """Share per frame."""
    roll: float
    """Radians per frame."""
    shutter: float
    blur: float
    noise: float
    light: float
    quality: int
    """Of JPEG compression; 0 is none."""
    sun: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, level: float) -> _Camera:
        moves = rng.random() < 0.2 + 0.5 * level
        return cls(
            pan=rng.normal(0, 0.006 * (0.3 + level), 2) * moves,
            zoom=float(rng.normal(0, 0.004 * level)) * moves,
            roll=float(rng.normal(0, 0.004 * level)) * moves,
            shutter=float(rng.uniform(0, 0.8)) if rng.random() < 0.5 * level else 0.0,
            blur=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.4 * level else 0.0,
            noise=float(rng.uniform(0, 2 + 7 * level)),
            light=float(rng.uniform(0, 0.04 + 0.12 * level)),
            quality=int(rng.integers(35, 90)) if rng.random() < 0.5 * level else 0,
            sun=rng.normal(0, 0.06, 2),
        )

    def look(self, backdrop: Backdrop, size: int, time: float) -> np.ndarray:
        """See the backdrop at a time, (S, S, 3) float32."""
        since = time - _REACH / 2
        pan = np.clip(self.pan * since, -0.18, 0.18)
        return backdrop.view(
            (size, size),
            pan=(float(pan[0]), float(pan[1])),
            zoom=1.0 + float(np.clip(self.zoom * since, -0.12, 0.25)),
            angle=self.roll * since,
        )

    def develop(self, rng: np.random.Generator, canvas: np.ndarray, time: float) -> np.ndarray:
        """Apply lens, light, sensor and compression, (S, S, 3) uint8."""
        if self.blur > 0:
            canvas = cv2.GaussianBlur(canvas, (0, 0), self.blur)
        canvas = canvas * np.float32(1.0 + self.light * math.sin(0.15 * time))
        if self.noise > 0.5:
            canvas += np.float32(self.noise) * rng.standard_normal(canvas.shape, np.float32)
        pixels = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
        if not self.quality:
            return pixels
        encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def _layers(body: _Body, time: float, size: int, camera: _Camera, stride: float) -> list[Layer]:
    """Put a body and its parts where they are at a time."""
    scale = body.length * body.way.scale(time) / body.sprite.length
    angle = body.way.angle(time)
    centre = np.array(body.way.position(time))
    centre += np.clip(camera.pan * (time - _REACH / 2), -0.18, 0.18) * size
    ahead = np.subtract(body.way.position(time + 0.5), body.way.position(time - 0.5))
    smear = tuple((ahead * camera.shutter * stride).tolist())
    phase = math.tau * body.bend[2] * time + body.way.phase
    bend = (body.bend[0], body.bend[1], phase)
    sun = tuple((camera.sun * body.length).tolist())
    layers = []
    for part in body.parts:
        turn = angle + part.rest + part.swing * math.sin(math.tau * part.beat * time + part.phase)
        part_scale = scale * part.scale * body.sprite.length / part.sprite.length
        turned = pose_matrix(scale * body.sprite.length, angle, (0.0, 0.0))[:, :2]
        joint = centre + turned @ part.joint
        hang = 0.5 * part_scale * part.sprite.length
        middle = joint + hang * np.array([-math.sin(turn), math.cos(turn)])
        matrix = pose_matrix(part_scale, turn, (float(middle[0]), float(middle[1])))
        layers.append(Layer(part.sprite, Pose(matrix, smear=smear), body.owner))
    matrix = pose_matrix(scale, angle, (float(centre[0]), float(centre[1])))
    layers.append(Layer(body.sprite, Pose(matrix, bend, smear), body.owner, body.shadow, sun))
    return layers


def _draw_body(
    rng: np.random.Generator,
    owner: int,
    size: int,
    level: float,
    atlas: Atlas,
    album: Atlas | None,
    scenery: np.ndarray,
    sprite: Sprite | None,
) -> _Body:
    """Draw a thing and its way; a sprite that is given is used instead of a new one."""
    smallest = 0.36 - 0.24 * level
    length = size * math.exp(rng.uniform(math.log(smallest), math.log(0.62 - 0.1 * level)))
    parts: tuple[_Part, ...] = ()
    if sprite is None:
        sprite = _draw_sprite(rng, level, atlas, album)
        if owner != NOBODY and rng.random() < 0.2:
            sprite = _blob(rng, level, album)
            parts = _limbs(rng, level, album)
            length *= 0.6
        if rng.random() < 0.35 * max(0.0, level - 0.4) / 0.6:
            sprite = _camouflaged(rng, sprite, scenery)
    bends = rng.random() < 0.3 + 0.3 * level
    return _Body(
        sprite,
        _draw_way(rng, size, length, level),
        length,
        owner,
        bend=(
            float(rng.uniform(0.01, 0.03 + 0.05 * level)) if bends else 0.0,
            float(rng.uniform(0.4, 1.6)),
            float(rng.uniform(0.01, 0.06)),
        ),
        shadow=float(rng.uniform(0.15, 0.5)) if rng.random() < 0.5 else 0.0,
        parts=parts,
    )


def _draw_way(rng: np.random.Generator, size: int, length: float, level: float) -> Way:
    """Draw a wandering way; the harder, the faster, and the more often out of the frame."""
    margin = length * (0.45 - 0.35 * level)
    low, high = min(margin, 0.4 * size), max(size - margin, 0.6 * size)
    point = rng.uniform(low, high, 2)
    knots = [(0.0, float(point[0]), float(point[1]))]
    for time in (_REACH / 3, 2 * _REACH / 3, _REACH):
        point = point + rng.normal(0, size * (0.05 + 0.25 * level), 2)
        if rng.random() > 0.15 * level:
            point = np.clip(point, low, high)
        knots.append((time, float(point[0]), float(point[1])))
    return Way(
        knots=tuple(knots),
        acceleration=float(rng.uniform(-0.4, 0.4)),
        phase=float(rng.uniform(0, math.tau)),
        sway=float(rng.uniform(0, 0.04) * size * level),
        tilt=float(rng.normal(0, 0.15 + 0.35 * level)),
        spin=float(rng.normal(0, 0.004 + 0.02 * level)),
        rock=float(abs(rng.normal(0, 0.1))),
        breath=float(rng.uniform(0, 0.05 + 0.1 * level)),
        growth=float(rng.normal(0, 0.001 + 0.006 * level)),
        beat=float(rng.uniform(0.02, 0.1)),
    )


def _draw_sprite(
    rng: np.random.Generator, level: float, atlas: Atlas, album: Atlas | None
) -> Sprite:
    """Choose a photograph, a picture, a shape or a blob."""
    chance = rng.random()
    if album is not None and album.pictures and chance < 0.35:
        return _cutout(rng, album)
    if chance < 0.65:
        return _cutout(rng, atlas)
    if chance < 0.75:
        name, colour = str(rng.choice(shapes.NAMES)), str(rng.choice(list(shapes.PALETTE)))
        return Sprite(shapes.shape_picture(rng, name, colour, texture=level * rng.random()))
    return _blob(rng, level, album)


def _cutout(rng: np.random.Generator, atlas: Atlas) -> Sprite:
    """Take a picture that training may see, mirrored and with other colours now and then."""
    pictures = atlas.select("train")
    rgba = atlas.pixels(pictures[int(rng.integers(len(pictures)))].key)
    if rng.random() < 0.5:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    if rng.random() < 0.3:
        gains = rng.uniform(0.7, 1.3, 3)
        order = rng.permutation(3)
        rgb = np.clip(rgba[..., order] * gains, 0, 255).astype(np.uint8)
        rgba = np.dstack([rgb, rgba[..., 3]])
    return Sprite(rgba)


def _blob(rng: np.random.Generator, level: float, album: Atlas | None) -> Sprite:
    """Cut a free form out of a texture or, where there are any, of a photograph."""
    return Sprite(_filled(rng, shapes.blob_outline(rng, roughness=rng.uniform(0, 1)), level, album))


def _filled(
    rng: np.random.Generator, alpha: np.ndarray, level: float, album: Atlas | None
) -> np.ndarray:
    """Fill an outline with a texture or a piece of a photograph, (h, w, 4) uint8."""
    if album is None or not album.backgrounds or rng.random() < 0.5:
        texture = (0.3 + 0.7 * level) * rng.random()
        return shapes.fill(alpha, rng.uniform(15, 240, 3), rng, texture=texture)
    photo = album.background(str(rng.choice(album.backgrounds)))
    piece = _crop(rng, photo, rng.uniform(0.15, 0.5), alpha.shape[1] / alpha.shape[0])
    size = (alpha.shape[1], alpha.shape[0])
    return np.dstack([cv2.resize(piece, size, interpolation=cv2.INTER_AREA), alpha])


def _limbs(rng: np.random.Generator, level: float, album: Atlas | None) -> tuple[_Part, ...]:
    """Draw two to five limbs that swing around their joints, all filled alike."""
    look = _filled(rng, shapes.limb_outline(rng), level, album)
    sprite = Sprite(look)
    parts = []
    for _ in range(int(rng.integers(2, 6))):
        around = rng.uniform(0, math.tau)
        joint = (0.3 * math.cos(around), 0.3 * math.sin(around))
        parts.append(
            _Part(
                sprite,
                joint,
                scale=float(rng.uniform(0.5, 0.95)),
                swing=float(rng.uniform(0.1, 0.3 + 0.5 * level)),
                rest=around - math.pi / 2,
                beat=float(rng.uniform(0.02, 0.08)),
                phase=float(rng.uniform(0, math.tau)),
            )
        )
    return tuple(parts)


def _camouflaged(rng: np.random.Generator, sprite: Sprite, scenery: np.ndarray) -> Sprite:
    """Give a sprite colours like those of a spot of the scenery (H, W, 3)."""
    height, width = scenery.shape[:2]
    y, x = int(rng.integers(height * 3 // 4)), int(rng.integers(width * 3 // 4))
    spot = scenery[y : y + height // 4, x : x + width // 4].reshape(-1, 3).mean(0)
    rgba = sprite.rgba
    shift = (spot - sprite.mean) * rng.uniform(0.5, 0.9)
    rgb = np.clip(rgba[..., :3] + shift, 0, 255).astype(np.uint8)
    return Sprite(np.dstack([rgb, rgba[..., 3]]))


def _draw_backdrop(rng: np.random.Generator, level: float, album: Atlas | None) -> Backdrop:
    """Choose a background: photographs where there are any, out of focus while the level is low."""
    seed = int(rng.integers(2**31))
    base = rng.uniform(25, 235, 3)
    if album is not None and album.backgrounds and rng.random() < 0.6:
        photo = album.background(str(rng.choice(album.backgrounds)))
        piece = _crop(rng, photo, rng.uniform(0.35, 1.0), 1.0)
        if rng.random() < 0.5:
            piece = np.ascontiguousarray(piece[:, ::-1])
        piece = cv2.resize(piece, (256, 256), interpolation=cv2.INTER_AREA)
        if rng.random() > level:
            piece = cv2.GaussianBlur(piece, (0, 0), rng.uniform(3, 9))
        return Backdrop("photo", seed, base, 1.0, piece)
    rich = rng.random() < 0.2 + 0.7 * level
    kind = str(rng.choice(background.RICH if rich else background.SOFT))
    return Backdrop(kind, seed, base, float(rng.uniform(0.1, 0.4 + 0.6 * level)))


def _crop(rng: np.random.Generator, photo: np.ndarray, share: float, aspect: float) -> np.ndarray:
    """Cut a piece of a photograph: its width a share of the shorter side, its shape as asked."""
    width = max(8, round(share * min(photo.shape[:2]) * min(1.0, aspect)))
    height = max(8, round(width / aspect))
    x = int(rng.integers(max(1, photo.shape[1] - width)))
    y = int(rng.integers(max(1, photo.shape[0] - height)))
    return photo[y : y + height, x : x + width]
