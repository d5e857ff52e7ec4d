"""JSON that is strict, archives that are the same for the same content; both there only when whole."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparrow.errors import SparrowError
from sparrow.whole import whole, write_text


class ExportError(SparrowError):
    """A file that cannot be written as asked, or cannot be read."""


@contextmanager
def archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a new ZIP that appears at `path` when it is whole."""
    with whole(path) as part, zipfile.ZipFile(part, "w") as opened:
        yield opened


def add(opened: zipfile.ZipFile, name: str, content: bytes | str) -> None:
    """Put a file into an archive: text is compressed, bytes are taken to be so already."""
    entry = zipfile.ZipInfo(name)  # of 1980: the same content gives the same bytes
    entry.external_attr = 0o644 << 16
    if isinstance(content, str):
        entry.compress_type = zipfile.ZIP_DEFLATED
    opened.writestr(entry, content)


def write_json(path: Path, content: object) -> Path:
    """Write JSON without NaN.

    Raises:
        ValueError: the content holds what JSON has no word for.
    """
    write_text(path, json.dumps(content, allow_nan=False, ensure_ascii=False))
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, without NaN.

    Raises:
        ExportError: missing, or anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path.name}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise ExportError(f"{path.name}: expected a JSON object, got {type(content).__name__}")
    return content


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
