"""The sizes of a released model, read off its stores: their config.json and the shapes of their weights.

What neither says (how many heads attention has, where windows end) has the released values, or is said
by an entry "sparrow" of a store's config.json. Pure functions; nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sparrow.errors import ModelError
from sparrow.model.checkpoint import from_dict
from sparrow.model.config import CardConfig, SparrowConfig
from sparrow.model.image_encoder import ImageEncoderConfig
from sparrow.model.internvideo import InternVideoConfig
from sparrow.model.proposer import ProposerConfig
from sparrow.model.release.names import StoreName
from sparrow.model.sam import SamConfig
from sparrow.model.selector import SelectorConfig
from sparrow.model.videoglamm import VideoGlammConfig

Configs = Mapping[StoreName, Mapping[str, Any]]


@dataclass(frozen=True)
class Unsaid:
    """What only a release's "sparrow" entry says. The defaults are the released model's."""

    video_heads: int = 16
    clip_heads: int = 16
    sam_heads: int = 2
    """Of the first stage of SAM2's image encoder; they double per stage."""
    sam_global_blocks: tuple[int, ...] = (23, 33, 43)
    sam_windows: tuple[int, ...] = (8, 4, 16, 8)
    sam_decoder_heads: int = 8


@dataclass(frozen=True)
class Words:
    """What a model must know of its tokenizer."""

    count: int
    seg: int
    box: int
    end: int
    other_ends: tuple[int, ...]


class Shapes:
    """Shapes of the stored weights by our names; a weight that is absent has the released size."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._shapes = shapes

    def size(self, name: str, axis: int, absent: int) -> int:
        """Give the length of an axis of a weight."""
        shape = self._shapes.get(name, ())
        return shape[axis] if -len(shape) <= axis < len(shape) else absent

    def count(self, prefix: str, absent: int) -> int:
        """Count the modules that are numbered from 0 behind a prefix."""
        pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
        found = {int(hit[1]) for name in self._shapes if (hit := pattern.match(name))}
        return max(found) + 1 if found else absent

    def has(self, prefix: str) -> bool:
        """Tell whether there are weights behind a prefix."""
        return any(name.startswith(prefix) for name in self._shapes)


def sizes_of(
    shapes: Shapes, configs: Configs, words: Words, card: CardConfig | None = None
) -> SparrowConfig:
    """Give the configuration of the model that a release's weights fit into.

    Args:
        shapes: of all stores.
        configs: config.json of the stores that have one.
        words: of the release's tokenizer.
        card: what the model says about itself.

    Raises:
        ModelError: sizes that are neither said nor the released ones, or a variant that is not supported.
    """
    unsaid = _unsaid(configs.get("main", {}), "main")
    return SparrowConfig(
        sam=_sam(shapes, unsaid),
        proposer=_proposer(shapes, configs.get("proposer", {})),
        selector=_selector(shapes),
        llm=_video_llm(shapes, configs, unsaid, words),
        card=card or CardConfig(name="SPARROW"),
        snap=False,
    )


def _unsaid(config: Mapping[str, Any], store: StoreName) -> Unsaid | None:
    """Read a store's "sparrow" entry; None where it has none."""
    if "sparrow" not in config:
        return None
    try:
        return from_dict(Unsaid, config["sparrow"])
    except TypeError as error:
        raise ModelError(f'{store}: entry "sparrow" of its config.json: {error}') from error


def _sam(shapes: Shapes, unsaid: Unsaid | None) -> SamConfig:
    sam = "pixel_decoder.sam."
    decoder = f"{sam}sam_mask_decoder."
    encoder = _hiera(shapes, f"{sam}image_encoder.", unsaid, "main")
    return SamConfig(
        embed_dim=encoder.embed_dim,
        num_heads=encoder.num_heads,
        stages=encoder.stages,
        global_blocks=encoder.global_blocks,
        window_background=encoder.window_background,
        windows=encoder.windows,
        dim=encoder.dim,
        token_dim=shapes.size("video_llm.text_hidden_fcs.2.weight", 0, encoder.dim),
        mem_dim=shapes.size(f"{sam}maskmem_tpos_enc", 3, 64),
        num_memories=shapes.size(f"{sam}maskmem_tpos_enc", 0, 7),
        memory_layers=shapes.count(f"{sam}memory_attention.layers.", 4),
        feedforward=shapes.size(f"{sam}memory_attention.layers.0.linear1.weight", 0, 2048),
        decoder_feedforward=shapes.size(
            f"{decoder}transformer.layers.0.mlp.layers.0.weight", 0, 2048
        ),
        decoder_heads=(unsaid or Unsaid()).sam_decoder_heads,
        iou_hidden=shapes.size(f"{decoder}iou_prediction_head.layers.0.weight", 0, 256),
        predictor_memory=True,
        resize="longest",
    )


