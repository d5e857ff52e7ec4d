"""Where things lie on disk: the shipped assets, and the folder for what Sparrow writes on its own."""

from __future__ import annotations

import os
from pathlib import Path


def _find_assets(package: Path) -> Path:
    """Give assets/ beside the package in a checkout, sparrow/assets in an installed wheel."""
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"


ASSETS = _find_assets(Path(__file__).resolve().parent)
"""Folder of the world's atlas, the shipped model and the example clips."""


def home() -> Path:
    """Give the folder for sessions and caches: SPARROW_HOME, else ~/.cache/sparrow; it may not exist yet."""
    chosen = os.environ.get("SPARROW_HOME")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "sparrow"


def default_model() -> str:
    """Give the model that is taken where none is named: SPARROW_MODEL, else the sparrow-mini that ships."""
    return os.environ.get("SPARROW_MODEL") or str(ASSETS / "sparrow-mini")
