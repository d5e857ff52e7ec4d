"""The task that trains the object encoder: noisy tracks of things in worlds to their nouns, looks and motions.

A drawn clip is used several times with other noise, since drawing costs more than training on it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparrow.model.object_encoder import (
    ATTRIBUTES,
    ObjectEncoderConfig,
    ObjectTokens,
    largest_frames,
    trajectories,
)
from sparrow.model.sparrow import SparrowModel
from sparrow.train.clips import Clip, bad_tracks, draw_clip, noisy_tracks, spread_frames
from sparrow.train.pasted import Stamps, paste, pieces
from sparrow.train.stage import Stage, parse
from sparrow.world.picture import COLOURS, Atlas, load_atlas
from sparrow.world.scene import Scene
from sparrow.world.shapes import NAMES as SHAPES
from sparrow.world.splits import TRAIN, VALIDATION

_WEIGHTS = {"noun": 1.0, "group": 0.2, "colour": 0.3, "size": 0.15, "motion": 0.3}
_OBJECTNESS_WEIGHT = 0.4
_LARGE_ENOUGH = 24  # pixels: the size from which nouns are counted in the score
UNLABELLED = -1


@dataclass(frozen=True)
class ObjectsSettings:
    """What the objects task draws."""

    clips: int = 24
    """Clips in a step."""
    fresh: int = 4
    """How many of them are drawn anew; the others come from the last `window` clips."""
    window: int = 320
    size_hw: tuple[int, int] = (192, 256)
    """Pixels at which worlds are rendered."""
    full_share: float = 0.4
    """Share of worlds of the full difficulty; the others are easy."""
    jitter: float = 0.06
    """Standard deviation of a box edge over the size of the box."""
    bad: int = 3
    """Tracks without a whole thing that are tried per clip."""
    pasted: int = 0
    """Tracks whose crops are pictures pasted onto pieces of the frames; the more, the more nouns."""
    validation_clips: int = 120


@dataclass(frozen=True, eq=False)
class ObjectsBatch:
    """N tracks with their labels."""

    crops: np.ndarray
    """(N, C, 3, S, S) uint8."""
    weights: np.ndarray
    """(N, C) float32, 0 for a filler."""
    numbers: np.ndarray
    """(N, 9 T) float32."""
    labels: np.ndarray
    """(N, attributes) int64 in the order of ATTRIBUTES, UNLABELLED where there is no truth."""
    whole: np.ndarray
    """(N,) float32, 1 when the track holds one whole thing."""
    side: np.ndarray
    """(N,) longer side of the largest box, pixels."""


@dataclass(frozen=True, eq=False)
class _Drawn:
    clip: Clip
    labels: np.ndarray


def encoder_config(atlas: Atlas) -> ObjectEncoderConfig:
    """List the classes of an atlas and of the named shapes."""
    nouns = tuple(sorted({*atlas.nouns, *SHAPES}))
    groups = tuple(sorted({*atlas.groups, "shape"}))
    return ObjectEncoderConfig(nouns=nouns, groups=groups, colours=tuple(COLOURS))


class Objects:
    """Trains `video_llm.object_encoder`."""

    parts: tuple[str, ...] = ("video_llm.object_encoder.",)

    def __init__(self, model: SparrowModel, stage: Stage) -> None:
        self.model = model
        self.settings = parse(ObjectsSettings, stage.settings, f"stage {stage.name} settings")
        self._encoder = model.mini.object_encoder
        self._atlas = load_atlas()
        self._stamps = Stamps(self._atlas)
        self._recent: OrderedDict[int, _Drawn] = OrderedDict()
        self._validation: list[ObjectsBatch] | None = None

    def batch(self, index: int) -> ObjectsBatch:
        """Draw the tracks of a step's clips, fresh ones and recent ones again."""
        rng = np.random.default_rng([index, 1])
        settings = self.settings
        first = index * settings.fresh
        oldest = max(0, first - settings.window)
        again = rng.integers(oldest, first + settings.fresh, settings.clips - settings.fresh)
        numbers = [*range(first, first + settings.fresh), *(int(i) for i in again)]
        drawn = [self._clip(number) for number in numbers]
        return self._with_pasted(
            self._tracks(drawn, rng, settings.jitter, augment=True), drawn, rng
        )

    def loss(self, batch: ObjectsBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Give the classification losses of whole tracks and the objectness loss of all."""
        found, labels, whole = self._encode(batch)
        logs: dict[str, float] = {}
        total = found.tokens.new_zeros(())
        for column, name in enumerate(ATTRIBUTES):
            known = labels[:, column] != UNLABELLED
            if known.any():
                logits, truth = found.logits[name][known], labels[known, column]
                total = total + _WEIGHTS[name] * F.cross_entropy(logits, truth)
                logs[name] = float((logits.argmax(1) == truth).float().mean())
        objectness = F.binary_cross_entropy_with_logits(found.objectness, whole)
        logs["objectness"] = float(((found.objectness > 0) == (whole > 0.5)).float().mean())
        return total + _OBJECTNESS_WEIGHT * objectness, logs

    def validate(self) -> dict[str, float]:
        """Measure accuracy per attribute on validation worlds; nouns of things of 24 pixels and more."""
        if self._validation is None:
            self._validation = self._draw_validation()
        hits: dict[str, list[np.ndarray]] = {}
        for batch in self._validation:
            found, labels, whole = self._encode(batch)
            right = (found.objectness > 0) == (whole > 0.5)
            hits.setdefault("objectness", []).append(right.cpu().numpy())
            for column, name in enumerate(ATTRIBUTES):
                known = (labels[:, column] != UNLABELLED).cpu().numpy()
                correct = (found.logits[name].argmax(1) == labels[:, column]).cpu().numpy()
                if name == "noun":
                    hits.setdefault("noun_small", []).append(
                        correct[known & (batch.side < _LARGE_ENOUGH)]
                    )
                    known &= batch.side >= _LARGE_ENOUGH
                hits.setdefault(name, []).append(correct[known])
        metrics = {}
        for name, parts in hits.items():
            values = np.concatenate(parts)
            if len(values):
                metrics[name] = float(values.mean())
        metrics["score"] = metrics["noun"] + 0.2 * (
            metrics["colour"] + metrics["motion"] + metrics["objectness"]
        )
        return metrics

    def _encode(self, batch: ObjectsBatch) -> tuple[ObjectTokens, Tensor, Tensor]:
        device = self._encoder.norm.weight.device
        crops = torch.from_numpy(batch.crops).to(device).float() / 255 - 0.5
        weights = torch.from_numpy(batch.weights).to(device)
        found = self._encoder(crops, weights, torch.from_numpy(batch.numbers).to(device))
        labels, whole = torch.from_numpy(batch.labels), torch.from_numpy(batch.whole)
        return found, labels.to(device), whole.to(device)

    def _draw_validation(self) -> list[ObjectsBatch]:
        rng = np.random.default_rng(7)
        batches = []
        for start in range(0, self.settings.validation_clips, 24):
            count = min(24, self.settings.validation_clips - start)
            drawn = [
                self._draw(VALIDATION[0] + start + i, "easy" if i % 2 else "full", 0.5)
                for i in range(count)
            ]
            batches.append(self._tracks(drawn, rng, self.settings.jitter, augment=False))
        return batches

    def _clip(self, number: int) -> _Drawn:
        """Give clip `number` of training, drawn now unless it still is at hand."""
        if number not in self._recent:
            rng = np.random.default_rng([number, 2])
            full = rng.random() < self.settings.full_share
            self._recent[number] = self._draw(
                number % TRAIN[1], "full" if full else "easy", float(rng.random())
            )
            while len(self._recent) > self.settings.window + self.settings.clips:
                self._recent.popitem(last=False)
        return self._recent[number]

    def _draw(self, seed: int, difficulty: Literal["easy", "full"], offset: float) -> _Drawn:
        scene = Scene.sample(seed, difficulty=difficulty, atlas=self._atlas)
        frames = spread_frames(scene.num_frames, self._encoder.config.num_frames, offset)
        clip = draw_clip(scene, frames, self.settings.size_hw)
        return _Drawn(clip, labels_of(scene, self._encoder.config))

    def _tracks(
        self, drawn: Sequence[_Drawn], rng: np.random.Generator, jitter: float, *, augment: bool
    ) -> ObjectsBatch:
        """Cut the noisy tracks of clips into a batch."""
        parts = []
        for one in drawn:
            seen = (~np.isnan(one.clip.boxes[..., 0])).sum(1) >= 2
            true, labels = one.clip.boxes[seen], one.labels[seen]
            if not len(true):
                continue
            bad = bad_tracks(true, self.settings.bad, rng)
            tracks = np.concatenate([noisy_tracks(true, rng, jitter), bad])
            none = np.full((len(bad), len(ATTRIBUTES)), UNLABELLED)
            whole = np.repeat([1.0, 0.0], [len(true), len(bad)]).astype(np.float32)
            frames = _disturbed(one.clip.frames, rng) if augment else one.clip.frames
            parts.append(self._cut(frames, tracks, np.concatenate([labels, none]), whole))
        return ObjectsBatch(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _with_pasted(
        self, batch: ObjectsBatch, drawn: Sequence[_Drawn], rng: np.random.Generator
    ) -> ObjectsBatch:
        """Add tracks that move like some of the batch's and look like any picture of the atlas."""
        whole = np.flatnonzero(batch.whole > 0)
        if not self.settings.pasted or not len(whole):
            return batch
        config = self._encoder.config
        rows = rng.choice(whole, self.settings.pasted)
        labels, crops = batch.labels[rows].copy(), []
        for row in range(len(rows)):
            stamp = self._stamps.draw(rng)
            for column, word in enumerate((stamp.noun, stamp.group, stamp.colour)):
                labels[row, column] = config.classes(ATTRIBUTES[column]).index(word)
            frames = drawn[int(rng.integers(len(drawn)))].clip.frames
            grounds = pieces(frames, config.crops_per_track, config.crop_side, rng)
            crops.append(paste(stamp, grounds, rng, config.context).transpose(0, 3, 1, 2))
        return ObjectsBatch(
            np.concatenate([batch.crops, np.stack(crops)]),
            np.concatenate([batch.weights, batch.weights[rows]]),
            np.concatenate([batch.numbers, batch.numbers[rows]]),
            np.concatenate([batch.labels, labels]),
            np.concatenate([batch.whole, batch.whole[rows]]),
            np.concatenate([batch.side, batch.side[rows]]),
        )

    def _cut(
        self, frames: np.ndarray, tracks: np.ndarray, labels: np.ndarray, whole: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        config = self._encoder.config
        visible = ~np.isnan(tracks[..., 0])
        order, weights = largest_frames(tracks, visible, config.crops_per_track)
        picked = np.take_along_axis(tracks, order[..., None], axis=1).reshape(-1, 4)
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255 - 0.5
        cut = self._encoder.crop(pixels, picked, order.reshape(-1))
        crops = ((cut + 0.5) * 255).round().clamp(0, 255).byte().numpy()
        crops = crops.reshape(*order.shape, *crops.shape[1:])
        height, width = frames.shape[1:3]
        sides = (tracks[..., 2:] - tracks[..., :2]) * np.array([width, height])
        side = np.nanmax(sides.max(-1), axis=1)
        return crops, weights, trajectories(tracks), labels.astype(np.int64), whole, side


def labels_of(scene: Scene, config: ObjectEncoderConfig) -> np.ndarray:
    """Give the class of each thing, (N, attributes) int64; UNLABELLED for a word that is no class."""
    rows = []
    for thing in scene.things:
        words = (thing.noun, thing.group, thing.colour, thing.size, thing.motion)
        names = [config.classes(name) for name in ATTRIBUTES]
        rows.append(
            [n.index(w) if w in n else UNLABELLED for n, w in zip(names, words, strict=True)]
        )
    return np.array(rows, dtype=np.int64).reshape(-1, len(ATTRIBUTES))


def _disturbed(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Now and then compress the frames of a clip, as a video file would."""
    if rng.random() < 0.6:
        return frames
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))]
    stored = [cv2.imencode(".jpg", frame, quality)[1] for frame in frames]
    return np.array([cv2.imdecode(data, cv2.IMREAD_COLOR) for data in stored])
