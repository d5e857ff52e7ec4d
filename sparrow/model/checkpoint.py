"""A model folder: config.json, model.safetensors, tokenizer and model card, local or from the hub.

Knows folders and files, and which errors they can have; the model itself is sparrow.py's.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from sparrow.errors import ModelError

Config = TypeVar("Config")
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def find(name: str | Path) -> Path:
    """Give the local folder of a model: a folder as it is, a hub id after downloading it.

    Raises:
        ModelError: neither a model folder nor a hub id that can be reached.
    """
    folder = Path(name)
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise ModelError(f"model folder {folder}: expected a {CONFIG} in it, found none")
        return folder
    try:
        return Path(
            snapshot_download(str(name), allow_patterns=["*.json", "*.safetensors", "*.md"])
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"model {name}: expected a folder with a {CONFIG} or a hub id that can be reached "
            f"({type(error).__name__}); check the name and the connection"
        ) from error


def write(
    folder: Path, config: object, model: nn.Module, *, dtype: torch.dtype | None = None
) -> None:
    """Write config and weights, each whole or not at all.

    Args:
        folder: made if it does not exist.
        config: a dataclass.
        model: its state_dict is stored.
        dtype: of stored floating-point weights; None keeps each as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: value.detach().to(dtype if dtype and value.is_floating_point() else value.dtype).cpu()
        for name, value in model.state_dict().items()
    }
    part = folder / (WEIGHTS + ".part")
    save_file({name: value.contiguous().clone() for name, value in weights.items()}, part)
    part.replace(folder / WEIGHTS)
    part = folder / (CONFIG + ".part")
    part.write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")  # type: ignore[call-overload]
    part.replace(folder / CONFIG)


def read_config(folder: Path, cls: type[Config]) -> Config:
    """Read config.json into a dataclass.

    Raises:
        ModelError: unreadable, unknown keys or values that do not fit.
    """
    path = folder / CONFIG
    try:
        return from_dict(cls, json.loads(path.read_text()))
    except (OSError, json.JSONDecodeError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: not a configuration of this model ({error})") from error


def load_weights(folder: Path, model: nn.Module) -> None:
    """Load model.safetensors strictly, in the model's own dtype.

    Raises:
        ModelError: lists every missing, unexpected and mis-shaped weight (the first of each).
    """
    path = folder / WEIGHTS
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({error})") from error
    own = model.state_dict()
    problems = {
        "missing": sorted(set(own) - set(stored)),
        "unexpected": sorted(set(stored) - set(own)),
        "of another shape": [
            f"{name} {tuple(stored[name].shape)} for {tuple(own[name].shape)}"
            for name in sorted(set(own) & set(stored))
            if own[name].shape != stored[name].shape
        ],
    }
    if any(problems.values()):
        told = "; ".join(f"{len(v)} {k}: {', '.join(v[:5])}" for k, v in problems.items() if v)
        raise ModelError(f"{path}: the weights do not fit the model: {told}")
    model.load_state_dict(stored)


def from_dict(cls: type[Config], content: dict[str, Any]) -> Config:
    """Build a dataclass from JSON: nested dataclasses and tuples by the fields' types.

    Raises:
        TypeError: an unknown or missing key.
    """
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(content) - set(hints))
    if unknown:
        raise TypeError(f"{cls.__name__} has no {unknown}")
    return cls(**{name: _value(hints[name], value) for name, value in content.items()})


def _value(hint: Any, value: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None:
            return None
        hint = _member([h for h in typing.get_args(hint) if h is not type(None)], value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    if isinstance(value, list):
        return tuple(tuple(v) if isinstance(v, list) else v for v in value)
    return value


def _member(hints: list[Any], value: Any) -> Any:
    """Choose the type of a union: of several dataclasses the one whose default `kind` is stored."""
    if len(hints) == 1 or not isinstance(value, dict):
        return hints[0]
    kinds = {hint.kind: hint for hint in hints}
    kind = value.get("kind", hints[0].kind)
    if kind not in kinds:
        raise TypeError(f"kind: expected one of {sorted(kinds)}, got {kind!r}")
    return kinds[kind]
