"""The whole model, untrained: it saves, loads and computes the same; broken folders are explained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sparrow.errors import ModelError
from sparrow.model.generation import Conversation
from sparrow.model.mini_dialogue import MiniDialogue
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.sparrow import SparrowModel
from sparrow.train.sizes import mini_config, mini_tokenizer


@pytest.fixture(scope="module")
def model() -> SparrowModel:
    torch.manual_seed(3)
    return SparrowModel(mini_config(), mini_tokenizer()).eval()


@pytest.fixture(scope="module")
def folder(model: SparrowModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    return folder


def test_loading_gives_the_same_bits(model: SparrowModel, folder: Path) -> None:
    loaded = SparrowModel.from_pretrained(folder)
    assert loaded.config == model.config
    own, theirs = model.state_dict(), loaded.state_dict()
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[name], theirs[name]) for name in own)


def test_a_half_precision_folder_is_stable(model: SparrowModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "first", dtype=torch.float16)
    SparrowModel.from_pretrained(tmp_path / "first").save_pretrained(
        tmp_path / "second", dtype=torch.float16
    )
    first, second = (tmp_path / name / "model.safetensors" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 25e6


def test_a_loaded_model_sees_tracks_and_speaks_alike(model: SparrowModel, folder: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (8, 60, 80, 3), dtype=np.uint8)
    boxes = np.tile(np.array([0.2, 0.2, 0.6, 0.7], np.float32), (2, 8, 1))
    results = []
    with torch.inference_mode():
        for each in (model, SparrowModel.from_pretrained(folder)):
            proposals = each.propose(frames)
            conversation = Conversation(each.video_llm, each.video_llm.see_tracks(frames, boxes))
            words = list(conversation.ask("segment the fox", max_tokens=5))
            prompt = FramePrompt(box=np.array([5.0, 5.0, 40.0, 40.0]))
            decoder = each.pixel_decoder
            memory, previous, logits = decoder.new_memory(), None, []
            for index in range(3):
                features = decoder.encode(frames[index])
                now = prompt if index == 0 else None
                decoded = decoder.step(features, now, previous, memory, index, (60, 80))
                previous = decoded.gated
                logits.append(decoded.logits.numpy())
            results.append((proposals, words, np.concatenate(logits)))
    (found_a, words_a, logits_a), (found_b, words_b, logits_b) = results
    assert words_a == words_b
    assert np.array_equal(logits_a, logits_b)
    for (boxes_a, scores_a), (boxes_b, scores_b) in zip(found_a, found_b, strict=True):
        assert np.array_equal(boxes_a, boxes_b)
        assert np.array_equal(scores_a, scores_b)


def test_a_choice_among_nothing_is_nothing(model: SparrowModel) -> None:
    frames = np.zeros((8, 60, 80, 3), np.uint8)
    seen = model.video_llm.see_tracks(frames, np.zeros((0, 8, 4), np.float32))
    dialogue = MiniDialogue(model.video_llm, model.selector, frames, seen)
    assert dialogue.choose(torch.zeros(model.config.llm.state_width)) is None


def test_not_a_model_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a config\.json in it"):
        SparrowModel.from_pretrained(tmp_path)


def test_a_config_with_an_unknown_key(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["sam"]["speed"] = 3
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"SamConfig has no \['speed'\]"):
        SparrowModel.from_pretrained(tmp_path)


def test_every_kind_of_unfitting_weight_is_named(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    missing = next(iter(weights))
    weights.pop(missing)
    other = "pixel_decoder.sam.no_mem_embed"
    weights[other] = torch.zeros(2)
    weights["stranger"] = torch.zeros(1)
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelError) as caught:
        SparrowModel.from_pretrained(tmp_path)
    for part in (f"1 missing: {missing}", "1 unexpected: stranger", f"1 of another shape: {other}"):
        assert part in str(caught.value)


def test_a_truncated_weight_file(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        SparrowModel.from_pretrained(tmp_path)
