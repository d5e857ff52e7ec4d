"""The task that trains the Proposer: frames of worlds to the boxes of everything that can be seen in them.

Beside the one-to-one matching of the decoder, every cell of the maps learns directly whether a thing
is centred on it and where that thing ends: that is what makes so small a model converge in minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import box_convert, box_iou

from sparrow import boxes as boxes_of
from sparrow.model.deformable import cell_centres
from sparrow.model.proposer import Detections, Proposer
from sparrow.train.losses import SetWeights, box_giou, box_l1, quality_focal, set_loss
from sparrow.train.stage import Stage, parse
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Difficulty, Scene
from sparrow.world.splits import TRAIN, VALIDATION

_DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "full")
_SPREAD = 0.12  # of a box: standard deviation of the bump at its centre
_NEAR_CENTRE = 0.3  # cells with a bump above it regress the box
_MIN_SIDE = 0.025  # of the frame: smaller boxes are no target
_SURE = 0.4  # score from which a wrong box is counted


@dataclass(frozen=True)
class ProposalsSettings:
    """What the proposals task draws, and how its losses are weighed."""

    level: float = 0.5
    """Share of worlds of the full difficulty; the others are easy."""
    ramp: int = 1500
    """Worlds over which that share rises from 0."""
    images: int = 16
    """Frames in a step."""
    fresh: int = 2
    """Worlds that are drawn anew for a step; the other frames come from the last `window` worlds."""
    frames: int = 4
    """Frames that are drawn of a world."""
    window: int = 320
    min_visibility: float = 0.25
    """Share of a thing that must be seen to be a target."""
    set_weights: tuple[float, float, float] = (2.0, 5.0, 2.0)
    """Of the decoder's scores, L1 and GIoU, on every layer."""
    cell_weights: tuple[float, float, float] = (2.0, 2.5, 1.0)
    """Of the cells' scores, L1 and GIoU."""
    validation_scenes: int = 60
    """Of each difficulty."""


@dataclass(frozen=True, eq=False)
class ProposalsBatch:
    """B frames and the boxes in them."""

    frames: np.ndarray
    """(B, S, S, 3) uint8."""
    boxes: np.ndarray
    """(B, M, 4) float32 normalised xyxy; NaN behind the last one of a frame."""


