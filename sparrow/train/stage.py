"""A training stage as data: what is trained, from which earlier stages, for how long, on what.

A YAML file in configs/ is one complete stage; a key that no field knows is an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from sparrow.errors import SparrowError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Stage:
    """One run of `sparrow train`."""

    name: str
    """Folder name below the runs folder."""
    task: Literal["tracker", "proposals", "objects", "language", "prompting", "windows"]
    """The module of sparrow.train that makes batches and losses."""
    steps: int
    """Optimiser steps in all."""
    stop_after: int | None = None
    """Steps after which the run ends although its schedule was laid out for `steps`; None: never."""
    starts_from: tuple[str, ...] = ()
    """Earlier stages whose best weights are loaded first, in this order."""
    image_size: int | None = None
    """Side of the PixelDecoder's input in this stage, pixels; None: the model's own."""
    learning_rate: float = 1e-3
    """Peak of AdamW, reached after `warmup`, then cosine to 2 % at the last step."""
    muon_rate: float = 0.0
    """Peak of Muon for hidden matrices; 0 leaves them to AdamW."""
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: int = 100
    """Steps."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    validate_every: int = 250
    """Steps between validations; the state for resuming is saved as often."""
    log_every: int = 25
    seed: int = 0
    """Of the first weights and of all chance in training; two seeds never share a batch below 10 million steps."""
    workers: int = 1
    """Processes that draw batches ahead of training."""
    threads: int = 1
    """CPU threads of the training process."""
    mixed_precision: Literal["no", "bf16"] = "no"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """For the task, see its settings class."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.warmup < 0 or self.validate_every < 1:
            raise SparrowError(
                f"stage {self.name}: expected steps >= 1, warmup >= 0 and validate_every >= 1"
            )

    @classmethod
    def read(cls, path: Path) -> Stage:
        """Read a stage from YAML.

        Raises:
            SparrowError: no such file, no mapping, a missing field or an unknown key.
        """
        try:
            content = yaml.safe_load(path.read_text())
        except OSError as error:
            raise SparrowError(f"stage file {path}: cannot be read ({error.strerror})") from error
        except yaml.YAMLError as error:
            raise SparrowError(f"stage file {path}: not valid YAML ({error})") from error
        return parse(cls, content, f"stage file {path}")


def parse(cls: type[Settings], content: object, where: str) -> Settings:
    """Build a dataclass from a mapping, refusing unknown and missing keys by name.

    Raises:
        SparrowError: says which keys were expected.
    """
    if not isinstance(content, Mapping):
        raise SparrowError(f"{where}: expected a mapping, got {type(content).__name__}")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(content) - set(fields))
    if unknown:
        raise SparrowError(f"{where}: unknown keys {unknown}; known are {sorted(fields)}")
    needed = {
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    if needed - set(content):
        raise SparrowError(f"{where}: missing keys {sorted(needed - set(content))}")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})
