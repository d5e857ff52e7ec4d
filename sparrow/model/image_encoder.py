"""Image encoders of the Proposer: pixels to feature maps, either SAM2's or a small convolutional pyramid.

Both give a list of maps, finest first. They know nothing of boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from torch import Tensor, nn


@dataclass(frozen=True)
class ImageEncoderConfig:
    """Which encoder and its sizes. The defaults are SAM2-large's."""

    kind: Literal["sam2", "conv"] = "sam2"
    dim: int = 256
    """Channels of every map."""
    embed_dim: int = 144
    """sam2: width of the first Hiera stage; it doubles per stage."""
    num_heads: int = 2
    stages: tuple[int, ...] = (2, 6, 36, 4)
    global_blocks: tuple[int, ...] = (23, 33, 43)
    window_background: tuple[int, int] = (7, 7)
    windows: tuple[int, ...] = (8, 4, 16, 8)
    widths: tuple[int, ...] = (24, 48, 80, 128, 160)
    """conv: channels at strides 2, 4, 8, 16 and 32."""


class HieraSizes(Protocol):
    """What a config must say to have SAM2's image encoder built from it."""

    @property
    def dim(self) -> int: ...

    @property
    def embed_dim(self) -> int: ...

    @property
    def num_heads(self) -> int: ...

    @property
    def stages(self) -> tuple[int, ...]: ...

    @property
    def global_blocks(self) -> tuple[int, ...]: ...

    @property
    def window_background(self) -> tuple[int, int]: ...

    @property
    def windows(self) -> tuple[int, ...]: ...


def hiera_encoder(config: HieraSizes) -> ImageEncoder:
    """Build SAM2's Hiera and feature pyramid; the coarsest of its four maps is dropped."""
    widths = [config.embed_dim * 2**stage for stage in range(len(config.stages))]
    return ImageEncoder(
        scalp=1,
        trunk=Hiera(
            embed_dim=config.embed_dim,
            num_heads=config.num_heads,
            stages=config.stages,
            global_att_blocks=config.global_blocks,
            window_pos_embed_bkg_spatial_size=config.window_background,
            window_spec=config.windows,
        ),
        neck=FpnNeck(
            position_encoding=PositionEmbeddingSine(config.dim, warmup_cache=False),
            d_model=config.dim,
            backbone_channel_list=widths[::-1],
            fpn_top_down_levels=[2, 3],
            fpn_interp_model="nearest",
        ),
    )


class Sam2Encoder(nn.Module):
    """Hiera and its feature pyramid: maps of strides 4, 8 and 16, the coarsest of SAM2's four dropped."""

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        encoder = hiera_encoder(config)
        self.trunk, self.neck = encoder.trunk, encoder.neck

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode (B, 3, S, S) to [(B, dim, S / 4, S / 4), ... / 8, ... / 16]."""
        maps, _ = self.neck(self.trunk(pixels))
        return list(maps[:-1])


class ConvEncoder(nn.Module):
    """Convolutions down to stride 32 and back up by addition: maps of strides 8 and 16."""

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        first, second, third, fourth, fifth = config.widths
        self.stem = nn.Sequential(_Unit(3, first, 2), _Unit(first, second, 2))
        self.eighth = nn.Sequential(_Unit(second, third, 2), _Residual(third))
        self.sixteenth = nn.Sequential(
            _Unit(third, fourth, 2), _Residual(fourth), _Residual(fourth)
        )
        self.coarse = nn.Sequential(_Unit(fourth, fifth, 2), _Residual(fifth), _Residual(fifth))
        self.laterals = nn.ModuleList(
            nn.Conv2d(width, config.dim, 1) for width in (third, fourth, fifth)
        )
        self.smooth = nn.ModuleList(_Unit(config.dim, config.dim, 1) for _ in range(2))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode (B, 3, S, S) to [(B, dim, S / 8, S / 8), (B, dim, S / 16, S / 16)]."""
        eighth = self.eighth(self.stem(pixels))
        sixteenth = self.sixteenth(eighth)
        coarse = self.laterals[2](self.coarse(sixteenth))
        middle = self.smooth[1](self.laterals[1](sixteenth) + _doubled(coarse, sixteenth))
        fine = self.smooth[0](self.laterals[0](eighth) + _doubled(middle, eighth))
        return [fine, middle]


class _Unit(nn.Sequential):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
        )


class _Residual(nn.Module):
    """Two convolutions around a narrower middle, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _Unit(channels, channels // 2, 1),
            nn.Conv2d(channels // 2, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.body(maps))


def _doubled(coarse: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(coarse, size=like.shape[-2:], mode="nearest")


def build(config: ImageEncoderConfig) -> Sam2Encoder | ConvEncoder:
    """Build the encoder that the config names.

    Raises:
        ValueError: there is no such kind.
    """
    # Released folders are built under transformers' meta device; position tables must stay real.
    with torch.device("cpu"):
        if config.kind == "sam2":
            return Sam2Encoder(config)
        if config.kind == "conv":
            return ConvEncoder(config)
    raise ValueError(f'image encoder kind: expected "sam2" or "conv", got {config.kind!r}')
