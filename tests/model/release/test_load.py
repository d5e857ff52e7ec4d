"""Tiny releases in the official layout: every format loads to the same weights, every flaw is told."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sparrow.errors import ModelError
from sparrow.model import checkpoint
from sparrow.model.empty import build_empty
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.release.load import is_release, load_release, needs
from sparrow.model.sparrow import SparrowModel
from tests.model.release.made_release import Stores, made_stores, save_shards, tiny_sparrow

Load = Callable[..., SparrowModel]


@pytest.fixture(scope="module")
def model() -> SparrowModel:
    """A model whose weights fit into half precision."""
    made = tiny_sparrow()
    for name, value in made.state_dict().items():
        if not name.startswith("proposer."):
            value.copy_(value.half())
    return made


@pytest.fixture
def stores(model: SparrowModel) -> Stores:
    return made_stores(model)


def save_one(folder: Path, weights: Mapping[str, Tensor]) -> None:
    torch.save(dict(weights), folder / "pytorch_model.bin")


def save_old(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """As PyTorch before 1.6 did."""
    file = folder / "pytorch_model.bin"
    torch.save(dict(weights), file, _use_new_zipfile_serialization=False)


def save_safe(folder: Path, weights: Mapping[str, Tensor]) -> None:
    save_file(dict(weights), folder / "model.safetensors")


def save_safe_shards(folder: Path, weights: Mapping[str, Tensor]) -> None:
    checkpoint.write_weights(folder, weights.items(), shard_bytes=100_000)
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2


def equal(one: nn.Module, other: nn.Module) -> bool:
    """Compare all weights bit by bit, whatever their dtypes."""
    own, theirs = one.state_dict(), other.state_dict()
    assert own.keys() == theirs.keys()
    return all(torch.equal(own[name].float(), theirs[name].float()) for name in own)


@pytest.mark.parametrize("save", [save_shards, save_one, save_old, save_safe, save_safe_shards])
def test_every_format_gives_the_same_weights(
    save: Callable[[Path, Mapping[str, Tensor]], None],
    model: SparrowModel,
    stores: Stores,
    tmp_path: Path,
) -> None:
    loaded = load_release(**stores.write(tmp_path, save=save))
    assert equal(model, loaded)
    assert not loaded.training


@pytest.mark.parametrize("towers", [(), ("video_tower",), ("video_tower", "image_tower")])
def test_both_ways_of_export(
    towers: tuple[Any, ...], model: SparrowModel, stores: Stores, tmp_path: Path
) -> None:
    """What main holds is neither asked for nor downloaded; sizes come out the same."""
    places = stores.write(tmp_path, towers=towers)
    for tower in towers:
        del places[tower]
        shutil.rmtree(tmp_path / tower)
    if "image_tower" in towers:
        del stores.configs["image_tower"]
    loaded = load_release(**places)
    assert equal(model, loaded)
    assert loaded.config.llm == model.config.llm
    assert loaded.config.sam == model.config.sam
    assert loaded.config.proposer == model.config.proposer
    assert loaded.config.selector == model.config.selector


def test_given_towers_replace_those_of_main(stores: Stores, tmp_path: Path) -> None:
    places = stores.write(tmp_path, towers=("video_tower",))
    changed = {n: v + 1 for n, v in stores.weights["video_tower"].items()}
    torch.save({"model": changed}, places["video_tower"])
    loaded = load_release(**places)
    ours = loaded.video_llm.get_parameter("vision_tower.cls_token")
    torch.testing.assert_close(ours, changed["vision_encoder.cls_token"], atol=0, rtol=0)


@pytest.mark.parametrize(
    ("asked", "got"), [(None, torch.float16), (torch.bfloat16, torch.bfloat16)]
)
def test_only_the_video_llm_takes_the_dtype(
    asked: torch.dtype | None, got: torch.dtype, stores: Stores, tmp_path: Path
) -> None:
    loaded = load_release(**stores.write(tmp_path), dtype=asked)
    for name, value in loaded.state_dict().items():
        assert value.dtype == (got if name.startswith("video_llm.") else torch.float32), name


def compute(model: SparrowModel) -> list[Tensor]:
    """Run every part on fixed numbers."""
    generator = torch.Generator().manual_seed(5)
    llm, config = model.video_llm, model.config.llm
    size, clip_size = config.video.image_size, config.clip_image_size
    context = torch.randn(config.chunk, 3, clip_size, clip_size, generator=generator)
    chunks = torch.randn(config.chunk, 3, size, size, generator=generator)
    ids = torch.tensor([1, 5, -200, -200, 9, 12, config.seg_id])
    frames = np.random.default_rng(0).integers(0, 255, (2, 40, 60, 3), dtype=np.uint8)
    with torch.inference_mode():
        visual = llm.encode_video(context, chunks)
        states = llm.read(llm.splice(ids, visual).embeds[None])
        token = llm.project(states)[0, -1]
        memory = model.pixel_decoder.new_memory()
        outputs = [visual, states, llm.logits(states)]
        previous = None
        for index, frame in enumerate(frames):
            decoded = model.pixel_decoder.step(
                model.pixel_decoder.encode(frame),
                FramePrompt(token=token) if index == 0 else None,
                previous,
                memory,
                index,
                (40, 60),
            )
            previous = decoded.logits
            outputs.append(decoded.logits)
        for boxes, scores in model.propose(frames):
            outputs += [torch.from_numpy(boxes), torch.from_numpy(scores)]
    return outputs


def test_a_loaded_model_computes_the_same_bits(tmp_path: Path) -> None:
    """Tables that are not stored (rotary, positions) are there again after building on "meta"."""
    model = tiny_sparrow(seed=2)
    loaded = load_release(**made_stores(model, torch.float32).write(tmp_path))
    for ours, theirs in zip(compute(model), compute(loaded), strict=True):
        assert torch.equal(ours, theirs)


def test_tables_beyond_the_tokenizer_are_cut(
    model: SparrowModel, stores: Stores, tmp_path: Path
) -> None:
    main = stores.weights["main"]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        main[name] = torch.cat([main[name], torch.full_like(main[name][:9], torch.nan)])
    queries = "ddetr_transformer.query_position_embeddings.weight"
    proposer = stores.weights["proposer"]
    proposer[queries] = torch.cat([proposer[queries], proposer[queries][:5]])
    assert equal(model, load_release(**stores.write(tmp_path)))


def test_sampling_that_a_release_stores_is_not_taken_over(stores: Stores, tmp_path: Path) -> None:
    loaded = load_release(**stores.write(tmp_path))
    assert '"do_sample": true' in (tmp_path / "main" / "generation_config.json").read_text()
    assert not loaded.video_llm.get_submodule("lm").generation_config.do_sample
    assert loaded.config.llm.other_end_ids == (loaded.tokenizer.eos_token_id,)


def test_all_flaws_of_all_stores_are_told_at_once(stores: Stores, tmp_path: Path) -> None:
    main, proposer = stores.weights["main"], stores.weights["proposer"]
    gone = [name for name in main if name.startswith("model.layers.1.")]
    for name in gone:
        del main[name]
    del stores.weights["video_tower"]["vision_encoder.blocks.0.attn.proj.bias"]
    main["model.box_projector.weight"] = torch.ones(2)
    proposer["backbone.stem"] = torch.ones(2)
    main["model.norm.weight"] = main["model.norm.weight"][:-1]
    proposer["input_proj.0.0.bias"] = torch.ones(3)
    with pytest.raises(ModelError) as caught:
        load_release(**stores.write(tmp_path))
    told = str(caught.value)
    assert f"{len(gone) + 1} missing: main: model.layers.1.input_layernorm.weight, " in told
    assert "2 unexpected: main: model.box_projector.weight, proposer: backbone.stem" in told
    assert "2 of another shape: main: model.norm.weight (31,) for (32,)" in told
    assert "proposer: input_proj.0.0.bias (3,) for (32,)" in told
    assert len(told) < 1500


def test_a_vocabulary_that_is_too_small_is_told(stores: Stores, tmp_path: Path) -> None:
    main = stores.weights["main"]
    main["lm_head.weight"] = main["lm_head.weight"][:-1]
    with pytest.raises(ModelError, match=r"lm_head\.weight \(346, 32\) for \(347, 32\)"):
        load_release(**stores.write(tmp_path))


class Attack:
    """Writes a file when it is unpickled by something that runs code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "write", [torch.save, lambda content, file: file.write_bytes(pickle.dumps(content, 2))]
)
def test_code_in_a_pickle_is_not_run(
    write: Callable[[object, Path], None], stores: Stores, tmp_path: Path
) -> None:
    places = stores.write(tmp_path / "release")
    write({"model": {"a": torch.ones(2)}, "args": Attack(tmp_path / "ran")}, places["video_tower"])
    with pytest.raises(ModelError, match="could run code when read"):
        load_release(**places)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as PyTorch weights"),
        (b"hello world", "cannot be read as PyTorch weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    ],
)
def test_damaged_files_are_told(
    content: bytes, message: str, stores: Stores, tmp_path: Path
) -> None:
    places = stores.write(tmp_path)
    places["video_tower"].write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_release(**places)


