"""Whole runs over real clips with random weights: alone, in several processes, and after being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children
from pathlib import Path

import psutil
import pytest

from sparrow.bench.kept import Kept
from sparrow.bench.outcome import World
from sparrow.bench.running import run
from sparrow.bench.worlds import Order
from sparrow.cli import main
from sparrow.errors import ModelError, SparrowError
from sparrow.types import Progress
from tests.bench.made_worlds import world
from tests.made_models import save_random_model

SEEDS = range(8_100_000, 8_100_003)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    return Order(str(save_random_model(tmp_path_factory.mktemp("random-model"))), "easy")


def read(path: Path, order: Order) -> list[World]:
    with Kept(path, order) as kept:
        return list(kept.worlds.values())


def command(order: Order, out: Path, *rest: str) -> list[str]:
    seeds = f"{SEEDS.start}:{SEEDS.stop}"
    model = ["--difficulty", order.difficulty, "--model", order.model]
    return ["bench", "world", "--seeds", seeds, "--json", str(out), *model, *rest]


def test_a_killed_run_leaves_no_process_and_goes_on_to_the_same_numbers(
    order: Order, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, part = tmp_path / "world.json", tmp_path / "world.json.part.jsonl"
    arguments = [sys.executable, "-m", "sparrow", *command(order, out, "--workers", "2")]
    process = subprocess.Popen(arguments, cwd=ROOT)
    try:
        while not part.exists() or part.read_bytes().count(b"\n") < 2:  # its head and one world
            assert process.poll() is None
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
    assert children
    _, alive = psutil.wait_procs(children, timeout=120)
    assert not alive
    before = part.read_bytes()
    assert main(command(order, out)) == 0  # goes on alone
    after = (tmp_path / "world.worlds.jsonl").read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    assert not part.exists()
    worlds = read(tmp_path / "world.worlds.jsonl", order)
    assert sorted(one.seed for one in worlds) == list(SEEDS)
    seed = worlds[0].seed  # measured by one of two processes, and now alone
    assert run(order, range(seed, seed + 1), tmp_path / "fresh.jsonl") == worlds[:1]
    report = json.loads(out.read_text())
    assert (report["seeds"], report["difficulty"]) == ([SEEDS.start, SEEDS.stop], "easy")
    assert (report["model"], report["pictures"]) == ("sparrow-mini", "train")
    questions = sum(scores["questions"] for scores in report["families"].values())
    assert questions == report["overall"]["questions"] >= len(SEEDS)
    assert report["pointing"]["clips"] == len(SEEDS)
    assert report["proposals"]["things"] > 8
    assert "| **all** |" in capsys.readouterr().out


def test_a_finished_run_needs_no_model(tmp_path: Path) -> None:
    order, path = Order("no/model"), tmp_path / "a.jsonl"
    with Kept(path, order) as kept:
        for seed in (7, 5, 6):
            kept.add(world(seed))
    told: list[Progress] = []
    assert run(order, range(5, 7), path, progress=told.append) == [world(5), world(6)]
    assert run(order, range(5, 8), path, workers=3)[-1] == world(7)
    assert told == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_missing_model_is_named(tmp_path: Path, workers: int) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelError, match=r"expected a config\.json"):
        run(Order(str(empty)), range(1), tmp_path / "a.jsonl", workers=workers)
    assert read(tmp_path / "a.jsonl", Order(str(empty))) == []
    assert not active_children()


def test_a_worker_that_is_killed_ends_the_run_with_a_word(order: Order, tmp_path: Path) -> None:
    def kill() -> None:
        while not active_children():
            time.sleep(0.01)
        pid = active_children()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(SparrowError, match=r"one ended with -9.*run it again"):
        run(order, SEEDS, tmp_path / "a.jsonl", workers=2)
    killer.join()
    assert not active_children()


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (["--runs", "."], "--runs goes with --plots"),
        (["--plots", "--runs", "no/such/folder"], "--runs goes with --plots"),
    ],
)
def test_wrong_use_is_told_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rest: list[str], expected: str
) -> None:
    assert main(command(Order("no/model"), tmp_path / "world.json", *rest)) == 1
    assert expected in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rest", [["--workers", "0"], ["--workers", "-1"], ["--pictures", "mine"]])
def test_wrong_arguments_are_refused(tmp_path: Path, rest: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command(Order("no/model"), tmp_path / "world.json", *rest))


def test_held_out_pictures_and_plots(order: Order, tmp_path: Path) -> None:
    out = tmp_path / "world.json"
    own = [*command(order, out, "--pictures", "held-out", "--plots")]
    own[own.index("--seeds") + 1] = f"{SEEDS.start}:{SEEDS.start + 1}"
    assert main(own) == 0
    assert json.loads(out.read_text())["pictures"] == "held_out"
    text = out.with_suffix(".md").read_text()
    assert "held-out pictures" in text
    for name in ("families", "reliability"):
        assert (tmp_path / f"world.{name}.png").stat().st_size > 5000
        assert f"](world.{name}.png)" in text
