"""A model folder: config.json, model.safetensors, tokenizer and model card, local or from the hub.

Large weights lie in several files, model-00001-of-00003.safetensors and so on, and an index of them.
Knows folders and files, and which errors they can have; the model itself is sparrow.py's.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor, nn

from sparrow.errors import ModelError
from sparrow.model.weight_files import Stub, read_json, read_stubs, read_tensors

Config = TypeVar("Config")
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_SHARD = 5 * 10**9  # bytes of a weight file
_TOLD = 5  # names of each kind of problem


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
    weights = (
        (name, value.detach().to(dtype if dtype and value.is_floating_point() else value.dtype))
        for name, value in model.state_dict().items()
    )
    write_weights(folder, weights)
    write_config(folder, config)


def write_config(folder: Path, config: object) -> None:
    """Write a configuration, a dataclass, whole or not at all."""
    part = folder / (CONFIG + ".part")
    part.write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")  # type: ignore[call-overload]
    part.replace(folder / CONFIG)


def write_weights(
    folder: Path, weights: Iterable[tuple[str, Tensor]], *, shard_bytes: int = _SHARD
) -> None:
    """Write weights to as few files as `shard_bytes` allows; no more than one file's are held at a time.

    Args:
        folder: made if it does not exist; its old weights go once the new ones are complete.
        weights: names and tensors.
        shard_bytes: what a file may have, unless a single tensor has more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Path] = []
    names: list[list[str]] = []
    total, held, shard = 0, 0, dict[str, Tensor]()

    def save() -> None:
        parts.append(folder / f"{WEIGHTS}.{len(parts)}.part")
        save_file(shard, parts[-1])
        names.append(list(shard))
        shard.clear()

    for name, value in weights:
        size = value.numel() * value.element_size()
        if shard and held + size > shard_bytes:
            save()
            held = 0
        shard[name] = value.cpu().contiguous().clone()
        held, total = held + size, total + size
    save()
    _replace_weights(folder, parts, names, total)


def _replace_weights(
    folder: Path, parts: Sequence[Path], names: Sequence[Sequence[str]], total: int
) -> None:
    """Give complete weight files their names, and remove what lay there before."""
    count = len(parts)
    files = [WEIGHTS] if count == 1 else [_shard_name(i, count) for i in range(count)]
    for part, file in zip(parts, files, strict=True):
        part.replace(folder / file)
    if count > 1:
        places = {name: file for file, held in zip(files, names, strict=True) for name in held}
        index = {"metadata": {"total_size": total}, "weight_map": places}
        part = folder / (INDEX + ".part")
        part.write_text(json.dumps(index, indent=1) + "\n")
        part.replace(folder / INDEX)
    else:
        (folder / INDEX).unlink(missing_ok=True)
    for old in {*folder.glob("model-*-of-*.safetensors"), folder / WEIGHTS}:
        if old.name not in files:
            old.unlink(missing_ok=True)


def _shard_name(index: int, count: int) -> str:
    return f"model-{index + 1:05}-of-{count:05}.safetensors"


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
    """Load a model's stored weights strictly.

    They take the dtype of the model's own, or keep theirs where the model was built empty.

    Raises:
        ModelError: lists every missing, unexpected and mis-shaped weight (the first of each).
    """
    files = _weight_files(folder)
    stored: dict[str, Stub] = {}
    for file in files:
        stored.update(read_stubs(file))
    own = model.state_dict()
    problems = {
        "missing": sorted(set(own) - set(stored)),
        "unexpected": sorted(set(stored) - set(own)),
        "of another shape": [
            f"{name} {stored[name].shape} for {tuple(own[name].shape)}"
            for name in sorted(set(own) & set(stored))
            if own[name].shape != stored[name].shape
        ],
    }
    where = folder / (WEIGHTS if len(files) == 1 else INDEX)
    refuse(problems, f"{where}: the weights do not fit the model")
    for file in files:
        for name, value in read_tensors(file):
            if own[name].is_meta:
                # A copy lies aligned, as trained weights do: the same kernels give the same bits.
                assign(model, name, value.clone())
            else:
                own[name].copy_(value)


def _weight_files(folder: Path) -> list[Path]:
    if not (folder / INDEX).is_file():
        return [folder / WEIGHTS]
    places = read_json(folder, INDEX).get("weight_map")
    files = sorted(set(places.values())) if isinstance(places, dict) else []
    absent = [str(f) for f in files if Path(str(f)).name != f or not (folder / f).is_file()]
    if absent or not files:
        told = f"{len(absent)} are not there, {absent[0]} the first" if absent else "names none"
        raise ModelError(f"{folder / INDEX}: expected weight files beside it, {told}")
    return [folder / file for file in files]


def assign(model: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor in place of the model's own of that name, which may have been built empty."""
    path, _, leaf = name.rpartition(".")
    owner = model.get_submodule(path)
    own = getattr(owner, leaf)
    if isinstance(own, nn.Parameter):
        value = nn.Parameter(value, requires_grad=own.requires_grad)
    setattr(owner, leaf, value)


def refuse(problems: Mapping[str, Sequence[str]], what: str) -> None:
    """Raise one error that counts problems of each kind and names the first; none, if there are none.

    Raises:
        ModelError: there is a problem.
    """
    if any(problems.values()):
        told = (
            f"{len(names)} {kind}: {', '.join(names[:_TOLD])}"
            for kind, names in problems.items()
            if names
        )
        raise ModelError(f"{what}: {'; '.join(told)}")


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
