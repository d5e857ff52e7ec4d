"""Trains the PixelDecoder to segment what a box, click or mask points at, and to follow it.

Class-agnostic: images first, then longer clips, easy things before hard ones. No language here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparrow import masks as mask_tools
from sparrow.model.memory import Memory
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.sam import Decoded, Prompts
from sparrow.model.sparrow import SparrowModel
from sparrow.model.tracking import Target, track
from sparrow.train.losses import balanced_bce, mask_bce, mask_dice
from sparrow.train.pointing import Pointing, by_box, by_click, by_mask
from sparrow.train.stage import Stage, parse
from sparrow.world import splits
from sparrow.world.cutouts import sample_cutout_clip
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene

logger = logging.getLogger(__name__)

_BOX, _CLICK, _MASK = range(3)
_SHARES = (0.65, 0.2, 0.15)  # of boxes, clicks and masks among the first frames' prompts


@dataclass(frozen=True)
class TrackerSettings:
    """What the tracker stage draws its batches from."""

    phases: tuple[tuple[float, int, int], ...] = ((0.3, 1, 16), (0.85, 4, 4), (1.0, 8, 2))
    """(until this share of the steps, frames per clip, clips per batch)."""
    objects: int = 2
    """Objects prompted per clip."""
    hardest_at: float = 0.6
    """Share of the steps after which difficulty has risen to 1."""
    hardest: float = 1.0
    """Difficulty reached there, in [0, 1]."""
    scenes: float = 0.5
    """Share of clips drawn from the world's own scenes; the others are class-agnostic cut-outs."""
    photos: str | None = None
    """Folder of training-only pictures and photographs, see `sparrow atlas`; done without if absent."""
    drop_previous: float = 0.5
    """Share of later frames that do not see the previous mask, so that memory has to speak."""
    reprompt: float = 0.2
    """Share of later frames on which some objects get their box again."""
    validation_scenes: int = 12


@dataclass(frozen=True)
class TrackerBatch:
    """B clips of T frames with M objects each, flattened to N = B * M objects where it says N."""

    frames: np.ndarray
    """(T, B, S, S, 3) uint8."""
    masks: np.ndarray
    """(T, N, S/2, S/2) bool, visible pixels."""
    kinds: np.ndarray
    """(N,) how the object is pointed at in frame 0."""
    points: np.ndarray
    """(T, N, 2, 2) float32 model pixels: a box's corners, or a click and padding."""
    labels: np.ndarray
    """(T, N, 2) int32."""
    dense: np.ndarray
    """(T, N, S/4, S/4) float32: the dense form of the frame's prompt, zeros where there is none."""


