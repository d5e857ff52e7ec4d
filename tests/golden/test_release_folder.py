"""Weights that the official code wrote, put into folders as the release has them: all of them find their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from sparrow.model.proposer import ProposerConfig
from sparrow.model.release.load import Release, open_release
from sparrow.model.release.names import name_store
from sparrow.model.videoglamm import VideoGlammConfig


@pytest.fixture(scope="module")
def golden(load_golden: Any) -> Any:
    return load_golden("e2e")


@pytest.fixture(scope="module")
def proposer(load_golden: Any) -> Any:
    return load_golden("proposer")


@pytest.fixture(scope="module")
def release(golden: Any, proposer: Any, tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("release")
    entry = sizes_unsaid(golden.config)
    main = {"model_type": "VideoGPT+", **golden.config["llm"], "sparrow": entry}
    detector = {"ddetr_cfg": proposer.config["ddetr_cfg"], "sparrow": entry}
    for name, config, weights in (
        ("main", main, golden.weights),
        ("proposer", detector, proposer.weights),
    ):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
        save_file(weights, folder / name / "model.safetensors")
    tokenizer(golden.config).save_pretrained(folder / "main")
    return open_release(folder / "main", proposer=folder / "proposer")


def sizes_unsaid(config: dict[str, Any]) -> dict[str, Any]:
    """Give what a config.json of other than the released sizes must say beside."""
    changes = dict(change.lstrip("+").split("=") for change in config["sam2_overrides"])
    trunk = "model.image_encoder.trunk."
    return {
        "video_heads": config["internvideo"]["num_heads"],
        "clip_heads": config["clip"]["num_attention_heads"],
        "sam_heads": int(changes[f"{trunk}num_heads"]),
        "sam_global_blocks": json.loads(changes[f"{trunk}global_att_blocks"]),
        "sam_windows": json.loads(changes[f"{trunk}window_spec"]),
    }


def tokenizer(config: dict[str, Any]) -> PreTrainedTokenizerFast:
    """Make one whose words are numbers, with the recorded ids of the tokens that matter."""
    words = [f"w{i}" for i in range(config["llm"]["vocab_size"])]
    words[0], words[2] = "<unk>", "<|end|>"
    words[config["seg_token_idx"]], words[config["box_token_idx"]] = "[SEG]", "[BOX]"
    vocabulary = {word: index for index, word in enumerate(words)}
    model = models.WordLevel(vocabulary, unk_token="<unk>")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="<unk>")


def test_sizes_are_those_of_the_official_model(
    release: Release, golden: Any, proposer: Any
) -> None:
    said, llm = golden.config, release.llm
    assert {key: getattr(llm, key) for key in said["llm"] if key in vars(VideoGlammConfig())} == {
        key: value for key, value in said["llm"].items() if key in vars(VideoGlammConfig())
    }
    assert llm.state_width == said["llm"]["out_dim"]
    assert llm.mm_projector == said["llm"]["mm_projector_type"]
    assert llm.image_mm_projector == said["llm"]["image_mm_projector_type"]
    assert (llm.seg_id, llm.box_id, llm.end_id) == (said["seg_token_idx"], said["box_token_idx"], 2)
    assert llm.chunk == said["chunk"]
    video, clip = said["internvideo"], said["clip"]
    assert llm.video.width == video["embed_dim"]
    assert llm.video.depth == video["depth"]
    assert llm.video.frames == video["num_frames"]
    assert llm.video.image_size == video["img_size"]
    assert llm.video.patch_size == video["patch_size"]
    assert llm.video.feed_forward == round(video["embed_dim"] * video["mlp_ratio"])
    assert llm.video.qkv_bias == video["qkv_bias"]
    assert llm.video.query_key_norm == video["qk_normalization"]
    assert llm.clip_hidden_size == clip["hidden_size"]
    assert llm.clip_layers == clip["num_hidden_layers"]
    assert llm.clip_image_size == clip["image_size"]
    assert release.config.selector.hidden == said["kwargs"]["selector_hidden"]
    assert release.config.selector.roi_hidden == said["kwargs"]["roi_hidden"]
    detr, found = proposer.config["ddetr_cfg"], release.config.proposer
    assert found.dim == detr["d_model"]
    assert (found.encoder_layers, found.decoder_layers) == (
        detr["encoder_layers"],
        detr["decoder_layers"],
    )
    assert (found.encoder_points, found.decoder_points) == (
        detr["encoder_n_points"],
        detr["decoder_n_points"],
    )
    assert (found.encoder_feedforward, found.decoder_feedforward) == (
        detr["encoder_ffn_dim"],
        detr["decoder_ffn_dim"],
    )
    assert (found.levels, found.queries) == (
        detr["num_feature_levels"],
        detr["two_stage_num_proposals"],
    )
    assert found.score_heads == ProposerConfig().score_heads


def test_every_weight_arrives_unchanged(release: Release, golden: Any, proposer: Any) -> None:
    given: dict[str, Tensor] = {}
    for store, weights in (("main", golden.weights), ("proposer", proposer.weights)):
        naming = name_store(store, weights)
        given |= {ours: weights[theirs] for theirs, ours in naming.used.items()}
    read = dict(release.weights(torch.float32))
    assert read.keys() == given.keys() == release.empty_model().state_dict().keys()
    assert all(torch.equal(read[name], given[name]) for name in given)
