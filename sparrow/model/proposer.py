"""The Proposer: a frame becomes boxes that hold a thing, whatever it is, each with a score and a feature.

A two-stage Deformable DETR: every cell of the encoded maps offers a box, the best of them become the
references of learned queries. It knows neither words nor other frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import box_convert

from sparrow.model.deformable import (
    BoxHead,
    DecoderLayer,
    EncoderLayer,
    Memory,
    box_positions,
    cell_centres,
    cell_positions,
    logit,
)
from sparrow.model.image_encoder import ImageEncoderConfig, build
from sparrow.model.preparing import proposer_frame

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PRIOR = -4.6  # logit of 0.01: at first no query holds a thing


@dataclass(frozen=True)
class ProposerConfig:
    """Sizes of a Proposer. The defaults are the released one's."""

    encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    image_size: int = 448
    """Side S of the square input, pixels."""
    dim: int = 256
    """Width D of tokens, queries and features."""
    encoder_layers: int = 6
    decoder_layers: int = 6
    heads: int = 8
    encoder_points: int = 4
    decoder_points: int = 4
    encoder_feedforward: int = 1024
    decoder_feedforward: int = 1024
    box_hidden: int = 256
    levels: int = 1
    """The encoder's coarsest maps are used; levels beyond them are made by convolutions of stride 2."""
    queries: int = 300
    score_heads: tuple[str, ...] = ("coco", "sa1b")
    """Each is a judgement learnt from one kind of data."""
    score_powers: tuple[float, ...] = (0.3, 0.7)
    """Score = product of the heads' probabilities, each to its power."""
    anchor_size: float = 0.05
    """Share of the frame from which a cell of the first level regresses its box; doubles per level."""
    refine: bool = False
    """Let each decoder layer look where the layer before has put the box (the release does not)."""
    peak_window: int = 1
    """Cells of a level compete within this odd window for becoming a reference; 1: all may."""
    keep: int = 100
    """Proposals that are given out for a frame."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """Boxes of B frames, by falling score."""

    boxes_norm: Tensor
    """(B, P, 4) normalised xyxy, may stick out of the frame."""
    scores: Tensor
    """(B, P) in [0, 1]."""
    feats: Tensor
    """(B, P, D) last hidden states of the queries."""


@dataclass(frozen=True, eq=False)
class Detections:
    """All that the transformer says about B frames; boxes are normalised cxcywh."""

    logits: dict[str, Tensor]
    """Score head to (layers, B, Q)."""
    boxes: Tensor
    """(layers, B, Q, 4)."""
    references: Tensor
    """(B, Q, 4) where the queries started."""
    hidden: Tensor
    """(B, Q, D) after the last layer."""
    cell_logits: Tensor
    """(B, S) of every cell."""
    cell_boxes: Tensor
    """(B, S, 4)."""
    sizes: tuple[tuple[int, int], ...]
    """Height and width of each level."""


class Proposer(nn.Module):
    """Frames to Proposals."""

    def __init__(self, config: ProposerConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = build(config.encoder)
        self.input_proj = nn.ModuleList()
        given = 3 if config.encoder.kind == "sam2" else 2
        for level in range(config.levels):
            own = level < given
            channels = config.encoder.dim if own else config.dim
            convolution = nn.Conv2d(
                channels, config.dim, 1 if own else 3, 1 if own else 2, 0 if own else 1
            )
            self.input_proj.append(nn.Sequential(convolution, _ChannelNorm(config.dim)))
        self.detr = DeformableDetr(config)

    def prepare(self, frames: np.ndarray) -> Tensor:
        """Squeeze frames (B, H, W, 3) uint8 into normalised pixels (B, 3, S, S)."""
        side = self.config.image_size
        if frames.shape[1:3] != (side, side):
            resized = [
                Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC)
                for frame in frames
            ]
            frames = np.stack([np.asarray(image) for image in resized])
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self.detr.level_embed.device)
        mean, std = (
            pixels.new_tensor(_MEAN, dtype=torch.float32),
            pixels.new_tensor(_STD, dtype=torch.float32),
        )
        return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()

    def forward(self, pixels: Tensor) -> Detections:
        """Detect in normalised pixels (B, 3, S, S)."""
        maps = self.image_encoder(pixels)[-self.config.levels :]
        projected: list[Tensor] = []
        for level, project in enumerate(self.input_proj):
            projected.append(project(maps[level] if level < len(maps) else projected[-1]))
        return self.detr(projected)

    def propose(self, pixels: Tensor, keep: int | None = None) -> Proposals:
        """Give the best `keep` boxes (the config's number by default) of each frame (B, 3, S, S)."""
        return self.rank(self(pixels), keep)

    def propose_as_released(self, pixels: Tensor) -> Proposals:
        """Propose in one frame that is normalised for SAM2, (3, S, S): the release makes its picture of that."""
        return self.propose(self.prepare(proposer_frame(pixels, self.config.image_size)[None]))

    def rank(self, found: Detections, keep: int | None = None) -> Proposals:
        """Fuse the score heads and sort."""
        config = self.config
        scores = torch.ones_like(found.boxes[-1, ..., 0])
        for head, power in zip(config.score_heads, config.score_powers, strict=True):
            scores = scores * found.logits[head][-1].sigmoid() ** power  # (B, Q)
        count = min(config.keep if keep is None else keep, scores.shape[1])
        scores, best = scores.topk(count, dim=1)  # (B, P)
        boxes = box_convert(found.boxes[-1], "cxcywh", "xyxy")
        return Proposals(_pick(boxes, best), scores, _pick(found.hidden, best))


class DeformableDetr(nn.Module):
    """Maps of one width to Detections."""

    def __init__(self, config: ProposerConfig) -> None:
        super().__init__()
        self.config = config
        dim, layers = config.dim, config.decoder_layers
        shape = (dim, config.heads, config.levels)
        self.encoder = _Stack(
            EncoderLayer(*shape, config.encoder_points, config.encoder_feedforward)
            for _ in range(config.encoder_layers)
        )
        self.decoder = _Stack(
            DecoderLayer(*shape, config.decoder_points, config.decoder_feedforward)
            for _ in range(layers)
        )
        self.level_embed = nn.Parameter(torch.randn(config.levels, dim))
        self.enc_output = nn.Linear(dim, dim)
        self.enc_output_norm = nn.LayerNorm(dim)
        self.pos_trans = nn.Linear(2 * dim, 2 * dim)
        self.pos_trans_norm = nn.LayerNorm(2 * dim)
        self.query_position_embeddings = nn.Embedding(config.queries, dim)
        self.class_embed_enc = _score_head(dim)
        for head in config.score_heads:
            self.add_module(
                f"class_embed_{head}", nn.ModuleList(_score_head(dim) for _ in range(layers))
            )
        self.bbox_embed = nn.ModuleList(BoxHead(dim, config.box_hidden) for _ in range(layers + 1))

    def forward(self, maps: list[Tensor]) -> Detections:
        """Detect in maps (B, D, h, w), one a level."""
        sizes = tuple((m.shape[-2], m.shape[-1]) for m in maps)
        memory = self._encode(maps, sizes)
        cell_logits, cell_boxes = self._offer(memory)
        best = self._choose(cell_logits, sizes)  # (B, Q)
        references = _pick(cell_boxes, best).detach()
        logits, boxes, hidden = self._decode(memory, references)
        return Detections(
            logits,
            boxes.sigmoid(),
            references.sigmoid(),
            hidden,
            cell_logits,
            cell_boxes.sigmoid(),
            sizes,
        )

    def _encode(self, maps: list[Tensor], sizes: tuple[tuple[int, int], ...]) -> Memory:
        tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)  # (B, S, D)
        cells = [h * w for h, w in sizes]
        level = self.level_embed.repeat_interleave(
            torch.tensor(cells, device=tokens.device), dim=0, output_size=sum(cells)
        )
        positions = cell_positions(sizes, self.config.dim, tokens.device) + level
        references = cell_centres(sizes, tokens.device).expand(len(tokens), -1, -1)
        memory = Memory(tokens, sizes)
        for layer in self.encoder.layers:
            memory = layer(memory, positions, references)
        return memory

    def _offer(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """Let every cell offer a box: score logits (B, S) and boxes in logit space (B, S, 4)."""
        centres = cell_centres(memory.sizes, memory.tokens.device)
        cells = [h * w for h, w in memory.sizes]
        size = torch.cat(
            [
                centres.new_full((count, 2), self.config.anchor_size * 2.0**level)
                for level, count in enumerate(cells)
            ]
        )
        anchors = torch.cat([centres, size], 1)  # (S, 4)
        inside = ((anchors > 0.01) & (anchors < 0.99)).all(1, keepdim=True)
        start = torch.log(anchors / (1 - anchors)).masked_fill(~inside, torch.inf)
        tokens = self.enc_output_norm(self.enc_output(memory.tokens * inside))
        return self.class_embed_enc(tokens)[..., 0], self.bbox_embed[-1](tokens) + start

    def _choose(self, cell_logits: Tensor, sizes: tuple[tuple[int, int], ...]) -> Tensor:
        """Choose the cells (B, Q) whose boxes become references, best first."""
        window = self.config.peak_window
        if window > 1:
            levels = cell_logits.detach().split([h * w for h, w in sizes], 1)
            peaks = []
            for scores, size in zip(levels, sizes, strict=True):
                top = F.max_pool2d(scores.unflatten(1, size), window, 1, window // 2).flatten(1)
                peaks.append(torch.where(scores == top, scores, scores - 1e4))
            cell_logits = torch.cat(peaks, 1)
        return cell_logits.topk(min(self.config.queries, cell_logits.shape[1]), dim=1).indices

    def _decode(self, memory: Memory, start: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Decode from references in logit space (B, Q, 4).

        Returns:
            Score logits (layers, B, Q) a head, boxes in logit space (layers, B, Q, 4), the last hidden
            states (B, Q, D).
        """
        dim, count = self.config.dim, start.shape[1]
        code = self.pos_trans_norm(self.pos_trans(box_positions(start.sigmoid(), dim)))
        positions = code[..., :dim]
        queries = self.query_position_embeddings.weight[:count].expand(len(start), -1, -1)
        reference, base = start.sigmoid(), start
        boxes, states = [], []
        for layer, head in zip(self.decoder.layers, self.bbox_embed, strict=False):
            queries = layer(queries, positions, reference, memory)
            change = head(queries)
            boxes.append(change + logit(base.sigmoid()))
            states.append(queries)
            # The layer after starts from what this one makes of its reference; without `refine`
            # that reference always is the first one, as in the release.
            base = (change + logit(reference)).detach()
            if self.config.refine:
                reference = base.sigmoid()
        logits = {
            name: torch.stack(
                [
                    head(state)[..., 0]
                    for head, state in zip(
                        getattr(self, f"class_embed_{name}"), states, strict=True
                    )
                ]
            )
            for name in self.config.score_heads
        }
        return logits, torch.stack(boxes), queries


class _Stack(nn.Module):
    """Holds layers under the name that released weights give them."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class _ChannelNorm(nn.Module):
    """Layer norm over the channels of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        last = F.layer_norm(maps.movedim(1, -1), self.weight.shape, self.weight, self.bias, 1e-6)
        return last.movedim(-1, 1)


def _score_head(dim: int) -> nn.Linear:
    head = nn.Linear(dim, 1)
    nn.init.constant_(head.bias, _PRIOR)
    return head


def _pick(rows: Tensor, indices: Tensor) -> Tensor:
    """Pick rows (B, N, C) by indices (B, P)."""
    return rows.gather(1, indices[..., None].expand(-1, -1, rows.shape[-1]))


def mini_proposer() -> ProposerConfig:
    """Sizes of sparrow-mini's Proposer."""
    return ProposerConfig(
        encoder=ImageEncoderConfig(kind="conv", dim=96),
        image_size=224,
        dim=96,
        encoder_layers=1,
        decoder_layers=2,
        heads=6,
        encoder_points=2,
        encoder_feedforward=192,
        decoder_feedforward=192,
        box_hidden=96,
        levels=2,
        queries=20,
        score_heads=("world",),
        score_powers=(1.0,),
        anchor_size=0.2,
        refine=True,
        peak_window=3,
        keep=16,
    )