def _hiera(
    shapes: Shapes, prefix: str, unsaid: Unsaid | None, store: StoreName
) -> ImageEncoderConfig:
    default, trunk = ImageEncoderConfig(), f"{prefix}trunk."
    blocks = shapes.count(f"{trunk}blocks.", sum(default.stages))
    widths = [shapes.size(f"{trunk}blocks.{i}.norm2.weight", 0, 0) for i in range(blocks)]
    stages = tuple(len(list(run)) for width, run in groupby(widths) if width) or default.stages
    embed_dim = shapes.size(f"{trunk}patch_embed.proj.weight", 0, default.embed_dim)
    usual = (embed_dim, stages) == (default.embed_dim, default.stages)
    if unsaid is None and not usual:
        raise _needs_entry(store, f"SAM 2 of width {embed_dim} and stages {stages}")
    said = unsaid or Unsaid()
    background = tuple(
        shapes.size(f"{trunk}pos_embed", axis, default.window_background[0]) for axis in (2, 3)
    )
    return ImageEncoderConfig(
        dim=shapes.size(f"{prefix}neck.convs.0.conv.weight", 0, default.dim),
        embed_dim=embed_dim,
        num_heads=said.sam_heads,
        stages=stages,
        global_blocks=said.sam_global_blocks,
        window_background=(background[0], background[1]),
        windows=said.sam_windows,
    )


def _proposer(shapes: Shapes, config: Mapping[str, Any]) -> ProposerConfig:
    default, detr = ProposerConfig(), "proposer.detr."
    said = config.get("ddetr_cfg") or {}  # what it leaves out has Deformable DETR's usual value
    if said.get("two_stage") is False or said.get("with_box_refine") is False:
        raise ModelError("proposer: expected a two-stage Deformable DETR with box refinement")
    levels = shapes.size(f"{detr}level_embed", 0, default.levels)

    def points(layers: str, heads: int, usual: int) -> int:
        offsets = shapes.size(f"{detr}{layers}.sampling_offsets.weight", 0, 0)
        return offsets // (heads * levels * 2) or usual

    heads = int(said.get("encoder_attention_heads", default.heads))
    if int(said.get("decoder_attention_heads", default.heads)) != heads:
        raise ModelError("proposer: expected as many attention heads in its decoder as before it")
    stored = shapes.size(f"{detr}query_position_embeddings.weight", 0, default.queries)
    return ProposerConfig(
        encoder=_hiera(shapes, "proposer.image_encoder.", _unsaid(config, "proposer"), "proposer"),
        dim=shapes.size(f"{detr}level_embed", 1, default.dim),
        encoder_layers=shapes.count(f"{detr}encoder.layers.", default.encoder_layers),
        decoder_layers=shapes.count(f"{detr}decoder.layers.", default.decoder_layers),
        heads=heads,
        encoder_points=points("encoder.layers.0.self_attn", heads, default.encoder_points),
        decoder_points=points("decoder.layers.0.encoder_attn", heads, default.decoder_points),
        encoder_feedforward=shapes.size(f"{detr}encoder.layers.0.fc1.weight", 0, 1024),
        decoder_feedforward=shapes.size(f"{detr}decoder.layers.0.fc1.weight", 0, 1024),
        box_hidden=shapes.size(f"{detr}bbox_embed.0.layers.0.weight", 0, default.box_hidden),
        levels=levels,
        queries=min(stored, int(said.get("two_stage_num_proposals", stored))),
    )


def _selector(shapes: Shapes) -> SelectorConfig:
    default, matcher, helper = (
        SelectorConfig(),
        "selector.proposal_selector.",
        "selector.roi_helper.",
    )
    levels = shapes.count(f"{helper}level_token_proj.", len(default.roi_channels))
    return SelectorConfig(
        state_dim=shapes.size(f"{matcher}seg_proj.weight", 1, default.state_dim),
        prop_dim=shapes.size(f"{matcher}prop_proj.weight", 1, default.prop_dim),
        hidden=shapes.size(f"{matcher}seg_proj.weight", 0, default.hidden),
        roi_hidden=shapes.size(f"{helper}query_proj.weight", 0, default.roi_hidden),
        roi_channels=tuple(
            shapes.size(f"{helper}level_token_proj.{i}.weight", 1, default.roi_channels[-1])
            for i in range(levels)
        ),
    )


