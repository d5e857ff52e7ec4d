"""Stages in a row: a seed fixes what they learn, finished ones are passed over, and together they make a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from sparrow.errors import SparrowError
from sparrow.model.sparrow import SparrowModel
from sparrow.train.recipe import assemble, train
from sparrow.train.sizes import mini_config, mini_tokenizer

OBJECTS = {"clips": 2, "fresh": 2, "window": 4, "validation_clips": 2, "size_hw": [96, 128]}


def write(folder: Path, name: str, **fields: object) -> Path:
    content = {"name": name, "task": "objects", "steps": 2, "workers": 0, "settings": OBJECTS}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**content, **fields}))
    return path


def weights(runs: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(runs / name / "best.safetensors")


def test_a_seed_fixes_what_a_stage_learns(tmp_path: Path) -> None:
    path = write(tmp_path, "objects")
    first = train([path], tmp_path / "once")
    torch.rand(7)  # what a process did before is of no account
    assert train([path], tmp_path / "again") == first
    once, again = weights(tmp_path / "once", "objects"), weights(tmp_path / "again", "objects")
    assert once.keys() == again.keys()
    assert all(torch.equal(value, again[key]) for key, value in once.items())
    train([write(tmp_path, "objects", seed=1)], tmp_path / "other")
    other = weights(tmp_path / "other", "objects")
    assert not all(torch.equal(value, other[key]) for key, value in once.items())


def test_a_finished_stage_is_passed_over_and_the_next_starts_from_it(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = write(tmp_path, "objects")
    train([first], runs)
    log = (runs / "objects" / "log.jsonl").read_text()
    second = write(tmp_path, "more", starts_from=["objects"], steps=1, learning_rate=0.0)
    metrics = train([first, second], runs)
    assert list(metrics) == ["objects", "more"]
    assert (runs / "objects" / "log.jsonl").read_text() == log
    fitted = {key for key, _ in SparrowModel(mini_config(), mini_tokenizer()).named_parameters()}
    before, after = weights(runs, "objects"), weights(runs, "more")
    kept = [key for key in before if key in fitted]
    assert len(kept) > 10
    assert all(torch.equal(before[key], after[key]) for key in kept)
    assemble([first, second], runs, tmp_path / "model")
    whole = SparrowModel.from_pretrained(tmp_path / "model").state_dict()
    for key in kept:
        assert torch.allclose(whole[key].float(), after[key], atol=1e-3, rtol=1e-3)


def test_a_stage_that_starts_from_one_that_has_not_run_says_which(tmp_path: Path) -> None:
    path = write(tmp_path, "more", starts_from=["objects"])
    with pytest.raises(SparrowError, match=r"stage objects: no weights at .*; train it first"):
        train([path], tmp_path / "runs")