def test_a_file_cut_short_is_told(stores: Stores, tmp_path: Path) -> None:
    places = stores.write(tmp_path)
    for file in (places["video_tower"], places["proposer"] / "model.safetensors"):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ModelError, match=f"{file.name}: cannot be read as"):
            load_release(**places)
        file.write_bytes(whole)


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], {"model": {}}, torch.ones(2)])
def test_a_pickle_without_named_tensors_is_told(
    content: object, stores: Stores, tmp_path: Path
) -> None:
    places = stores.write(tmp_path)
    torch.save(content, places["video_tower"])
    with pytest.raises(ModelError, match="expected named tensors"):
        load_release(**places)


def test_a_missing_shard_is_told(stores: Stores, tmp_path: Path) -> None:
    places = stores.write(tmp_path, save=lambda folder, w: save_shards(folder, w, 3))
    (places["main"] / "pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(ModelError, match="expected 3 weight files, found 2; without number 2"):
        load_release(**places)


def test_a_training_checkpoint_is_no_release(stores: Stores, tmp_path: Path) -> None:
    main = stores.weights["main"]
    stores.weights["main"] = {f"base_model.model.{name}": value for name, value in main.items()}
    with pytest.raises(ModelError, match="its LoRA weights are not merged"):
        load_release(**stores.write(tmp_path))


def test_a_tokenizer_without_box_tokens_is_told(stores: Stores, tmp_path: Path) -> None:
    """A VideoGLaMM checkpoint, say, which SPARROW starts from."""
    places = stores.write(tmp_path)
    file = places["main"] / "tokenizer.json"
    file.write_text(file.read_text().replace("[BOX]", "[ROX]"))
    with pytest.raises(ModelError, match=r"found no \[BOX\]"):
        load_release(**places)


def test_a_sentencepiece_tokenizer_names_what_it_needs(stores: Stores, tmp_path: Path) -> None:
    places = stores.write(tmp_path)
    (places["main"] / "tokenizer.json").rename(places["main"] / "tokenizer.model")
    with pytest.raises(ModelError, match="cannot be read"):
        load_release(**places)


def test_sizes_that_nothing_tells_must_be_said(stores: Stores, tmp_path: Path) -> None:
    del stores.configs["proposer"]["sparrow"]
    with pytest.raises(ModelError, match=r"proposer: SAM 2 of width 8 and stages \(1, 2, 2, 1\)"):
        load_release(**stores.write(tmp_path / "one"))
    stores.configs["main"]["sparrow"] = {"speed": 3}
    with pytest.raises(ModelError, match=r"Unsaid has no \['speed'\]"):
        load_release(**stores.write(tmp_path / "two"))


@pytest.mark.parametrize(
    ("store", "change", "message"),
    [
        ("main", {"rope_scaling": {"type": "longrope"}}, "without rope_scaling"),
        ("proposer", {"ddetr_cfg": {"two_stage": False}}, "two-stage"),
        ("proposer", {"ddetr_cfg": {"decoder_attention_heads": 2}}, "attention heads"),
    ],
)
def test_other_variants_are_told(
    store: Any, change: dict[str, Any], message: str, stores: Stores, tmp_path: Path
) -> None:
    stores.configs[store] |= change
    with pytest.raises(ModelError, match=message):
        load_release(**stores.write(tmp_path))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected model"),
        ({"config.json": "{"}, "expected model"),
        ({"training_args.bin": "x", "optimizer.pt.txt": "x"}, "expected model"),
    ],
)
def test_a_folder_without_weights_is_told(
    files: dict[str, str], message: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=message):
        load_release(tmp_path, proposer=tmp_path)
    with pytest.raises(ModelError, match="expected a folder, a weight file or a hub id"):
        load_release(tmp_path / "none", proposer=tmp_path)


