"""Files that are there only when they are whole. Knows nothing of what they hold."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Lend a place to write to; the file moves to `path` at the end, or vanishes if anything went wrong."""
    folder = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:12]}.part")
    folder.mkdir()
    part = folder / path.name  # writers may go by the ending
    try:
        yield part
        os.replace(part, path)  # noqa: PTH105 - says atomic more plainly
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8; an older one stays as it is until the new one is whole."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
