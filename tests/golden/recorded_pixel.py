"""The recorded run of the official PixelDecoder, ours with its weights, and an ear at the mask decoder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparrow.model.guidance import Guidance, guide
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.preparing import sam_pixels
from sparrow.model.sam import FrameFeatures, SamConfig
from sparrow.model.selector import Selector, SelectorConfig
from sparrow.model.splice import splice
from tests.golden.renamed import renamed

_FIELDS = {
    "image_encoder.trunk.embed_dim": "embed_dim",
    "image_encoder.trunk.num_heads": "num_heads",
    "image_encoder.trunk.stages": "stages",
    "image_encoder.trunk.global_att_blocks": "global_blocks",
    "image_encoder.trunk.window_spec": "windows",
    "image_encoder.trunk.window_pos_embed_bkg_spatial_size": "window_background",
    "image_encoder.neck.d_model": "dim",
    "memory_attention.layer.dim_feedforward": "feedforward",
    "memory_attention.num_layers": "memory_layers",
    "memory_encoder.out_dim": "mem_dim",
    "image_size": "image_size",
    "num_maskmem": "num_memories",
}
# What follows from those; recorded all the same.
_FOLLOWS = {
    "image_encoder.neck.position_encoding.num_pos_feats": "dim",
    "memory_attention.d_model": "dim",
    "memory_attention.layer.d_model": "dim",
    "memory_attention.layer.self_attention.embedding_dim": "dim",
    "memory_attention.layer.cross_attention.embedding_dim": "dim",
    "memory_attention.layer.cross_attention.kv_in_dim": "mem_dim",
    "memory_encoder.position_encoding.num_pos_feats": "mem_dim",
    "memory_encoder.fuser.layer.dim": "dim",
    "memory_encoder.in_dim": "dim",
    "memory_encoder.mask_downsampler.embed_dim": "dim",
}


def sam_config(overrides: list[str], token_dim: int) -> SamConfig:
    """SAM2-large with what a recorded run was given instead."""
    fields: dict[str, Any] = {"decoder_feedforward": 2048}  # fixed in SAM2, whatever the overrides
    given = {}
    for override in overrides:
        name, value = override.lstrip("+").removeprefix("model.").split("=")
        given[name] = json.loads(value)
    for name, value in given.items():
        if name in _FIELDS:
            fields[_FIELDS[name]] = tuple(value) if isinstance(value, list) else value
    config = SamConfig(token_dim=token_dim, predictor_memory=True, resize="longest", **fields)
    widths = [config.embed_dim * 2**stage for stage in range(len(config.stages))]
    for name, value in given.items():
        if name in _FOLLOWS:
            assert value == getattr(config, _FOLLOWS[name]), name
        elif name == "image_encoder.neck.backbone_channel_list":
            assert value == widths[::-1]
        else:
            assert name in _FIELDS, name
    return config


@dataclass(frozen=True, eq=False)
class Official:
    """The recorded run, and ours with its weights."""

    config: dict[str, Any]
    io: dict[str, Tensor]
    decoder: PixelDecoder
    selector: Selector
    hidden_fcs: nn.Sequential
    frames: list[Tensor]
    features: list[FrameFeatures]

    @property
    def size_hw(self) -> tuple[int, int]:
        height, width = self.config["orig_hw"]
        return height, width

    def states(self, words: str, token: str) -> Tensor:
        """The projected states (R, E) at the positions before a token."""
        ids = self.io[f"{words}.ids"][0]
        place = nn.Embedding(int(ids.max()) + 1, 1)
        visual = torch.zeros(self.config["num_newly_added_tokens"] + 1, 1)
        before = splice(ids, place, visual, None, 4).before(self.config[f"{token}_token_idx"])
        return self.hidden_fcs(self.io[f"{words}.hidden"])[0, before]

    def guidance(self, words: str) -> Guidance:
        io = self.io
        return guide(
            self.selector,
            self.states(words, "seg"),
            self.states(words, "box"),
            io["prop.boxes"],
            io["prop.features"],
            io["prop.scores"],
            valid=io["prop.mask"],
            pyramid=self.decoder.sam.pyramid(self.features[0]),
        )


def load_official(golden: Any) -> Official:
    """Build ours at the recorded sizes, load the official weights, encode the frames."""
    config, io = golden.config, golden.io
    weights = {f"model.{name}": value for name, value in golden.weights.items()}
    decoder = PixelDecoder(sam_config(config["sam2_overrides"], config["out_dim"])).eval()
    decoder.load_state_dict(renamed(weights, "pixel_decoder."))
    selector = Selector(
        SelectorConfig(
            state_dim=config["out_dim"],
            prop_dim=config["prop_dim"],
            hidden=config["selector_hidden"],
            roi_hidden=config["roi_hidden"],
            threshold=config["threshold"],
            max_selected=config["max_selected"],
        )
    ).eval()
    selector.load_state_dict(renamed(weights, "selector."))
    width = config["hidden"]
    fcs = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, config["out_dim"]))
    fcs.load_state_dict(renamed(weights, "video_llm.text_hidden_fcs."))
    scale = decoder.side // io["small_frames"].shape[-1]
    pixels = io["small_frames"].repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    frames = [sam_pixels(frame.permute(1, 2, 0).numpy(), decoder.side) for frame in pixels]
    with torch.inference_mode():
        features = [decoder.encode_pixels(frame) for frame in frames]
        return Official(config, io, decoder, selector, fcs, frames, features)


@dataclass
class Heard:
    """Calls of the mask decoder and of the prompt encoder, row by row."""

    calls: list[tuple[Tensor, ...]]

    def rows(self, call: int, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One row's low-res logits, IoUs, object score and sparse prompts."""
        masks, ious, scores, sparse = (part[index] for part in self.calls[call])
        return masks, ious, scores, sparse


@contextmanager
def listening(decoder: PixelDecoder) -> Iterator[Heard]:
    heard = Heard([])

    def note(_: nn.Module, __: Any, given: dict[str, Any], out: tuple[Tensor, ...]) -> None:
        heard.calls.append((out[0], out[1], out[3], given["sparse_prompt_embeddings"]))

    hook = decoder.sam.sam_mask_decoder.register_forward_hook(note, with_kwargs=True)
    try:
        yield heard
    finally:
        hook.remove()
