"""`sparrow train`: runs stages one after the other and assembles their best weights into a model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from sparrow.errors import SparrowError
from sparrow.model.config import SparrowConfig
from sparrow.model.sparrow import SparrowModel
from sparrow.train.language import Language
from sparrow.train.loop import Task, run
from sparrow.train.objects import Objects
from sparrow.train.prompting import Prompting
from sparrow.train.proposals import ProposalsTask
from sparrow.train.sizes import mini_config, mini_tokenizer
from sparrow.train.stage import Stage
from sparrow.train.tracker import Tracker
from sparrow.train.windows import Windows

logger = logging.getLogger(__name__)


def train(paths: Sequence[Path], runs: Path) -> dict[str, dict[str, float]]:
    """Run stages in the given order, each resumed where it stopped, finished ones passed over.

    Returns:
        Per stage the validation metrics of its best weights.
    """
    stages = [Stage.read(path) for path in paths]
    return {stage.name: train_stage(stage, runs) for stage in stages}


def train_stage(stage: Stage, runs: Path) -> dict[str, float]:
    """Run one stage, resumed where it stopped; gives the validation metrics of its best weights.

    The stage's seed fixes its first weights, its batches and all other chance.
    """
    logger.info("stage %s", stage.name)
    torch.manual_seed(stage.seed)
    model = SparrowModel(_config(stage), mini_tokenizer())
    for earlier in stage.starts_from:
        load_parts(model, runs / earlier)
    return run(_task(model, stage), stage, runs / stage.name)


def assemble(paths: Sequence[Path], runs: Path, out: Path) -> SparrowModel:
    """Put the best weights of all stages, later ones over earlier ones, into one model folder, in fp16."""
    model = SparrowModel(mini_config(), mini_tokenizer())
    for stage in (Stage.read(path) for path in paths):
        load_parts(model, runs / stage.name)
    model.save_pretrained(out, dtype=torch.float16)
    return model


def load_parts(model: SparrowModel, run_folder: Path) -> None:
    """Load a stage's best weights into its parts of the model.

    Raises:
        SparrowError: the stage has not run, or its weights do not fit the model.
    """
    path = run_folder / "best.safetensors"
    if not path.exists():
        raise SparrowError(f"stage {run_folder.name}: no weights at {path}; train it first")
    _, unexpected = model.load_state_dict(load_file(path), strict=False)
    if unexpected:
        raise SparrowError(f"{path}: weights that the model does not have: {unexpected[:8]}")


def _config(stage: Stage) -> SparrowConfig:
    config = mini_config()
    if stage.image_size is None:
        return config
    return replace(config, sam=replace(config.sam, image_size=stage.image_size))


def _task(model: SparrowModel, stage: Stage) -> Task:
    tasks: dict[str, Callable[[SparrowModel, Stage], Task]] = {
        "tracker": Tracker,
        "proposals": ProposalsTask,
        "objects": Objects,
        "language": Language,
        "prompting": Prompting,
        "windows": Windows,
    }
    return tasks[stage.task](model, stage)
