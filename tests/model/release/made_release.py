"""Writes a tiny release in the official layout: the stores' files, names and formats, random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sparrow.model.config import SparrowConfig
from sparrow.model.image_encoder import ImageEncoderConfig
from sparrow.model.proposer import ProposerConfig
from sparrow.model.release.names import StoreName, released_name, supplier
from sparrow.model.sam import SamConfig
from sparrow.model.selector import SelectorConfig
from sparrow.model.sparrow import SparrowModel
from tests.made_phi3 import phi3_tokenizer, tiny_config

HIERA = {"embed_dim": 8, "num_heads": 1, "stages": (1, 2, 2, 1), "global_blocks": (4,)}
ENTRY = {
    "video_heads": 2,
    "clip_heads": 2,
    "sam_heads": 1,
    "sam_global_blocks": [4],
    "sam_decoder_heads": 4,
}
"""What neither configurations nor shapes say of these sizes: the "sparrow" entry of config.json."""


def tiny_sparrow(seed: int = 0) -> SparrowModel:
    """Build a random model of the released kind, in evaluation mode."""
    torch.manual_seed(seed)
    config = SparrowConfig(
        sam=SamConfig(
            **HIERA,
            dim=32,
            token_dim=32,
            mem_dim=16,
            memory_layers=1,
            feedforward=48,
            decoder_feedforward=64,
            decoder_heads=4,
            iou_hidden=24,
            predictor_memory=True,
            resize="longest",
        ),
        proposer=ProposerConfig(
            encoder=ImageEncoderConfig(dim=32, **HIERA),
            dim=32,
            encoder_layers=1,
            decoder_layers=2,
            heads=4,
            encoder_points=2,
            decoder_points=3,
            encoder_feedforward=24,
            decoder_feedforward=40,
            box_hidden=32,
            queries=30,
        ),
        selector=SelectorConfig(
            state_dim=32, prop_dim=32, hidden=24, roi_hidden=20, roi_channels=(32, 64, 256)
        ),
        llm=tiny_config(
            state_width=32,
            video=tiny_config().video,
            frames=16,
            sliding_window=40,
        ),
        snap=False,
    )
    return SparrowModel(config, phi3_tokenizer()).eval()


@dataclass
class Stores:
    """The stores of a release before they are written; change them, then write."""

    model: SparrowModel
    weights: dict[StoreName, dict[str, Tensor]] = field(default_factory=dict)
    configs: dict[StoreName, dict[str, Any]] = field(default_factory=dict)

    def write(
        self,
        folder: Path,
        *,
        towers: tuple[StoreName, ...] = (),
        save: Callable[[Path, Mapping[str, Tensor]], None] | None = None,
    ) -> dict[str, Path]:
        """Write all stores below a folder.

        Args:
            folder: of everything.
            towers: those that the main store holds as well, as the release's second way of export does.
            save: writes main's weights; None: two shards of a pickle.

        Returns:
            Arguments of `load_release`.
        """
        main = dict(self.weights["main"])
        for tower in towers:
            main |= {
                f"{_BEFORE_TOWERS[tower]}{name}": value
                for name, value in self.weights[tower].items()
                if name.startswith(("vision_encoder.", "vision_model."))
            }
        for name, config in self.configs.items():
            (folder / name).mkdir(parents=True)
            (folder / name / "config.json").write_text(json.dumps(config))
        self.model.tokenizer.save_pretrained(folder / "main")
        generation = {"do_sample": True, "eos_token_id": [self.model.config.llm.other_end_ids[0]]}
        (folder / "main" / "generation_config.json").write_text(json.dumps(generation))
        (save or save_shards)(folder / "main", main)
        save_file(dict(self.weights["proposer"]), folder / "proposer" / "model.safetensors")
        torch.save(self.weights["image_tower"], folder / "image_tower" / "pytorch_model.bin")
        (folder / "video_tower").mkdir()
        tower = folder / "video_tower" / "InternVideo2-stage2_1b-224p-f4.pt"
        torch.save({"module": self.weights["video_tower"], "epoch": 3}, tower)
        return {
            "main": folder / "main",
            "proposer": folder / "proposer",
            "video_tower": tower,
            "image_tower": folder / "image_tower",
        }


_BEFORE_TOWERS: dict[StoreName, str] = {
    "video_tower": "model.vision_tower.",
    "image_tower": "model.image_vision_tower.vision_tower.",
}


def save_shards(folder: Path, weights: Mapping[str, Tensor], count: int = 2) -> None:
    """Write pickles and their index, as transformers does without safetensors."""
    names = list(weights)
    places = {}
    for shard in range(count):
        file = f"pytorch_model-{shard + 1:05}-of-{count:05}.bin"
        held = names[shard::count]
        torch.save({name: weights[name].clone() for name in held}, folder / file)
        places |= dict.fromkeys(held, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def made_stores(model: SparrowModel, dtype: torch.dtype = torch.float16) -> Stores:
    """Take a model apart into stores with released names, and add what the release has beyond it.

    Args:
        model: all weights; those of the VideoLLM must fit into `dtype`.
        dtype: of main's and the towers' weights.
    """
    stores = Stores(model)
    for ours, value in model.state_dict().items():
        store = supplier(ours)
        kept = value if store == "proposer" else value.to(dtype)
        stores.weights.setdefault(store, {})[released_name(ours)] = kept.clone()
    _add_unused(stores, dtype)
    llm, proposer = model.config.llm, model.config.proposer
    stores.configs["main"] = {
        "model_type": "VideoGPT+",
        "architectures": ["SPARROWForCausalLM"],
        "vocab_size": 32064,
        "hidden_size": llm.hidden_size,
        "intermediate_size": llm.intermediate_size,
        "num_hidden_layers": llm.num_hidden_layers,
        "num_attention_heads": llm.num_attention_heads,
        "num_key_value_heads": llm.num_key_value_heads,
        "max_position_embeddings": llm.max_position_embeddings,
        "rms_norm_eps": llm.rms_norm_eps,
        "rope_theta": llm.rope_theta,
        "rope_scaling": None,
        "sliding_window": llm.sliding_window,
        "mm_vision_tower": "/mnt/authors/InternVideo2.pt",
        "image_mm_vision_tower": "/mnt/authors/clip",
        "mm_vision_select_layer": -2,
        "sparrow": ENTRY,
    }
    stores.configs["proposer"] = {
        "model_type": "ddetr_sam2",
        "sam2_cfg": "sam2_hiera_l.yaml",
        "ddetr_cfg": {
            "encoder_attention_heads": proposer.heads,
            "decoder_attention_heads": proposer.heads,
            "two_stage": True,
            "two_stage_num_proposals": proposer.queries,
        },
        "sparrow": ENTRY,
    }
    stores.configs["image_tower"] = {
        "model_type": "clip",
        "vision_config": {"num_attention_heads": llm.clip_heads},
    }
    return stores


def _add_unused(stores: Stores, dtype: torch.dtype) -> None:
    """Add what the released stores hold and no answer needs."""
    video, proposer = stores.weights["video_tower"], stores.weights["proposer"]
    depth = stores.model.config.llm.video.depth
    last = {
        name.replace(f"blocks.{depth - 2}.", f"blocks.{depth - 1}."): value
        for name, value in video.items()
        if f"blocks.{depth - 2}." in name
    }
    heads = ("clip_projector.norm1_q.weight", "clip_decoder.0.head.bias", "clip_pos_embed")
    video |= last | {f"vision_encoder.{name}": torch.ones(3, dtype=dtype) for name in heads}
    video |= {
        "vision_proj.weight": torch.ones(2, 3),
        "text_encoder.bert.pooler.bias": torch.ones(2),
    }
    proposer |= {
        name.replace("transformer.", "transformer.decoder.", 1): value.clone()
        for name, value in proposer.items()
        if name.startswith(("ddetr_transformer.bbox_embed.", "ddetr_transformer.class_embed_coco"))
    }
    stores.weights["image_tower"] |= {
        "text_model.final_layer_norm.weight": torch.ones(4),
        "visual_projection.weight": torch.ones(2, 4),
        "logit_scale": torch.ones(()),
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
    }
