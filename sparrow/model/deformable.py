"""Deformable attention, the layers of a Deformable DETR and its position codes, on normalised boxes.

Parameter names are those of the published implementations, so that released weights load by name.
Knows neither pixels nor what a proposal is for. Every image fills its frame: there is no padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TEMPERATURE = 10000.0


@dataclass(frozen=True, eq=False)
class Memory:
    """Feature maps of several levels as one sequence."""

    tokens: Tensor
    """(B, S, D), level after level, each row by row."""
    sizes: tuple[tuple[int, int], ...]
    """Height and width of each level."""


class DeformableAttention(nn.Module):
    """Each query reads a few points around its reference on every level."""

    def __init__(self, dim: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self._reset()

    def _reset(self) -> None:
        """Start with uniform weights on points that fan out from the reference, one direction a head."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        way = torch.stack([angle.cos(), angle.sin()], -1)
        way = way / way.abs().max(-1, keepdim=True).values  # (heads, 2)
        steps = torch.arange(1, self.points + 1)
        fan = way[:, None, None] * steps[:, None]  # (heads, 1, points, 2)
        with torch.no_grad():
            self.sampling_offsets.weight.zero_()
            self.sampling_offsets.bias.copy_(fan.expand(-1, self.levels, -1, -1).reshape(-1))
            self.attention_weights.weight.zero_()
            self.attention_weights.bias.zero_()
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Tensor, references: Tensor, memory: Memory) -> Tensor:
        """Read from memory.

        Args:
            queries: (B, Q, D).
            references: (B, Q, 2) points, or (B, Q, 4) boxes cxcywh, normalised; a box scales its offsets.
            memory: what is read.

        Returns:
            (B, Q, D).
        """
        batch, count, dim = queries.shape
        grid = (batch, count, self.heads, self.levels, self.points)
        offsets = self.sampling_offsets(queries).view(*grid, 2)
        weights = self.attention_weights(queries).view(batch, count, self.heads, -1).softmax(-1)
        centres = references[:, :, None, None, None, :2]
        if references.shape[-1] == 2:
            steps = offsets.new_tensor([(w, h) for h, w in memory.sizes])  # (levels, 2)
            places = centres + offsets / steps[:, None]
        else:
            extent = references[:, :, None, None, None, 2:]
            places = centres + offsets / self.points * extent * 0.5
        values = self.value_proj(memory.tokens).unflatten(-1, (self.heads, -1))  # (B, S, heads, d)
        read = _sample(values, memory.sizes, places)  # (B * heads, d, Q, levels * points)
        share = weights.transpose(1, 2).flatten(0, 1)[:, None]  # (B * heads, 1, Q, levels * points)
        found = (read * share).sum(-1).view(batch, dim, count).transpose(1, 2)
        return self.output_proj(found)


def _sample(values: Tensor, sizes: tuple[tuple[int, int], ...], places: Tensor) -> Tensor:
    """Read values (B, S, heads, d) bilinearly at normalised places (B, Q, heads, levels, points, 2)."""
    read = []
    parts = values.split([h * w for h, w in sizes], dim=1)
    for level, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        maps = part.permute(0, 2, 3, 1).flatten(0, 1).unflatten(-1, size)  # (B * heads, d, h, w)
        grid = 2 * places[:, :, :, level].transpose(1, 2).flatten(0, 1) - 1
        read.append(F.grid_sample(maps, grid, align_corners=False))  # (B * heads, d, Q, points)
    return torch.cat(read, -1)


class SelfAttention(nn.Module):
    """Attention among queries; positions enter queries and keys, not values."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.q_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, positions: Tensor) -> Tensor:
        """Mix queries (B, Q, D)."""
        placed = queries + positions
        split = [
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projected in (self.q_proj(placed), self.k_proj(placed), self.v_proj(queries))
        ]
        mixed = F.scaled_dot_product_attention(*split)  # (B, heads, Q, d)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Every cell of the maps reads around itself on all levels."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, feedforward: int) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(dim, heads, levels, points)
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, feedforward)
        self.fc2 = nn.Linear(feedforward, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(self, memory: Memory, positions: Tensor, references: Tensor) -> Memory:
        tokens = memory.tokens
        tokens = tokens + self.self_attn(tokens + positions, references, memory)
        tokens = self.self_attn_layer_norm(tokens)
        tokens = self.final_layer_norm(tokens + self.fc2(F.relu(self.fc1(tokens))))
        return Memory(tokens, memory.sizes)


class DecoderLayer(nn.Module):
    """Queries see each other, then read around their reference boxes."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, feedforward: int) -> None:
        super().__init__()
        self.self_attn = SelfAttention(dim, heads)
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.encoder_attn = DeformableAttention(dim, heads, levels, points)
        self.encoder_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, feedforward)
        self.fc2 = nn.Linear(feedforward, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(
        self, queries: Tensor, positions: Tensor, references: Tensor, memory: Memory
    ) -> Tensor:
        queries = self.self_attn_layer_norm(queries + self.self_attn(queries, positions))
        read = self.encoder_attn(queries + positions, references, memory)
        queries = self.encoder_attn_layer_norm(queries + read)
        return self.final_layer_norm(queries + self.fc2(F.relu(self.fc1(queries))))


class BoxHead(nn.Module):
    """Three linear layers to the four numbers of a box, as a change in logit space."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        widths = [dim, hidden, hidden, 4]
        layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        nn.init.zeros_(layers[-1].weight)
        nn.init.zeros_(layers[-1].bias)
        self.layers = nn.ModuleList(layers)

    def forward(self, tokens: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            tokens = F.relu(layer(tokens))
        return self.layers[-1](tokens)


def logit(share: Tensor) -> Tensor:
    """Undo a sigmoid, with both ends held off by 1e-5."""
    share = share.clamp(0, 1)
    return torch.log(share.clamp(min=1e-5) / (1 - share).clamp(min=1e-5))


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Give the IoU of each pair of xyxy boxes (N, 4), (N,) in [0, 1]."""
    size = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    inter = size.prod(1)
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(1) for box in (a, b)]
    return inter / (areas[0] + areas[1] - inter).clamp(min=1e-9)


def cell_centres(sizes: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """Give the normalised centre x, y of every cell of all levels, (S, 2)."""
    centres = []
    for height, width in sizes:
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        centres.append(torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1).flatten(0, 1))
    return torch.cat(centres)


def cell_positions(sizes: tuple[tuple[int, int], ...], dim: int, device: torch.device) -> Tensor:
    """Give the sine code of every cell of all levels, (S, dim): y first, then x."""
    turns = cell_centres(sizes, device) * (2 * math.pi)
    return torch.cat([_waves(turns[:, 1], dim // 2), _waves(turns[:, 0], dim // 2)], -1)


def box_positions(boxes: Tensor, dim: int) -> Tensor:
    """Give the sine code of normalised boxes (..., 4), (..., 2 * dim)."""
    return _waves(boxes * (2 * math.pi), dim // 2).flatten(-2)


def _waves(turns: Tensor, count: int) -> Tensor:
    """Give `count` sines and cosines, interleaved, of falling frequency."""
    exponent = torch.arange(count, device=turns.device).div(2, rounding_mode="floor") * 2 / count
    angles = turns[..., None] / _TEMPERATURE**exponent
    return torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], -1).flatten(-2)