class Tracker:
    """Batches, loss and validation of the tracker stage."""

    parts = ("pixel_decoder.",)

    def __init__(self, model: SparrowModel, stage: Stage) -> None:
        self.model = model
        self._steps = stage.steps
        self._settings = parse(TrackerSettings, stage.settings, f"stage {stage.name}, settings")
        self._side = model.pixel_decoder.side
        self._photos = existing(self._settings.photos)
        self._atlas = load_atlas()
        self._validation: list[_SceneFrames] = []

    def batch(self, index: int) -> TrackerBatch:
        rng = np.random.default_rng((1, index))
        done = (index % 10_000_000) / self._steps
        frames, clips = next(
            (t, b) for until, t, b in self._settings.phases if done < until or until == 1.0
        )
        level = self._settings.hardest * min(1.0, done / self._settings.hardest_at)
        drawn = [self._clip(rng, frames, level) for _ in range(clips)]
        return _assemble(drawn, rng, self._side, self._settings.reprompt)

    def _clip(
        self, rng: np.random.Generator, frames: int, level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw (T, S, S, 3) frames and (T, M, S, S) masks of M objects seen in the first frame."""
        while True:
            if rng.random() < self._settings.scenes:
                pixels, masks = self._scene_clip(rng, frames, level)
            else:
                pixels, masks = sample_cutout_clip(
                    rng,
                    num_frames=frames,
                    size=self._side,
                    max_objects=4,
                    level=level,
                    atlas=self._atlas,
                    photos=self._photos,
                )
            seen = np.flatnonzero(masks[0].sum((1, 2)) >= 24)
            if seen.size:
                wanted = self._settings.objects
                chosen = rng.choice(seen, wanted, replace=seen.size < wanted)
                return pixels, masks[:, chosen]

    def _scene_clip(
        self, rng: np.random.Generator, frames: int, level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        scene = Scene.sample(
            int(rng.integers(*splits.TRAIN)),
            difficulty="full" if rng.random() < level * 0.6 else "easy",
            atlas=self._atlas,
        )
        stride = int(rng.integers(1, 6))
        span = (frames - 1) * stride
        start = int(rng.integers(0, max(1, scene.num_frames - span)))
        times = np.minimum(start + stride * np.arange(frames), scene.num_frames - 1)
        if rng.random() < 0.5:
            times = times[::-1]
        drawn = [scene.render(int(t), (self._side, self._side)) for t in times]
        return np.stack([d.rgb for d in drawn]), np.stack([d.masks for d in drawn])

    def loss(self, batch: TrackerBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        sam = self.model.pixel_decoder.sam
        device = sam.no_mem_embed.device
        frames, clips = batch.frames.shape[:2]
        pixels = self.model.pixel_decoder.prepare(
            list(batch.frames.reshape(-1, *batch.frames.shape[2:]))
        )
        features = sam.encode(pixels)
        truth = torch.from_numpy(batch.masks).to(device)
        rows = torch.arange(clips, device=device).repeat_interleave(truth.shape[1] // clips)
        memory = Memory(self.model.pixel_decoder.config.num_memories)
        rng = np.random.default_rng((2, step))
        previous: Tensor | None = None
        total, logs = torch.zeros((), device=device), {"iou": 0.0, "iou0": 0.0}
        for t in range(frames):
            prompts = self._prompts(batch, t, previous, rng)
            decoded = sam.step(
                features.select(rows + t * clips),
                prompts,
                memory,
                t,
                presence=truth[t].flatten(1).any(1),
            )
            loss, iou = frame_loss(decoded, truth[t])
            total = total + loss / frames
            logs["iou"] += iou / frames
            logs["iou0"] += iou if t == 0 else 0.0
            previous = decoded.logits.detach()
        return total, logs

    def _prompts(
        self, batch: TrackerBatch, t: int, previous: Tensor | None, rng: np.random.Generator
    ) -> Prompts:
        """Give frame t's prompts; later frames see the previous masks, in part or not at all."""
        device = self.model.pixel_decoder.sam.no_mem_embed.device
        points = torch.from_numpy(batch.points[t]).to(device)
        labels = torch.from_numpy(batch.labels[t]).to(device)
        dense = torch.from_numpy(batch.dense[t])[:, None].to(device)
        if previous is None:
            return Prompts((points, labels), None, dense)
        prompted = (labels >= 0).any(1)
        if rng.random() < self._settings.drop_previous and not prompted.any():
            return Prompts()
        shown = Prompts.of_previous(previous)
        assert shown.points is not None and shown.dense is not None
        again = prompted[:, None]
        points = torch.where(again[..., None], points, shown.points[0])
        labels = torch.where(again, labels, shown.points[1])
        return Prompts(
            (points, labels), None, torch.where(again[..., None, None], dense, shown.dense)
        )

    def validate(self) -> dict[str, float]:
        """Track boxes of frame 0 through easy validation scenes, every frame, as a user would."""
        if not self._validation:
            start = splits.VALIDATION[0]
            self._validation = [
                _SceneFrames(Scene.sample(start + i, difficulty="easy", atlas=self._atlas))
                for i in range(self._settings.validation_scenes)
            ]
        first, whole = [], []
        for frames in self._validation:
            for thing in np.flatnonzero(frames.masks[0].sum((1, 2)) >= 24):
                truth = frames.masks[:, thing]
                box = mask_tools.box_of(truth[0])
                target = Target(1, 0, {0: FramePrompt(box=box)})
                found = track(self.model.pixel_decoder, frames, [target])[0]
                overlaps = [mask_tools.iou(found.mask(t), truth[t]) for t in range(len(truth))]
                first.append(overlaps[0])
                whole.append(float(np.mean(overlaps)))
        key, clip = float(np.mean(first)), float(np.mean(whole))
        return {"score": (key + clip) / 2, "key_iou": key, "clip_j": clip}


class _SceneFrames:
    """A rendered scene as a source of frames, with its true masks (T, N, H, W)."""

    def __init__(self, scene: Scene) -> None:
        drawn = [scene.render(t) for t in range(scene.num_frames)]
        self._frames = [d.rgb for d in drawn]
        self.masks = np.stack([d.masks for d in drawn])
        self.num_frames = len(drawn)
        self.size_hw = (drawn[0].rgb.shape[0], drawn[0].rgb.shape[1])

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        yield from self._frames[start:stop]


def existing(folder: str | None) -> Path | None:
    """Give a folder of pictures; None, and a warning, where it is not there."""
    if folder is None or Path(folder).is_dir():
        return None if folder is None else Path(folder)
    logger.warning("no pictures at %s: training without photographs (see sparrow atlas)", folder)
    return None


def frame_loss(decoded: Decoded, truth: Tensor, *, balanced: bool = True) -> tuple[Tensor, float]:
    """Mask, overlap and presence losses of N objects in one frame, and their mean overlap.

    Args:
        decoded: of the objects.
        truth: (N, S/2, S/2) bool.
        balanced: weigh the objects and their backgrounds by themselves, so that small ones count. What is
            doubtful then becomes part of the mask: in windows, where no object is small, it is left out.
    """
    present = truth.flatten(1).any(1)
    presence_loss = F.binary_cross_entropy_with_logits(decoded.score, present.float())
    if not present.any():
        return presence_loss, 1.0
    logits = F.interpolate(
        decoded.logits[present], scale_factor=2.0, mode="bilinear", align_corners=False
    )[:, 0]
    target = truth[present].float()
    with torch.no_grad():
        inside = logits > 0
        overlap = (inside & truth[present]).flatten(1).sum(1)
        union = (inside | truth[present]).flatten(1).sum(1)
        iou = overlap / union
    count = len(target)
    if balanced:
        loss = 5 * balanced_bce(logits, target).mean() + mask_dice(logits, target, count)
    else:
        loss = 10 * mask_bce(logits, target, count) + 2 * mask_dice(logits, target, count)
    loss = loss + (decoded.iou[present] - iou).abs().mean() + presence_loss
    return loss, float(iou.mean())


def _assemble(
    clips: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator, side: int, reprompt: float
) -> TrackerBatch:
    """Stack clips, shrink their masks and draw the prompts."""
    frames = np.stack([pixels for pixels, _ in clips], axis=1)
    masks = np.concatenate([m for _, m in clips], axis=1)  # (T, N, S, S)
    length, objects = masks.shape[:2]
    grid = side // 4
    points = np.zeros((length, objects, 2, 2), dtype=np.float32)
    labels = np.full((length, objects, 2), -1, dtype=np.int32)
    dense = np.zeros((length, objects, grid, grid), dtype=np.float32)
    kinds = np.asarray(rng.choice(3, objects, p=_SHARES), dtype=np.int32)
    for t in range(length):
        again = t > 0 and rng.random() < reprompt
        for n in range(objects):
            if t > 0 and not (again and rng.random() < 0.5):
                continue
            if masks[t, n].any():
                kind = int(kinds[n]) if t == 0 else _BOX
                drawn = _prompt(masks[t, n], kind, rng)
                points[t, n], labels[t, n], dense[t, n] = drawn.points, drawn.labels, drawn.dense
    small = masks.reshape(length, objects, side // 2, 2, side // 2, 2).mean((3, 5)) >= 0.5
    return TrackerBatch(frames, small, kinds, points, labels, dense)


def _prompt(mask: np.ndarray, kind: int, rng: np.random.Generator) -> Pointing:
    """Point at a mask (S, S)."""
    side = mask.shape[0]
    if kind == _MASK:
        size = int(rng.integers(1, 4)) * 2 - 1
        change = cv2.dilate if rng.random() < 0.5 else cv2.erode
        rough = change(mask.astype(np.uint8), np.ones((size, size), np.uint8))
        return by_mask(np.asarray(rough), side, boxed=False)
    if kind == _CLICK:
        return by_click(mask, rng, side)
    corners = mask_tools.box_of(mask).reshape(2, 2)
    if rng.random() < 0.5:
        spread = 0.08 * (corners[1] - corners[0])
        corners = np.clip(corners + rng.normal(0, 1, (2, 2)) * spread, 0, side)
        corners = np.stack([corners.min(0), np.maximum(corners.max(0), corners.min(0) + 2)])
    return by_box(corners, side)
