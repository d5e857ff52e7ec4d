"""The one training loop, on accelerate: batches from worker processes, losses, validation, resuming.

A task says what a batch is and what the loss; the loop knows nothing of either.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sparrow.train.stage import Stage

logger = logging.getLogger(__name__)


class Task(Protocol):
    """What a module of sparrow.train offers to the loop."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Prefixes of the model's parameters that are trained; all others are frozen."""

    def batch(self, index: int) -> Any:
        """Draw batch number `index` as numpy arrays, in a worker process; same index, same batch."""

    def loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """Give the loss and what to log."""

    def validate(self) -> dict[str, float]:
        """Measure on the validation split; "score" (higher is better) picks the best weights."""


def run(task: Task, stage: Stage, out: Path) -> dict[str, float]:
    """Train a stage to its end, resuming from `out` where it was left off.

    Writes out/log.jsonl (losses, metrics, seconds), out/state (for resuming), out/best.safetensors
    (the trained parts only) and out/best.json.

    Returns:
        The metrics of the best weights.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(stage.threads)
    cv2.setNumThreads(stage.threads)
    accelerator = Accelerator(
        mixed_precision="no",  # one for the whole process, while each stage has its own
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    module = _Step(task, accelerator.device, stage.mixed_precision)
    optimizers = _optimizers(task, stage)
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, _schedule(stage)) for o in optimizers]
    prepared = accelerator.prepare(module, *optimizers, *schedules)
    module, rest = prepared[0], prepared[1:]
    optimizers, schedules = rest[: len(optimizers)], rest[len(optimizers) :]
    progress = _Progress(out)
    accelerator.register_for_checkpointing(progress)
    if (out / "state").exists():
        accelerator.load_state(str(out / "state"))
        logger.info("%s: resumed at step %d", stage.name, progress.step)
    trained = [p for p in task.model.parameters() if p.requires_grad]
    for batch in _batches(task, stage, progress.step, accelerator):
        module.train()
        loss, logs = module(batch, progress.step)
        accelerator.backward(loss)
        logs["norm"] = float(accelerator.clip_grad_norm_(trained, stage.clip))
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        progress.step += 1
        progress.collect({"loss": float(loss.detach()), **logs})
        if progress.step % stage.log_every == 0:
            progress.write("train")
        if progress.step % stage.validate_every == 0 or progress.step == last_step(stage):
            _checkpoint(task, progress, accelerator, out)
    return progress.best


def last_step(stage: Stage) -> int:
    """Give the number of steps after which a stage's run ends."""
    return stage.steps if stage.stop_after is None else stage.stop_after


class _Step(nn.Module):
    """Runs the task's loss as a module's forward, which is what data-parallel training wraps."""

    def __init__(self, task: Task, device: torch.device, mixed_precision: str) -> None:
        super().__init__()
        for name, parameter in task.model.named_parameters():
            parameter.requires_grad_(name.startswith(task.parts))
        self.model = task.model
        self._task = task
        self._autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=mixed_precision == "bf16"
        )

    def forward(self, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        with self._autocast:
            return self._task.loss(batch, step)


class _Progress:
    """How far a run is, what it measured, and its log file."""

    def __init__(self, out: Path) -> None:
        self.step = 0
        self.best: dict[str, float] = {"score": -math.inf}
        self._seconds = 0.0
        self._since = time.monotonic()
        self._cpu = time.process_time()
        self._sums: dict[str, list[float]] = {}
        self._log = out / "log.jsonl"

    def collect(self, logs: dict[str, float]) -> None:
        for key, value in logs.items():
            self._sums.setdefault(key, []).append(value)

    def write(self, kind: str, values: dict[str, float] | None = None) -> None:
        """Append a line: the means since the last one, or the given values."""
        if values is None:
            values = {key: sum(v) / len(v) for key, v in self._sums.items()}
            self._sums = {}
        line = {
            "kind": kind,
            "step": self.step,
            "seconds": round(self._seconds + time.monotonic() - self._since, 1),
            "cpu_seconds": round(time.process_time() - self._cpu, 1),
            **{key: round(value, 5) for key, value in values.items()},
        }
        with self._log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        logger.info("%s", line)

    def state_dict(self) -> dict[str, Any]:
        seconds = self._seconds + time.monotonic() - self._since
        return {"step": self.step, "best": self.best, "seconds": seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.best, self._seconds = state["step"], state["best"], state["seconds"]
        self._since = time.monotonic()


class _Batches(Dataset[Any]):
    """Batch numbers from `start`, offset by the stage's seed."""

    def __init__(self, task: Task, stage: Stage, start: int) -> None:
        self._task = task
        self._start = start
        self._offset = stage.seed * 10_000_000
        self._count = max(0, last_step(stage) - start)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        return self._task.batch(self._offset + self._start + index)


def _batches(task: Task, stage: Stage, start: int, accelerator: Accelerator) -> Iterator[Any]:
    """Stream the remaining batches; with several processes each draws its own."""
    loader: DataLoader[Any] = DataLoader(
        _Batches(task, stage, start),
        batch_size=None,
        collate_fn=_as_drawn,
        num_workers=stage.workers,
        prefetch_factor=4 if stage.workers else None,
        worker_init_fn=_quiet_worker,
    )
    yield from accelerator.prepare(loader)


def _as_drawn(batch: Any) -> Any:
    return batch


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _optimizers(task: Task, stage: Stage) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for hidden matrices where the stage asks for it; no decay on vectors."""
    muon: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in task.model.named_parameters():
        if not name.startswith(task.parts):
            continue
        if stage.muon_rate and parameter.ndim == 2 and "embed" not in name and "head" not in name:
            muon.append(parameter)
        else:
            (decayed if parameter.ndim > 1 else plain).append(parameter)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": stage.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=stage.learning_rate,
            betas=stage.betas,
        )
    ]
    if muon:
        optimizers.append(
            torch.optim.Muon(muon, lr=stage.muon_rate, weight_decay=stage.weight_decay)
        )
    return optimizers


def _schedule(stage: Stage) -> Any:
    def factor(step: int) -> float:
        if step < stage.warmup:
            return (step + 1) / stage.warmup
        done = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return factor


def _checkpoint(task: Task, progress: _Progress, accelerator: Accelerator, out: Path) -> None:
    """Validate, keep the best weights of the trained parts, save the state for resuming."""
    task.model.eval()
    with torch.inference_mode():
        metrics = task.validate()
    progress.write("validation", metrics)
    if accelerator.is_main_process and metrics["score"] > progress.best["score"]:
        progress.best = metrics
        state = task.model.state_dict()
        weights = {
            name: value.detach().cpu().contiguous().clone()
            for name, value in state.items()
            if name.startswith(task.parts)
        }
        save_file(weights, out / "best.safetensors.part")
        (out / "best.safetensors.part").replace(out / "best.safetensors")
        (out / "best.json").write_text(json.dumps({"step": progress.step, **metrics}, indent=1))
    accelerator.save_state(str(out / "state"))