def test_what_is_on_this_machine_needs_no_download(stores: Stores, tmp_path: Path) -> None:
    places = stores.write(tmp_path)
    needed = needs(**places, dtype=torch.float32)
    loaded = load_release(**places, dtype=torch.float32)
    assert needed.download == 0
    assert needed.memory == sum(4 * value.numel() for value in loaded.state_dict().values())
    assert needs(**places, quantise="4bit").memory < needs(**places).memory < needed.memory


def test_quantising_without_its_package_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as if it were not installed
    with pytest.raises(ModelError, match="needs the package bitsandbytes"):
        load_release(tmp_path / "none", quantise="4bit")


@pytest.mark.parametrize(("bits", "near"), [("8bit", 0.05), ("4bit", 0.4)])
def test_quantised_layers_say_nearly_the_same(
    bits: Any, near: float, stores: Stores, tmp_path: Path
) -> None:
    pytest.importorskip(
        "bitsandbytes", reason="optional; requirements-dev has it for Linux on x86-64"
    )
    places = stores.write(tmp_path)
    ids = torch.tensor([1, 5, 9, 12])
    states = []
    for quantise in (None, bits):
        loaded = load_release(**places, dtype=torch.float32, quantise=quantise)
        llm = loaded.video_llm
        with torch.inference_mode():
            states.append(llm.read(llm.splice(ids, None).embeds[None]))
    assert 0 < (states[0] - states[1]).abs().mean() < near * states[0].abs().mean()


def test_a_release_is_told_from_a_folder_of_ours(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    places = stores.write(tmp_path)
    assert is_release(places["main"])
    assert is_release(str(places["main"]))
    assert not is_release(places["proposer"])
    assert not is_release(tmp_path)
    assert not is_release(tmp_path / "none")


def test_an_empty_model_that_would_lose_a_table_is_an_error() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))
            self.register_buffer("steps", torch.arange(3), persistent=False)
            self.plain = torch.ones(2)

    with pytest.raises(RuntimeError, match="built anew: plain, steps"):
        build_empty(Counted)
