"""Names of the released stores to ours: every kind of name by hand, both ways of export, what is left out."""

from __future__ import annotations

import pytest

from sparrow.model.release.names import (
    StoreName,
    is_unmerged,
    name_store,
    released_name,
    supplier,
)

USED: list[tuple[StoreName, str, str]] = [
    ("main", "lm_head.weight", "video_llm.lm.lm_head.weight"),
    ("main", "model.embed_tokens.weight", "video_llm.lm.model.embed_tokens.weight"),
    ("main", "model.norm.weight", "video_llm.lm.model.norm.weight"),
    (
        "main",
        "model.layers.31.self_attn.qkv_proj.weight",
        "video_llm.lm.model.layers.31.self_attn.qkv_proj.weight",
    ),
    ("main", "model.mm_projector.2.bias", "video_llm.mm_projector.2.bias"),
    ("main", "model.mm_projector.weight", "video_llm.mm_projector.0.weight"),
    ("main", "model.image_mm_projector.bias", "video_llm.image_mm_projector.0.bias"),
    ("main", "model.text_hidden_fcs.0.2.weight", "video_llm.text_hidden_fcs.2.weight"),
    ("main", "model.visual_model.maskmem_tpos_enc", "pixel_decoder.sam.maskmem_tpos_enc"),
    (
        "main",
        "model.visual_model.memory_encoder.fuser.layers.1.weight",
        "pixel_decoder.sam.memory_encoder.fuser.layers.1.gamma",
    ),
    ("main", "model.roi_fusion_gamma", "selector.roi_fusion_gamma"),
    ("main", "model.roi_helper.seg_proj.bias", "selector.roi_helper.seg_proj.bias"),
    (
        "main",
        "model.proposal_selector.box_head.2.bias",
        "selector.proposal_selector.box_head.2.bias",
    ),
    ("main", "model.vision_tower.vision_encoder.cls_token", "video_llm.vision_tower.cls_token"),
    (
        "main",
        "model.image_vision_tower.vision_tower.vision_model.pre_layrnorm.bias",
        "video_llm.image_vision_tower.pre_layrnorm.bias",
    ),
    ("video_tower", "vision_encoder.pos_embed", "video_llm.vision_tower.pos_embed"),
    (
        "image_tower",
        "vision_model.embeddings.class_embedding",
        "video_llm.image_vision_tower.embeddings.class_embedding",
    ),
    (
        "proposer",
        "vis_encoder.trunk.blocks.0.norm1.weight",
        "proposer.image_encoder.trunk.blocks.0.norm1.weight",
    ),
    ("proposer", "input_proj.0.1.bias", "proposer.input_proj.0.1.bias"),
    ("proposer", "ddetr_transformer.level_embed", "proposer.detr.level_embed"),
    (
        "proposer",
        "ddetr_transformer.decoder.layers.5.fc1.weight",
        "proposer.detr.decoder.layers.5.fc1.weight",
    ),
]


@pytest.mark.parametrize(("store", "theirs", "ours"), USED, ids=lambda x: str(x)[-40:])
def test_used_names(store: StoreName, theirs: str, ours: str) -> None:
    naming = name_store(store, [theirs])
    assert (naming.used, naming.unused, naming.unknown) == ({theirs: ours}, {}, ())
    if ".0." in ours and ".0." not in theirs:
        return  # a projector of one layer has two names
    assert released_name(ours, store) == theirs
    if supplier(ours) == store:
        assert released_name(ours) == theirs


@pytest.mark.parametrize(
    ("store", "name"),
    [
        ("main", "model.layers.0.self_attn.rotary_emb.inv_freq"),
        ("main", "model.image_vision_tower.vision_tower.vision_model.embeddings.position_ids"),
        ("main", "model.vision_tower.vision_encoder.clip_decoder.0.head.weight"),
        ("main", "model.vision_tower.vision_encoder.final_clip_decoder.norm.bias"),
        ("main", "model.vision_tower.vision_encoder.clip_projector.cross_attn.q_bias"),
        ("main", "model.vision_tower.vision_proj.weight"),
        ("video_tower", "vision_encoder.clip_pos_embed"),
        ("video_tower", "vision_encoder.clip_img_pos_embed"),
        ("video_tower", "text_encoder.bert.embeddings.word_embeddings.weight"),
        ("video_tower", "temp"),
        ("image_tower", "text_model.embeddings.token_embedding.weight"),
        ("image_tower", "visual_projection.weight"),
        ("image_tower", "logit_scale"),
        ("image_tower", "vision_model.embeddings.position_ids"),
    ],
)
def test_unused_names_have_a_reason(store: StoreName, name: str) -> None:
    naming = name_store(store, [name])
    assert list(naming.unused) == [name]
    assert len(naming.unused[name]) > 10


@pytest.mark.parametrize(
    ("store", "name"),
    [
        ("main", "model.box_mm_projector.0.weight"),
        ("main", "lm_head_weight"),
        ("main", "vision_encoder.cls_token"),
        ("proposer", "backbone.conv1.weight"),
        ("main", ""),
    ],
)
def test_unknown_names_are_told(store: StoreName, name: str) -> None:
    assert name_store(store, [name]).unknown == (name,)


@pytest.mark.parametrize(
    ("store", "prefix"),
    [("video_tower", "vision_encoder."), ("main", "model.vision_tower.vision_encoder.")],
)
def test_the_last_block_of_the_video_tower_is_left_out(store: StoreName, prefix: str) -> None:
    names = [f"{prefix}blocks.{i}.norm1.weight" for i in (0, 9, 10)]
    naming = name_store(store, names)
    assert list(naming.unused) == names[2:]
    assert list(naming.used.values()) == [
        f"video_llm.vision_tower.blocks.{i}.norm1.weight" for i in (0, 9)
    ]


def test_second_names_of_the_heads_serve_only_where_the_first_are_absent() -> None:
    first = "ddetr_transformer.bbox_embed.0.layers.2.bias"
    second = "ddetr_transformer.decoder.bbox_embed.0.layers.2.bias"
    both = name_store("proposer", [second, first])
    assert list(both.used) == [first]
    assert both.unused == {second: "a second name of the same tensor"}
    alone = name_store("proposer", [second])
    assert alone.used == {second: "proposer.detr.bbox_embed.0.layers.2.bias"}


def test_names_that_only_begin_alike_stay_apart() -> None:
    naming = name_store("main", ["model.image_mm_projector.0.bias", "model.norm_extra.weight"])
    assert list(naming.used.values()) == ["video_llm.image_mm_projector.0.bias"]
    assert naming.unknown == ("model.norm_extra.weight",)


def test_a_training_checkpoint_is_told_by_its_lora() -> None:
    assert is_unmerged(["base_model.model.lm_head.weight"])
    assert is_unmerged(["model.layers.0.self_attn.qkv_proj.lora_A.default.weight"])
    assert not is_unmerged(["model.layers.0.self_attn.qkv_proj.weight"])


def test_no_store_has_what_is_not_of_the_model() -> None:
    with pytest.raises(KeyError):
        released_name("video_llm.encoder.stem.weight")
