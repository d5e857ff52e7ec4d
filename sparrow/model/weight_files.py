"""Weight files: safetensors, or PyTorch's pickles read as tensors only; code in a pickle is never run.

It knows files and tensors, not what a name means.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparrow.errors import ModelError

_WRAPPERS = ("model", "module", "state_dict")
_POINTER = b"version https://git-lfs"
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class Stub:
    """A stored tensor that is not read yet."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object of a folder; empty where there is no such file.

    Raises:
        ModelError: it is no JSON object.
    """
    path = folder / name
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def read_stubs(path: Path) -> dict[str, Stub]:
    """Give the shapes and dtypes of a weight file without reading its numbers.

    Raises:
        ModelError: it is damaged, no weight file, or holds more than tensors.
    """
    _refuse_pointer(path)
    if path.suffix != ".safetensors":
        tensors = _unpickle(path, "meta")
        return {name: Stub(tuple(t.shape), t.dtype) for name, t in tensors.items()}
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {
                name: Stub(tuple(part.get_shape()), _DTYPES[part.get_dtype()])
                for name, part in slices.items()
            }
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({error})") from error


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield a weight file's tensors one by one; they may lie in the file until they are copied.

    Raises:
        ModelError: as `read_stubs`.
    """
    if path.suffix != ".safetensors":
        yield from _unpickle(path, "cpu").items()
        return
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                yield name, file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({error})") from error


def _refuse_pointer(path: Path) -> None:
    """Refuse what Git leaves in place of a large file."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise ModelError(
                    f"{path}: only points to the real file; fetch it with `git lfs pull`"
                )


def _unpickle(path: Path, device: str) -> dict[str, Tensor]:
    try:
        try:
            content = torch.load(path, device, weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap can only be used" not in str(error):
                raise
            content = torch.load(path, device, weights_only=True)  # PyTorch's format before 1.6
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: holds more than tensors (Python objects, which could run code when read) or is "
            "damaged, so it is not read; ask for the weights as safetensors, or make such a file where "
            "you trust this one"
        ) from error
    except (OSError, RuntimeError, EOFError, KeyError, ValueError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path}: cannot be read as PyTorch weights ({told})") from error
    while isinstance(content, dict) and not any(isinstance(v, Tensor) for v in content.values()):
        inner = next((content[key] for key in _WRAPPERS if key in content), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected named tensors, got {type(content).__name__}")
    found = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not found:
        raise ModelError(f"{path}: expected named tensors, found none")
    return found