def _video_llm(
    shapes: Shapes, configs: Configs, unsaid: Unsaid | None, words: Words
) -> VideoGlammConfig:
    said, default = configs.get("main", {}), VideoGlammConfig()
    if said.get("rope_scaling"):
        raise ModelError("main: expected a Phi-3 without rope_scaling, the released 4k variant")
    tower, video = "video_llm.image_vision_tower.", _video_tower(shapes, unsaid)
    patch = shapes.size(f"{tower}embeddings.patch_embedding.weight", 3, default.clip_patch_size)
    cells = shapes.size(f"{tower}embeddings.position_embedding.weight", 0, 577) - 1
    window = said.get("sliding_window")
    clip_layers = shapes.count(f"{tower}encoder.layers.", default.clip_layers)
    clip_width = shapes.size(f"{tower}embeddings.class_embedding", 0, default.clip_hidden_size)
    heads = int(said.get("num_attention_heads", default.num_attention_heads))
    return VideoGlammConfig(
        video=video,
        vocab_size=words.count,
        hidden_size=int(said.get("hidden_size", default.hidden_size)),
        intermediate_size=int(said.get("intermediate_size", default.intermediate_size)),
        num_hidden_layers=int(said.get("num_hidden_layers", default.num_hidden_layers)),
        num_attention_heads=heads,
        num_key_value_heads=int(said.get("num_key_value_heads") or heads),
        max_position_embeddings=int(
            said.get("max_position_embeddings", default.max_position_embeddings)
        ),
        rms_norm_eps=float(said.get("rms_norm_eps", default.rms_norm_eps)),
        rope_theta=float(said.get("rope_theta", default.rope_theta)),
        sliding_window=None if window is None else int(window),
        clip_hidden_size=clip_width,
        clip_intermediate_size=shapes.size(f"{tower}encoder.layers.0.mlp.fc1.weight", 0, 4096),
        clip_layers=clip_layers,
        clip_heads=_clip_heads(clip_width, configs.get("image_tower", {}), unsaid),
        clip_image_size=round(cells**0.5) * patch,
        clip_patch_size=patch,
        clip_select_layer=int(said.get("mm_vision_select_layer", default.clip_select_layer)),
        mm_projector=_projector(shapes, "video_llm.mm_projector."),
        image_mm_projector=_projector(shapes, "video_llm.image_mm_projector."),
        state_width=shapes.size("video_llm.text_hidden_fcs.2.weight", 0, default.state_width),
        chunk=video.frames,
        seg_id=words.seg,
        box_id=words.box,
        end_id=words.end,
        other_end_ids=words.other_ends,
        tsf_count=int(said.get("tsf_k", default.tsf_count)),
        tsf_iterations=int(said.get("tsf_kmeans_iters", default.tsf_iterations)),
    )


def _video_tower(shapes: Shapes, unsaid: Unsaid | None) -> InternVideoConfig:
    default, tower = InternVideoConfig(), "video_llm.vision_tower."
    if not shapes.has(tower):
        return default
    width = shapes.size(f"{tower}cls_token", 2, default.width)
    if unsaid is None and width != default.width:
        raise _needs_entry("main", f"InternVideo2 of width {width}")
    own_positions = shapes.has(f"{tower}img_pos_embed")
    cells = shapes.size(f"{tower}img_pos_embed", 1, default.grid**2 + 1) - 1
    patch = shapes.size(f"{tower}patch_embed.proj.weight", 3, default.patch_size)
    positions = shapes.size(f"{tower}pos_embed", 1, default.frames * cells + 1) - 1
    return InternVideoConfig(
        width=width,
        depth=shapes.count(f"{tower}blocks.", default.depth - 1) + 1,
        heads=(unsaid or Unsaid()).video_heads,
        feed_forward=shapes.size(f"{tower}blocks.0.mlp.fc1.weight", 0, default.feed_forward),
        image_size=round(cells**0.5) * patch,
        patch_size=patch,
        frames=positions // cells,
        qkv_bias=shapes.has(f"{tower}blocks.0.attn.qkv.bias"),
        query_key_norm=shapes.has(f"{tower}blocks.0.attn.q_norm."),
        image_positions=own_positions,
    )


def _clip_heads(width: int, config: Mapping[str, Any], unsaid: Unsaid | None) -> int:
    part = config.get("vision_config") or config  # all of CLIP's configuration, or its vision part
    if part:
        return int(part.get("num_attention_heads", 12))  # transformers leaves out its default
    if unsaid is None and width != VideoGlammConfig().clip_hidden_size:
        raise _needs_entry("main", f"CLIP of width {width}")
    return (unsaid or Unsaid()).clip_heads


def _projector(shapes: Shapes, prefix: str) -> str:
    layers = (shapes.count(prefix, 3) + 1) // 2  # linear layers with GELUs between
    return "linear" if layers == 1 else f"mlp{layers}x_gelu"


def _needs_entry(store: StoreName, found: str) -> ModelError:
    return ModelError(
        f'{store}: {found} is not the released size; say its heads and windows in an entry "sparrow" '
        "of its config.json, see docs/released-checkpoints.md"
    )
