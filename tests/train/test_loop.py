"""The loop on a task of two parameters: it learns, freezes, keeps the best and resumes exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sparrow.train.loop import run
from sparrow.train.stage import Stage


class LineTask:
    """Fits y = w x to slope 3; the part named `frozen` must never move."""

    parts = ("fitted.",)

    def __init__(self, fail_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.ModuleDict(
            {"fitted": nn.Linear(1, 1, bias=False), "frozen": nn.Linear(1, 1, bias=False)}
        )
        self.drawn: list[int] = []
        self._fail_at = fail_at

    def batch(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).normal(size=(8, 1)).astype(np.float32)

    def loss(self, batch: np.ndarray, step: int) -> tuple[Tensor, dict[str, float]]:
        if step == self._fail_at:
            raise KeyboardInterrupt
        x = torch.from_numpy(batch)
        self.drawn.append(step)
        loss = (self.model["fitted"](x) - 3 * x).square().mean()
        return loss, {"step_seen": float(step)}

    def validate(self) -> dict[str, float]:
        error = abs(float(self.model["fitted"].weight.detach()) - 3)
        return {"score": -error, "error": error}


def stage(steps: int = 60) -> Stage:
    return Stage(
        name="line",
        task="tracker",
        steps=steps,
        learning_rate=0.2,
        warmup=2,
        validate_every=20,
        log_every=10,
        workers=0,
    )


def test_learns_keeps_the_best_and_freezes_the_rest(tmp_path: Path) -> None:
    task = LineTask()
    frozen = task.model["frozen"].weight.detach().clone()
    best = run(task, stage(), tmp_path)
    assert best["error"] < 0.2
    assert torch.equal(task.model["frozen"].weight, frozen)
    assert set(load_file(tmp_path / "best.safetensors")) == {"fitted.weight"}
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines if x["kind"] == "validation"] == [20, 40, 60]
    assert json.loads((tmp_path / "best.json").read_text())["error"] == pytest.approx(best["error"])


def test_resuming_equals_an_unbroken_run(tmp_path: Path) -> None:
    whole = LineTask()
    run(whole, stage(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(LineTask(fail_at=30), stage(), tmp_path / "broken")
    resumed = LineTask()
    run(resumed, stage(), tmp_path / "broken")
    assert resumed.drawn == list(range(20, 60))
    assert torch.equal(whole.model["fitted"].weight, resumed.model["fitted"].weight)
