"""Who may import whom, read from the source; and that light imports stay light, in a fresh process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sparrow"

# Lowest layer first; a module imports only from its own layer and those below it.
LAYERS = (
    {
        "whole",
        "errors",
        "masks",
        "types",
        "boxes",
        "paths",
        "work",
        "limits",
        "rle",
        "looks",
        "confidence",
    },
    {"video", "ingest", "probe", "mp4", "sound", "upright", "overlay", "metrics", "world"}
    | {"dreams", "outline", "retouch", "prompts", "planes", "labels"},
    {"model"},
    {"pipeline", "talk", "grounding", "targets", "train", "adapt"},
    {"render", "export", "backend", "tools", "bench", "convert"},
    {"local_backend", "lane", "remote", "remote_backend", "sessions", "chat"},
    {"page"},
    {"cli", "__main__", "__init__"},
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the sparrow modules that a file imports, anywhere in it, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("sparrow"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sparrow"):
            if node.module == "sparrow":
                yield from (f"sparrow.{alias.name}" for alias in node.names)
            else:
                yield node.module


def layer_of(name: str) -> int:
    """Give the layer of a module, or fail naming it: a new module must be put into one."""
    for level, names in enumerate(LAYERS):
        if name in names:
            return level
    raise AssertionError(f"sparrow/{name} is in no layer of this test")


def top(path: Path) -> str:
    """Name the module or folder directly below the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    own = layer_of(top(path))
    for name in imported(path):
        if name == "sparrow":
            continue
        assert layer_of(name.split(".")[1]) <= own, f"{path.name} imports {name}, a higher layer"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_module_opens_with_what_it_does(path: Path) -> None:
    if path.stat().st_size:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_is_longer_than_a_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_torch_stays_where_it_belongs(path: Path) -> None:
    if top(path) in {"model", "train", "targets", "pipeline", "adapt"}:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not any(name.split(".")[0] in {"torch", "transformers"} for name in names)


LIGHT = [
    "sparrow",
    "sparrow.types",
    "sparrow.cli",
    "sparrow.metrics",
    "sparrow.bench.plots",
    "sparrow.dreams",
    "sparrow.outline",
    "sparrow.ingest",
    "sparrow.render",
    "sparrow.export.formats",
    "sparrow.world.scene",
    "sparrow.world.dialogue",
    "sparrow.page",
    "sparrow.sessions.session_file",
    "sparrow.sessions.sessions",
]


@pytest.mark.parametrize("module", LIGHT)
def test_importing_costs_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr or f"{module} imports torch"


def test_public_names_are_there() -> None:
    import sparrow
    from sparrow.types import MaskTrack

    assert sparrow.MaskTrack is MaskTrack
    assert sparrow.open_video.__module__ == "sparrow.ingest"
    assert set(sparrow.__all__) == set(dir(sparrow))
    assert {name for names in sparrow._HOMES.values() for name in names} == set(sparrow.__all__)
    with pytest.raises(AttributeError, match="no attribute 'opne_video'"):
        _ = sparrow.opne_video
