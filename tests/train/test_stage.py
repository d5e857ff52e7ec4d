"""Stages: every shipped YAML loads, unknown keys are refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sparrow.errors import SparrowError
from sparrow.train.language import LanguageSettings
from sparrow.train.stage import Stage, parse

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("mini/*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_stage_loads(path: Path) -> None:
    stage = Stage.read(path)
    assert stage.name == path.stem.split("_", 1)[-1]
    assert set(stage.starts_from) < {p.stem.split("_", 1)[-1] for p in CONFIGS.glob("mini/*.yaml")}


def test_ablations_differ_in_one_setting_and_their_cache_only() -> None:
    stages = {path.stem: Stage.read(path) for path in CONFIGS.glob("ablations/*.yaml")}
    assert set(stages) == {"tsf", "no_tsf", "one_crop"}
    full = stages["tsf"]
    assert set(full.starts_from) <= {p.stem.split("_", 1)[-1] for p in CONFIGS.glob("mini/*.yaml")}
    for name, stage in stages.items():
        assert stage.name == name
        assert replace(stage, name="", settings={}) == replace(full, name="", settings={})
        settings = parse(LanguageSettings, stage.settings, name)
        assert settings.target_features == (name != "no_tsf")
        assert settings.crops == (1 if name == "one_crop" else None)
        plain = replace(settings, target_features=True, crops=None, cache=full.settings["cache"])
        assert plain == parse(LanguageSettings, full.settings, "tsf")
        assert (settings.cache == full.settings["cache"]) == (name != "one_crop")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a mapping"),
        ("[1, 2]", "expected a mapping"),
        ("name: a\ntask: tracker", r"missing keys \['steps'\]"),
        ("name: a\ntask: tracker\nsteps: 1\nlearnin_rate: 1", r"unknown keys \['learnin_rate'\]"),
        ("name: a\ntask: tracker\nsteps: 0", "expected steps >= 1"),
        ("name: [", "not valid YAML"),
    ],
)
def test_broken_stages_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "stage.yaml"
    path.write_text(text)
    with pytest.raises(SparrowError, match=expected):
        Stage.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SparrowError, match=r"nowhere\.yaml: cannot be read"):
        Stage.read(tmp_path / "nowhere.yaml")


def test_lists_become_tuples() -> None:
    stage = parse(Stage, {"name": "a", "task": "tracker", "steps": 2, "betas": [0.8, 0.9]}, "here")
    assert stage.betas == (0.8, 0.9)