class ProposalsTask:
    """Trains `proposer`."""

    parts: tuple[str, ...] = ("proposer.",)

    def __init__(self, model: nn.Module, stage: Stage) -> None:
        proposer = model.proposer
        if not isinstance(proposer, Proposer):
            raise TypeError(f"model.proposer: expected a Proposer, got {type(proposer).__name__}")
        self.model = model
        self.settings = parse(ProposalsSettings, stage.settings, f"stage {stage.name} settings")
        self._proposer = proposer
        self._atlas = load_atlas()
        self._recent: OrderedDict[int, ProposalsBatch] = OrderedDict()
        self._validation: dict[str, ProposalsBatch] = {}

    def batch(self, index: int) -> ProposalsBatch:
        """Draw the frames of a step: of fresh worlds and, disturbed anew, of recent ones."""
        rng = np.random.default_rng([index, 3])
        settings = self.settings
        first = index * settings.fresh
        own = settings.fresh * settings.frames
        worlds = np.repeat(np.arange(first, first + settings.fresh), settings.frames)
        oldest = max(0, first - settings.window)
        again = rng.integers(oldest, first + settings.fresh, max(0, settings.images - own))
        every = np.tile(np.arange(settings.frames), settings.fresh)
        picks = np.concatenate([every, rng.integers(0, settings.frames, len(again))])
        drawn = []
        for world, pick in zip(np.concatenate([worlds, again]), picks, strict=True):
            source = self._world(int(world))
            drawn.append(_disturbed(source.frames[pick], source.boxes[pick], rng))
        return _stack(drawn)

    def loss(self, batch: ProposalsBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Give the losses of the cells and of every decoder layer."""
        found = self._proposer(self._proposer.prepare(batch.frames))
        boxes = torch.from_numpy(batch.boxes).to(found.cell_boxes.device)
        boxes = box_convert(boxes, "xyxy", "cxcywh")
        there = boxes.isfinite().all(-1)
        targets = [own[known] for own, known in zip(boxes, there, strict=True)]
        weights = SetWeights(*self.settings.set_weights)
        total, logs = self._cell_loss(found, boxes)
        for head in found.logits.values():
            for logits, layer in zip(head, found.boxes, strict=True):
                part = set_loss(logits, layer, targets, weights, quality=True)
                total = total + part.total(weights)
        logs |= {
            "score": float(part.score.detach()),
            "l1": float(part.l1.detach()),
            "giou": float(part.giou.detach()),
        }
        return total, logs

    def _cell_loss(self, found: Detections, boxes: Tensor) -> tuple[Tensor, dict[str, float]]:
        heat, owner = cell_goals(found.sizes, boxes, self._proposer.config.anchor_size)
        count = max(1, int(boxes[..., 0].isfinite().sum()))
        score = quality_focal(found.cell_logits, heat).sum() / count
        near = heat > _NEAR_CENTRE
        share = heat[near] / heat[near].sum().clamp(min=1)
        rows = torch.arange(len(boxes), device=boxes.device)[:, None].expand_as(owner)
        wanted, offered = boxes[rows[near], owner[near]], found.cell_boxes[near]
        l1 = (box_l1(offered, wanted) * share).sum()
        corners = (box_convert(b, "cxcywh", "xyxy") for b in (offered, wanted))
        giou = (box_giou(*corners) * share).sum()
        by_score, by_l1, by_giou = self.settings.cell_weights
        total = by_score * score + by_l1 * l1 + by_giou * giou
        return total, {"cell_score": float(score.detach()), "cell_giou": float(giou.detach())}

    def validate(self) -> dict[str, float]:
        """Measure recall and false boxes on validation worlds of both difficulties."""
        metrics: dict[str, float] = {}
        for difficulty in _DIFFICULTIES:
            if difficulty not in self._validation:
                self._validation[difficulty] = self._draw_validation(difficulty)
            measured = measure(self._proposer, self._validation[difficulty])
            metrics |= {f"{difficulty}_{name}": value for name, value in measured.items()}
        metrics["score"] = sum(
            metrics[f"{d}_recall50"] + metrics[f"{d}_recall75"] - 0.1 * metrics[f"{d}_false"]
            for d in _DIFFICULTIES
        )
        return metrics

    def _draw_validation(self, difficulty: Difficulty) -> ProposalsBatch:
        start = VALIDATION[0] + (0 if difficulty == "easy" else 20_000)
        drawn = [
            self._draw(start + i, difficulty, 2) for i in range(self.settings.validation_scenes)
        ]
        return _stack([(f, b) for d in drawn for f, b in zip(d.frames, d.boxes, strict=True)])

    def _world(self, number: int) -> ProposalsBatch:
        """Give the frames of training world `number`, drawn now unless they still are at hand."""
        if number not in self._recent:
            share = self.settings.level * min(1.0, number / max(1, self.settings.ramp))
            full = np.random.default_rng([number, 4]).random() < share
            self._recent[number] = self._draw(
                number % TRAIN[1], "full" if full else "easy", self.settings.frames
            )
            while len(self._recent) > self.settings.window + self.settings.fresh:
                self._recent.popitem(last=False)
        return self._recent[number]

    def _draw(self, seed: int, difficulty: Difficulty, count: int) -> ProposalsBatch:
        scene = Scene.sample(seed, difficulty=difficulty, atlas=self._atlas)
        side = self._proposer.config.image_size
        rng = np.random.default_rng([seed, 5])
        places = (np.arange(count) + rng.random(count)) * (scene.num_frames / count)
        drawn = []
        for place in places.astype(int):
            frame = scene.render(int(place), (side, side))
            norm = boxes_of.to_norm(frame.boxes, (side, side))
            large = (norm[:, 2:] - norm[:, :2]).min(1, initial=np.inf) >= _MIN_SIDE
            drawn.append(
                (frame.rgb, norm[(frame.visibility > self.settings.min_visibility) & large])
            )
        return _stack(drawn)


def cell_goals(
    sizes: tuple[tuple[int, int], ...], boxes: Tensor, anchor_size: float
) -> tuple[Tensor, Tensor]:
    """Say how near the centre of a thing each cell is, and of which thing.

    A level serves things of about the size of its anchors; neighbouring levels share some of them. The
    nearest cell of a served thing always has 1.

    Args:
        sizes: height and width of each level.
        boxes: (B, M, 4) cxcywh, NaN where there is none.
        anchor_size: side of the first level's anchors; it doubles per level.

    Returns:
        (B, S) in [0, 1], and (B, S) int64 the index of the thing.
    """
    heats = []
    known = boxes.isfinite().all(-1)
    side = boxes[..., 2:].amax(-1)  # (B, M)
    for level, size in enumerate(sizes):
        anchor = anchor_size * 2.0**level
        served = known.clone()
        if level > 0:
            served &= side > 0.75 * anchor
        if level < len(sizes) - 1:
            served &= side < 2.25 * anchor
        cell = boxes.new_tensor([1 / size[1], 1 / size[0]])
        spread = (_SPREAD * boxes[..., 2:]).maximum(0.5 * cell)  # (B, M, 2)
        away = (cell_centres((size,), boxes.device)[:, None, None] - boxes[..., :2]) / spread
        heat = torch.exp(-0.5 * away.square().sum(-1)).nan_to_num()  # (s, B, M)
        heat = heat / heat.amax(0).clamp(min=1e-6) * served
        heats.append(heat)
    best = torch.cat(heats).permute(1, 0, 2).max(-1)
    return best.values, best.indices


def measure(proposer: Proposer, batch: ProposalsBatch) -> dict[str, float]:
    """Measure the proposals of frames.

    Returns:
        "recall50" and "recall75": share of things with a proposal of that overlap; "false": boxes a
        frame above a score of 0.4 that are no thing or one that another such box has.
    """
    totals, things = np.zeros(3), 0
    for start in range(0, len(batch.frames), 30):
        found = proposer.propose(proposer.prepare(batch.frames[start : start + 30]))
        truth = torch.from_numpy(batch.boxes[start : start + 30]).to(found.scores.device)
        for boxes, scores, own in zip(found.boxes_norm, found.scores, truth, strict=True):
            there = own[own.isfinite().all(1)]
            things += len(there)
            totals += count_hits(boxes, scores, there)
    return {
        "recall50": float(totals[0]) / max(1, things),
        "recall75": float(totals[1]) / max(1, things),
        "false": float(totals[2]) / len(batch.frames),
    }


def count_hits(boxes: Tensor, scores: Tensor, truth: Tensor) -> tuple[int, int, int]:
    """Count things (N, 4) found at IoU .5 and .75 by boxes (P, 4), and wrong boxes of a sure score (P,).

    Boxes are xyxy. A sure box is wrong when no thing overlaps it by half, or a further time on a
    thing that another sure box has already.
    """
    sure = scores > _SURE
    if not len(truth):
        return 0, 0, int(sure.sum())
    overlaps = box_iou(truth, boxes)  # (N, P)
    best = overlaps.amax(1)
    found_surely = int((overlaps[:, sure] >= 0.5).any(1).sum())
    wrong = int(sure.sum()) - found_surely
    return int((best >= 0.5).sum()), int((best >= 0.75).sum()), max(0, wrong)


def _stack(drawn: list[tuple[np.ndarray, np.ndarray]]) -> ProposalsBatch:
    longest = max(1, max(len(boxes) for _, boxes in drawn))
    padded = np.full((len(drawn), longest, 4), np.nan, np.float32)
    for row, (_, boxes) in zip(padded, drawn, strict=True):
        own = boxes[np.isfinite(boxes).all(1)]
        row[: len(own)] = own
    return ProposalsBatch(np.stack([frame for frame, _ in drawn]), padded)


def _disturbed(
    frame: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror a frame half of the time, change its colours, and now and then compress it."""
    if rng.random() < 0.5:
        frame = np.ascontiguousarray(frame[:, ::-1])
        boxes = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)
    if rng.random() < 0.3:
        frame = frame[..., rng.permutation(3)]
    if rng.random() < 0.5:
        ramp = np.arange(256) / 255
        bent = ramp[:, None] ** rng.uniform(0.75, 1.33) * rng.uniform(0.8, 1.2, 3)
        table = np.clip(bent * 255 + 0.5, 0, 255).astype(np.uint8)
        frame = cv2.LUT(np.ascontiguousarray(frame), table[None])
    if rng.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))]
        packed = cv2.imencode(".jpg", frame, quality)[1]
        frame = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return frame, boxes
