"""Stages in a row: a seed fixes what they learn, finished ones are passed over, and together they make a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from sparrow import cli
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


@pytest.mark.parametrize("precisions", [("no", "bf16"), ("bf16", "no")])
def test_each_stage_of_a_row_has_its_own_precision(
    tmp_path: Path, precisions: tuple[str, str]
) -> None:
    paths = [write(tmp_path, name, mixed_precision=name, steps=1) for name in precisions]
    assert list(train(paths, tmp_path / "runs")) == list(precisions)
    whole, half = (weights(tmp_path / "runs", name) for name in ("no", "bf16"))
    assert all(bool(value.isfinite().all()) for value in half.values())
    assert not all(torch.equal(value, half[key]) for key, value in whole.items())
    train([write(tmp_path, "no", steps=1)], tmp_path / "alone")
    alone = weights(tmp_path / "alone", "no")
    assert all(torch.equal(value, alone[key]) for key, value in whole.items())


def test_a_stage_that_starts_from_one_that_has_not_run_says_which(tmp_path: Path) -> None:
    path = write(tmp_path, "more", starts_from=["objects"])
    with pytest.raises(SparrowError, match=r"stage objects: no weights at .*; train it first"):
        train([path], tmp_path / "runs")


SMALL: dict[str, dict[str, object]] = {
    "tracker": {"phases": [[1.0, 1, 2]], "validation_scenes": 1},
    "proposals": {"images": 2, "window": 4, "validation_scenes": 1},
    "objects": {**OBJECTS, "pasted": 0},
    "language": {"clips": 6, "validation_clips": 8, "dialogues_per_step": 4},
    "windows": {"phases": [[1.0, 1, 2]], "validation_batches": 1},
    "prompting": {
        "clips": 2,
        "referents": 2,
        "windows": {"phases": [[1.0, 1, 2]], "validation_batches": 1},
    },
}


def test_the_configs_of_sparrow_mini_run_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stages in one process by one command, as documented, each with a single step of little data."""
    paths = []
    for config in sorted((Path(__file__).parents[2] / "configs/mini").glob("*.yaml")):
        content = yaml.safe_load(config.read_text())
        content |= {"steps": 1, "stop_after": None, "validate_every": 1, "workers": 0}
        content["settings"] |= SMALL[content["task"]]
        paths.append(tmp_path / config.name)
        paths[-1].write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)  # caches lie beside the runs
    command = ["train", *map(str, paths), "--runs", "runs", "--out", "model"]
    assert cli.main(command) == 0
    stages = {yaml.safe_load(path.read_text())["name"] for path in paths}
    assert {path.parent.name for path in Path("runs").glob("*/best.json")} == stages
    SparrowModel.from_pretrained(Path("model"))
