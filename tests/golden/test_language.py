"""The language side against the official one on the same weights: towers, merge, generation, states, loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sparrow.model.chat_format import ChatFormat
from sparrow.model.internvideo import InternVideoConfig
from sparrow.model.prefix_chat import Generated, speak
from sparrow.model.release.names import name_store
from sparrow.model.splice import IGNORED, IMAGE_ID, TSF_ID, Spliced
from sparrow.model.videoglamm import VideoGlamm, VideoGlammConfig
from tests.made_phi3 import phi3_tokenizer

CASES = ("video", "video_tsf", "image", "image_tsf")
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def config_of(golden: Any) -> VideoGlammConfig:
    llm, video, clip = (golden.config[part] for part in ("llm", "internvideo", "clip"))
    same = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
    same += ("num_attention_heads", "num_key_value_heads", "max_position_embeddings")
    same += ("rms_norm_eps", "rope_theta")
    return VideoGlammConfig(
        video=InternVideoConfig(
            width=video["embed_dim"],
            depth=video["depth"],
            heads=video["num_heads"],
            feed_forward=int(video["embed_dim"] * video["mlp_ratio"]),
            image_size=video["img_size"],
            patch_size=video["patch_size"],
            frames=video["num_frames"],
            qkv_bias=video["qkv_bias"],
            query_key_norm=video["qk_normalization"],
            image_positions=video["sep_image_video_pos_embed"],
        ),
        **{name: llm[name] for name in same},
        sliding_window=llm.get("sliding_window"),
        clip_hidden_size=clip["hidden_size"],
        clip_intermediate_size=clip["intermediate_size"],
        clip_layers=clip["num_hidden_layers"],
        clip_heads=clip["num_attention_heads"],
        clip_image_size=clip["image_size"],
        clip_patch_size=clip["patch_size"],
        clip_select_layer=llm["mm_vision_select_layer"],
        mm_projector=llm["mm_projector_type"],
        image_mm_projector=llm["image_mm_projector_type"],
        state_width=llm["out_dim"],
        frames=golden.config["frames"],
        chunk=golden.config["chunk"],
        seg_id=golden.config["seg_token_idx"],
        box_id=golden.config["box_token_idx"],
        end_id=int(golden.io["video.sequences"][0, -1]),
        other_end_ids=(),
        tsf_count=golden.config["tsf_k"],
        tsf_iterations=golden.config["tsf_iters"],
    )


@pytest.fixture(scope="module")
def golden(load_golden: Any) -> Any:
    return load_golden("language")


def build(golden: Any, window: int | None) -> VideoGlamm:
    model = VideoGlamm(replace(config_of(golden), sliding_window=window))
    naming = name_store("main", golden.weights)
    assert not naming.unknown
    model.load_state_dict(
        {
            ours.removeprefix("video_llm."): golden.weights[theirs]
            for theirs, ours in naming.used.items()
        }
    )
    return model.eval()


@pytest.fixture(scope="module")
def model(golden: Any) -> VideoGlamm:
    return build(golden, None)


def frames(small: Tensor, times: int, statistics: Any) -> Tensor:
    """Enlarge uint8 frames by whole numbers and normalise them."""
    large = small.float().repeat_interleave(times, -1).repeat_interleave(times, -2) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in statistics)
    return (large - mean) / std


@pytest.fixture(scope="module")
def context(golden: Any) -> Tensor:
    return frames(golden.io["small_enc"], 12, CLIP)


@pytest.fixture(scope="module")
def chunks(golden: Any) -> Tensor:
    return frames(golden.io["small_enc"], 8, IMAGENET)


@pytest.fixture(scope="module")
def crops(golden: Any) -> Tensor:
    return frames(golden.io["small_tsf"], 12, CLIP)


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@torch.no_grad()
def test_towers(model: VideoGlamm, golden: Any, context: Tensor, chunks: Tensor) -> None:
    io = golden.io
    assert_close(model.context_features(context)[:, ::37], io["clip.features_sub"])
    clips = model.clip_features(chunks).unflatten(0, (-1, golden.config["chunk"])).flatten(1, 2)
    assert_close(clips[:, ::37], io["internvideo.chunk_features_sub"])
    alone = model.vision_tower(chunks[:1, None])[0]  # row 0 of the recorded ones is the class token
    assert_close(alone[36::37], io["internvideo.single_frame_sub"][1:])


@torch.no_grad()
def test_visual_tokens(model: VideoGlamm, golden: Any, context: Tensor, chunks: Tensor) -> None:
    io = golden.io
    merged = model.encode_video(context, chunks)
    assert list(merged.shape) == io["merged_shape"][1:].tolist()
    assert_close(merged.mean(-1), io["merged_mean"])
    assert_close(merged[::13], io["merged_sub"])
    assert_close(model.context_features(context[:1])[0, ::37], io["image.features_sub"])
    assert_close(model.encode_image(context[:1])[::13], io["image.projected_sub"])


@torch.no_grad()
def test_tracked_features(model: VideoGlamm, golden: Any, crops: Tensor) -> None:
    assert_close(model.view_tokens(crops), golden.io["tsf.frame_tokens"])
    assert_close(model.tsf_tokens(crops), golden.io["tsf.selected"])


def prompt(case: str, model: VideoGlamm, golden: Any, made: dict[str, Tensor]) -> Spliced:
    ids = golden.io[f"{case}.input_ids"][0]
    visual = model.encode_image(made["context"][:1])
    if case.startswith("video"):
        visual = model.encode_video(made["context"], made["chunks"])
    tsf = model.tsf_tokens(made["crops"]) if case.endswith("tsf") else None
    return model.splice(ids, visual, tsf)


@pytest.fixture(scope="module")
def made(context: Tensor, chunks: Tensor, crops: Tensor) -> dict[str, Tensor]:
    return {"context": context, "chunks": chunks, "crops": crops}


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_splices(case: str, model: VideoGlamm, golden: Any, made: dict[str, Tensor]) -> None:
    io, wanted = golden.io, golden.config["cases"][case]
    spliced = prompt(case, model, golden, made)
    assert len(spliced.embeds) == wanted["embeds_len"]
    assert len(spliced.embeds) - len(spliced.ids) == wanted["added"]
    head, tail = io[f"{case}.inputs_embeds_head"], io[f"{case}.inputs_embeds_tail"]
    assert_close(spliced.embeds[: len(head)], head)
    assert_close(spliced.embeds[-len(tail) :], tail)
    assert_close(spliced.embeds[::13], io[f"{case}.inputs_embeds_sub"])


def answer(model: VideoGlamm, spliced: Spliced) -> Generated:
    """Generate to the end."""
    words = speak(model, spliced.embeds, model.new_cache(), max_tokens=32)
    while True:
        try:
            next(words)
        except StopIteration as stop:
            generated: Generated = stop.value
            return generated


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_generates(case: str, model: VideoGlamm, golden: Any, made: dict[str, Tensor]) -> None:
    io, wanted = golden.io, golden.config["cases"][case]["generated"]
    spliced = prompt(case, model, golden, made)
    generated = answer(model, spliced)
    assert generated.complete
    assert [*generated.ids, model.config.end_id] == wanted
    assert [*spliced.ids.tolist(), *wanted] == io[f"{case}.sequences"][0].tolist()
    assert_close(generated.box_states, io[f"{case}.box_embeddings"])
    assert_close(generated.seg_states, io[f"{case}.seg_embeddings"])

    said = model.lm.model.embed_tokens(torch.tensor(wanted[:-1]))
    inputs = torch.cat([spliced.embeds, said])[None]
    tail = io[f"{case}.last_hidden_tail"]
    for states in (model.read(inputs)[0], word_by_word(model, inputs, len(said))):
        assert_close(states[-len(tail) :], tail)
        assert_close(model.logits(states[-len(wanted) :]), io[f"{case}.logits"])


def word_by_word(model: VideoGlamm, inputs: Tensor, count: int) -> Tensor:
    """Read the last `count` inputs one at a time on the keys and values of those before."""
    cache = model.new_cache()
    states = [model.read(inputs[:, : inputs.shape[1] - count], cache)]
    states += [model.read(word, cache) for word in inputs[:, -count:].split(1, 1)]
    return torch.cat(states, 1)[0]


@pytest.mark.parametrize(("case", "window"), [("sliding500", 500), ("full", None)])
@torch.no_grad()
def test_window(case: str, window: int | None, golden: Any, made: dict[str, Tensor]) -> None:
    """The released rule shows a position itself and `window` positions before it."""
    io, model = golden.io, build(golden, window)
    ids = io["sliding500.input_ids"][0]
    spliced = model.splice(ids, model.encode_video(made["context"], made["chunks"]))
    inputs, tail = spliced.embeds[None], io[f"{case}.last_hidden_tail"]
    cache = model.new_cache()
    half = [model.read(part, cache) for part in inputs.split(len(spliced.embeds) // 2, 1)]
    for states in (
        model.read(inputs)[0],
        model.read(inputs, model.new_cache())[0],
        word_by_word(model, inputs, len(tail)),
        torch.cat(half, 1)[0],
    ):
        assert_close(states[-len(tail) :], tail)
        if window is not None:
            theirs = io[f"{case}.logits_tail"]
            assert_close(model.logits(states[-len(theirs) :]), theirs)


def batch(model: VideoGlamm, golden: Any, made: dict[str, Tensor]) -> list[Spliced]:
    visual = model.encode_video(made["context"], made["chunks"])
    rows = golden.io["batch.input_ids"]
    pointed = (rows == TSF_ID).any(1)
    tsf = model.tsf_tokens(made["crops"])
    return [
        model.splice(row, visual, tsf if has else None)
        for row, has in zip(rows, pointed, strict=True)
    ]


@torch.no_grad()
def test_batch(model: VideoGlamm, golden: Any, made: dict[str, Tensor]) -> None:
    io = golden.io
    spliced = batch(model, golden, made)
    assert max(len(one.embeds) for one in spliced) == io["batch.embeds_len"]
    padding = (~io["batch.attention_mask"]).sum(1)
    lengths = torch.tensor([len(one.embeds) for one in spliced])
    torch.testing.assert_close(lengths - padding, io["batch.new_attention_mask_sum"])
    labels = io["batch.labels"]
    for row, (one, label) in enumerate(zip(spliced, labels, strict=True)):
        tail = io["batch.new_labels_tail"][row]
        padded = torch.full((int(io["batch.embeds_len"]),), IGNORED)
        padded[: len(one.embeds)] = one.spread(label)
        torch.testing.assert_close(padded[-len(tail) :], tail)
    for name, token in (("seg", model.config.seg_id), ("box", model.config.box_id)):
        places = [[row, p] for row, one in enumerate(spliced) for p in one.before(token).tolist()]
        assert places == io[f"batch.{name}_mask_pos"].tolist()
    reading = model.forward_text(spliced, list(labels))
    assert_close(reading.loss, io["batch.loss"][0])


@torch.no_grad()
def test_batch_without_padding_is_the_same(
    model: VideoGlamm, golden: Any, made: dict[str, Tensor]
) -> None:
    io = golden.io
    visual = model.encode_video(made["context"], made["chunks"])
    tsf = model.tsf_tokens(made["crops"])
    keep = io["batch.attention_mask"]
    rows = [row[own] for row, own in zip(io["batch.input_ids"], keep, strict=True)]
    labels = [row[own] for row, own in zip(io["batch.labels"], keep, strict=True)]
    spliced = [model.splice(row, visual, tsf) for row in rows]
    reading = model.forward_text(spliced, labels)
    assert_close(reading.loss, io["batch.loss"][0])


def test_prompts(load_golden: Any) -> None:
    """Strings of a question and of whole conversations, for a video and an image, with and without views."""
    prompts = load_golden("preprocess").config["prompts"]
    for name, recorded in prompts.items():
        images = 1 if "image" in name else 16
        chat = ChatFormat(phi3_tokenizer(), images)
        pointed = name.endswith("tsf1")
        text = recorded if isinstance(recorded, str) else recorded["prompt"]
        turns = turns_of(text)
        assert chat.conversation(turns, pointed=pointed) == text
        ids = chat.encode(text)
        assert (ids.count(IMAGE_ID), ids.count(TSF_ID)) == (images, images if pointed else 0)
        if not isinstance(recorded, str):
            assert (images, ids.count(TSF_ID)) == (recorded["n_image"], recorded["n_tsf"])
            question = turns[0][0]
            assert chat.opening() + chat.first_turn(question, pointed=pointed) == ids


def turns_of(text: str) -> list[tuple[str, str | None]]:
    """Read questions and answers out of a prompt, without what stands for video and views."""
    turns: list[tuple[str, str | None]] = []
    for turn in text.split("<|user|>\n")[1:]:
        question, said = turn.split("<|end|>\n<|assistant|>\n")
        question = question.split("<image>")[-1].split("<tsf>")[0].strip("\n")
        turns.append((question, said.split("<|end|>")[0] or None))
    return turns
