"""SAM2's memory attention and memory encoder, built from one config: what reads memories, what writes them.

They are the `sam2` package's classes at any size; what is kept of a video is sam.py's `Memory`.
"""

from __future__ import annotations

from typing import Protocol

from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.transformer import RoPEAttention


class MemorySizes(Protocol):
    """What a config must say to have SAM2's memory built from it."""

    @property
    def image_size(self) -> int: ...

    @property
    def dim(self) -> int: ...

    @property
    def mem_dim(self) -> int: ...

    @property
    def memory_layers(self) -> int: ...

    @property
    def feedforward(self) -> int: ...

    @property
    def layer_scale(self) -> float: ...

    @property
    def dropout(self) -> float: ...


def memory_attention(config: MemorySizes) -> MemoryAttention:
    """Build what lets a frame's features read the memories."""
    layer = MemoryAttentionLayer(
        activation="relu",
        cross_attention=_attention(config, config.mem_dim),
        d_model=config.dim,
        dim_feedforward=config.feedforward,
        dropout=config.dropout,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=_attention(config, None),
    )
    return MemoryAttention(
        d_model=config.dim, pos_enc_at_input=True, layer=layer, num_layers=config.memory_layers
    )


def memory_encoder(config: MemorySizes) -> MemoryEncoder:
    """Build what turns a frame's features and mask into a memory."""
    block = CXBlock(config.dim, layer_scale_init_value=config.layer_scale)
    return MemoryEncoder(
        out_dim=config.mem_dim,
        mask_downsampler=MaskDownSampler(embed_dim=config.dim, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(block, num_layers=2),
        position_encoding=PositionEmbeddingSine(num_pos_feats=config.mem_dim, warmup_cache=False),
        in_dim=config.dim,
    )


def _attention(config: MemorySizes, keys_width: int | None) -> RoPEAttention:
    side = config.image_size // 16
    return RoPEAttention(
        rope_theta=10000.0,
        feat_sizes=(side, side),
        rope_k_repeat=keys_width is not None,
        embedding_dim=config.dim,
        num_heads=1,
        downsample_rate=1,
        dropout=config.dropout,
        kv_in_dim=keys_width,
    )
