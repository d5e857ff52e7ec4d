"""Outcomes of finished worlds in a file, a line each, so that a run that was killed goes on.

The first line says what was measured; a last line that was cut off is dropped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from sparrow.bench.outcome import World
from sparrow.errors import SparrowError

if TYPE_CHECKING:
    from sparrow.bench.worlds import Order


class Kept:
    """The file of one run, open for adding; use it in a `with`."""

    def __init__(self, path: Path, order: Order) -> None:
        """Open or begin it.

        Raises:
            SparrowError: the file is of another run, or is no such file.
        """
        self.path = path
        self.worlds: dict[int, World] = {}
        """By seed."""
        head = _line({"order": dataclasses.asdict(order), "files": _files(order.model)})
        path.parent.mkdir(parents=True, exist_ok=True)
        end = self._read(head) if path.exists() else 0
        self._file = path.open("ab")
        self._file.truncate(end)
        if not end:
            self._file.write(head)
            self._file.flush()

    def add(self, world: World) -> None:
        """Keep the outcomes of one more world."""
        self._file.write(_line(dataclasses.asdict(world)))
        self._file.flush()
        self.worlds[world.seed] = world

    def __enter__(self) -> Kept:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _read(self, head: bytes) -> int:
        """Take over the whole lines; gives where they end."""
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        first, *rest = content[:end].splitlines(keepends=True) or [b""]
        if end and first != head:
            raise SparrowError(
                f"{self.path}: expected outcomes of the same model, difficulty and pictures, it holds "
                "those of another run; remove it or choose another file"
            )
        self.worlds = {world.seed: world for world in map(self._world, rest)}
        return end

    def _world(self, line: bytes) -> World:
        try:
            return World.from_json(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise SparrowError(f"{self.path}: not a world's outcomes ({error!r})") from error


def _line(content: Mapping[str, object]) -> bytes:
    return (json.dumps(content) + "\n").encode()


def _files(model: str) -> str:
    """Give what tells a model folder from others: a digest of its files' names, sizes and times of change."""
    files = [p for p in sorted(Path(model).glob("*.*")) if p.suffix in (".json", ".safetensors")]
    facts = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()
