"""Outcomes of finished worlds outlive a killed run, unchanged, and never mix with those of another."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sparrow.bench.kept import Kept
from sparrow.bench.outcome import World
from sparrow.bench.worlds import Order
from sparrow.errors import SparrowError
from sparrow.model.config import GroundingConfig
from tests.bench.made_worlds import world

ORDER = Order("some/model")


def read(path: Path) -> list[World]:
    with Kept(path, ORDER) as kept:
        return list(kept.worlds.values())


def filled(path: Path, *seeds: int) -> None:
    with Kept(path, ORDER) as kept:
        for seed in seeds:
            kept.add(world(seed))


@pytest.mark.parametrize("seed", range(10))
def test_a_world_survives_json_bit_for_bit(seed: int) -> None:
    text = json.dumps(dataclasses.asdict(world(seed)))
    assert World.from_json(json.loads(text)) == world(seed)


def test_worlds_are_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.part.jsonl"
    filled(path, 3, 1)
    with Kept(path, ORDER) as kept:
        assert kept.worlds == {3: world(3), 1: world(1)}
        kept.add(world(2))
    assert read(path) == [world(3), world(1), world(2)]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    filled(path, 1, 2)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    with Kept(path, ORDER) as kept:
        assert kept.worlds == {1: world(1)}
        kept.add(world(2))
    assert path.read_bytes() == content


def test_a_first_line_that_was_cut_off_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"order": {"mod')
    filled(path, 1)
    assert read(path) == [world(1)]


@pytest.mark.parametrize(
    "other",
    [
        Order("another/model"),
        Order("some/model", "easy"),
        Order("some/model", pictures="held_out"),
        Order("some/model", grounding=GroundingConfig(seg=False)),
    ],
)
def test_another_run_is_refused_and_left_alone(tmp_path: Path, other: Order) -> None:
    path = tmp_path / "a.jsonl"
    filled(path, 1)
    content = path.read_bytes()
    with pytest.raises(SparrowError, match=r"same model.*remove it or choose another"):
        Kept(path, other)
    assert path.read_bytes() == content


def test_other_weights_in_the_same_folder_are_another_run(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"1")
    path, order = tmp_path / "a.jsonl", Order(str(model))
    with Kept(path, order) as kept:
        kept.add(world(1))
    (model / "README.md").write_text("words change nothing")
    with Kept(path, order) as kept:
        assert list(kept.worlds) == [1]
    (model / "model.safetensors").write_bytes(b"12")
    with pytest.raises(SparrowError, match="another run"):
        Kept(path, order)


@pytest.mark.parametrize("line", ["no json", "{}", '{"seed": 1}', "[]"])
def test_a_broken_line_inside_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    filled(path, 1)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(SparrowError, match="not a world's outcomes"):
        Kept(path, ORDER)
