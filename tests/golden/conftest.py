"""Golden data: recorded inputs, weights and outputs of the official code.

The folder is SPARROW_GOLDEN, else ../shared/golden beside the repository; without it the tests are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Golden:
    config: dict[str, Any]
    io: dict[str, Tensor]
    weights: dict[str, Tensor]


@pytest.fixture(scope="session")
def load_golden() -> Callable[[str], Golden]:
    """Give the function that loads one folder of golden data."""
    root = Path(os.environ.get("SPARROW_GOLDEN", ROOT.parent / "shared" / "golden"))

    def load(name: str) -> Golden:
        folder = root / name
        if not folder.is_dir():
            pytest.skip(f"no golden data at {folder}; SPARROW_GOLDEN names the folder")
        weights = folder / "weights.safetensors"
        return Golden(
            json.loads((folder / "config.json").read_text()),
            load_file(folder / "io.safetensors"),
            load_file(weights) if weights.exists() else {},
        )

    return load
