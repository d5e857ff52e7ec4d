"""InternVideo2's video tower: a short clip becomes patch tokens that have seen each other in space and time.

Parameter names are those of the released checkpoint. Only what the released model reads is built: its
features leave one block before the last, so that block, the final pooling and all of the tower's
distillation heads are absent. It knows no language.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class InternVideoConfig:
    """Sizes of the tower. The defaults are those of InternVideo2-1B for 4 frames."""

    width: int = 1408
    """Width D of the tokens."""
    depth: int = 40
    """Blocks of the original tower; the last one is neither built nor run."""
    heads: int = 16
    feed_forward: int = 6144
    image_size: int = 224
    """Side S of a square frame, pixels."""
    patch_size: int = 14
    frames: int = 4
    """Frames F of a clip."""
    qkv_bias: bool = False
    query_key_norm: bool = True
    """Normalise queries and keys, over all heads at once."""
    image_positions: bool = True
    """Single images have a table of positions of their own."""

    @property
    def grid(self) -> int:
        """Patches along a side of a frame."""
        return self.image_size // self.patch_size


class InternVideo2(nn.Module):
    """The tower without its heads."""

    def __init__(self, config: InternVideoConfig) -> None:
        super().__init__()
        self.config = config
        width, cells = config.width, config.grid**2
        self.patch_embed = PatchEmbedding(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + config.frames * cells, width) * 0.02)
        if config.image_positions:
            self.img_pos_embed = nn.Parameter(torch.randn(1, 1 + cells, width) * 0.02)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth - 1))

    def forward(self, clips: Tensor) -> Tensor:
        """Encode clips.

        Args:
            clips: (B, F, 3, S, S) normalised frames; F may be 1 where images have positions.

        Returns:
            (B, F * grid * grid, D) patch tokens, frame by frame, row by row; the class token is left out.

        Raises:
            ValueError: the clips have another shape.
        """
        config = self.config
        size = config.image_size
        frames = clips.shape[1] if clips.dim() == 5 else 0
        lengths = (1, config.frames) if config.image_positions else (config.frames,)
        if clips.shape[2:] != (3, size, size) or frames not in lengths:
            raise ValueError(
                f"clips: expected (B, {config.frames}, 3, {size}, {size}), got {tuple(clips.shape)}"
            )
        tokens = self.patch_embed(clips)  # (B, N, D)
        start = self.cls_token.expand(len(tokens), -1, -1)
        alone = frames == 1 and config.image_positions
        tokens = torch.cat([start, tokens], 1) + (self.img_pos_embed if alone else self.pos_embed)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens[:, 1:]


class PatchEmbedding(nn.Module):
    """Frames to patch vectors; patches do not reach over time."""

    def __init__(self, config: InternVideoConfig) -> None:
        super().__init__()
        patch = (1, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(3, config.width, patch, stride=patch)

    def forward(self, clips: Tensor) -> Tensor:
        """Embed clips (B, F, 3, S, S): (B, F * grid * grid, D)."""
        weight = self.proj.weight[:, :, 0]  # one frame deep: a 2D convolution does the same
        cells = F.conv2d(clips.flatten(0, 1), weight, self.proj.bias, self.proj.stride[1:])
        tokens = cells.flatten(2).transpose(1, 2)  # (B * F, grid * grid, D)
        return tokens.reshape(len(clips), -1, tokens.shape[-1])


class Block(nn.Module):
    """Attention among all tokens of a clip, then each by itself; both are scaled per channel."""

    def __init__(self, config: InternVideoConfig) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(config.width, eps=1e-6)
        self.attn = Attention(config)
        self.ls1 = ChannelScale(config.width)
        self.norm2 = nn.RMSNorm(config.width, eps=1e-6)
        self.mlp = FeedForward(config.width, config.feed_forward)
        self.ls2 = ChannelScale(config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, D) to (B, N, D)."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class Attention(nn.Module):
    """Multi-head attention of all tokens with all tokens."""

    def __init__(self, config: InternVideoConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.qkv = nn.Linear(width, 3 * width, bias=config.qkv_bias)
        self.q_norm: nn.Module = nn.Identity()
        self.k_norm: nn.Module = nn.Identity()
        if config.query_key_norm:
            self.q_norm = nn.RMSNorm(width, eps=1e-6)
            self.k_norm = nn.RMSNorm(width, eps=1e-6)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, D) to (B, N, D)."""
        query, key, value = self.qkv(tokens).chunk(3, -1)
        mixed = F.scaled_dot_product_attention(  # (B, heads, N, D / heads)
            self._split(self.q_norm(query)), self._split(self.k_norm(key)), self._split(value)
        )
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def _split(self, vectors: Tensor) -> Tensor:
        return vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class ChannelScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, tokens: Tensor) -> Tensor:
        """Scale (..., D)."""
        return tokens * self.gamma
