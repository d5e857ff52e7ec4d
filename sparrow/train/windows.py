"""Trains the PixelDecoder on windows: squares around one thing, seen large, as tracking shows it.

A thing that has gone must be called absent. Knows no language.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sparrow.model.memory import Memory
from sparrow.model.sam import FrameFeatures, Prompts
from sparrow.model.sparrow import SparrowModel
from sparrow.model.window import moved_logits
from sparrow.train.stage import Stage, parse
from sparrow.train.tracker import existing, frame_loss
from sparrow.train.window_batches import Asked, WindowBatch, WindowBatches, WindowSettings
from sparrow.world import splits
from sparrow.world.picture import load_atlas


class Windows:
    """Batches, loss and validation of the windows stage."""

    parts = ("pixel_decoder.",)

    def __init__(self, model: SparrowModel, stage: Stage) -> None:
        self.model = model
        self._steps = stage.steps
        self._settings = parse(WindowSettings, stage.settings, f"stage {stage.name}, settings")
        decoder = model.pixel_decoder
        self._drawn = WindowBatches(
            self._settings,
            decoder.side,
            decoder.squash,
            load_atlas(),
            existing(self._settings.photos),
        )
        self._validation: list[WindowBatch] = []

    def batch(self, index: int) -> WindowBatch:
        rng = np.random.default_rng((3, index))
        done = (index % 10_000_000) / self._steps
        frames, count = next(
            (t, n) for until, t, n in self._settings.phases if done < until or until == 1.0
        )
        return self._drawn.draw(rng, frames, count, splits.TRAIN)

    def loss(self, batch: WindowBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        total, ious, _ = self._run(batch)
        return total, {"iou": float(np.mean(ious)), "iou0": ious[0]}

    def _run(self, batch: WindowBatch) -> tuple[Tensor, list[float], float]:
        """Give the loss, the overlaps per frame and the share of right presences."""
        decoder, training = self.model.pixel_decoder, self.model.training
        sam, device = decoder.sam, decoder.sam.no_mem_embed.device
        frames, count = batch.frames.shape[:2]
        pixels = list(batch.frames.reshape(-1, *batch.frames.shape[2:]))
        features = sam.encode(decoder.prepare(pixels))
        truth = torch.from_numpy(batch.masks).to(device)
        rows = torch.arange(count, device=device)
        memory = Memory(decoder.config.num_memories)
        previous: Tensor | None = None
        total, ious, right = torch.zeros((), device=device), [], 0.0
        for t in range(frames):
            there = truth[t].flatten(1).any(1)
            decoded = sam.step(
                features.select(rows + t * count),
                _prompts(batch, t, previous, device),
                memory,
                t,
                presence=there if training else None,
            )
            loss, iou = frame_loss(decoded, truth[t], balanced=False)
            total = total + loss / frames
            ious.append(iou)
            right += float(((decoded.score > 0) == there).float().mean()) / frames
            previous = decoded.gated.detach()
        if training and len(batch.asked.masks):
            total = total + self._asked_loss(features.select(rows), batch.asked)
        return total, ious, right

    def _asked_loss(self, features: FrameFeatures, asked: Asked) -> Tensor:
        """Give the loss of what is asked besides in N windows."""
        sam = self.model.pixel_decoder.sam
        device = sam.no_mem_embed.device
        count, windows = asked.masks.shape[:2]
        rows = torch.arange(windows, device=device).repeat(count)
        points, labels, dense, truth = (
            torch.from_numpy(each).flatten(0, 1).to(device)
            for each in (asked.points, asked.labels, asked.dense, asked.masks)
        )
        prompts = Prompts((points, labels), None, dense[:, None])
        decoded = sam.decode_alone(features.select(rows), prompts)
        return frame_loss(decoded, truth, balanced=False)[0]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Decode windows of full validation worlds: single frames, and three frames on end."""
        if not self._validation:
            rng = np.random.default_rng(7)
            for frames in (1, 3) * self._settings.validation_batches:
                self._validation.append(self._drawn.draw(rng, frames, 10, splits.VALIDATION))
        single: list[float] = []
        later: list[float] = []
        presence: list[float] = []
        for batch in self._validation:
            _, ious, right = self._run(batch)
            (single if len(ious) == 1 else later).append(ious[-1])
            presence.append(right)
        scores = {
            "iou": float(np.mean(single)),
            "iou_third": float(np.mean(later)),
            "presence": float(np.mean(presence)),
        }
        return {"score": sum(scores.values()) / 3, **scores}


def _prompts(batch: WindowBatch, t: int, previous: Tensor | None, device: torch.device) -> Prompts:
    """Give frame t's prompts; where it has none of its own, the masks of the frame before."""
    points = torch.from_numpy(batch.points[t]).to(device)
    labels = torch.from_numpy(batch.labels[t]).to(device)
    dense = torch.from_numpy(batch.dense[t])[:, None].to(device)
    if previous is None:
        return Prompts((points, labels), None, dense)
    shown = Prompts.of_previous(moved_logits(previous, batch.edges[t - 1], batch.edges[t]))
    assert shown.points is not None and shown.dense is not None
    own = torch.from_numpy(batch.prompted[t]).to(device)[:, None]
    points = torch.where(own[..., None], points, shown.points[0])
    labels = torch.where(own, labels, shown.points[1])
    return Prompts((points, labels), None, torch.where(own[..., None, None], dense, shown.dense))
