"""The shipped example clips and the questions prepared for each. Opens no video."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparrow.paths import ASSETS


@dataclass(frozen=True)
class Example:
    """A clip that a visitor can try at once."""

    path: Path
    title: str
    questions: tuple[str, ...]

    @property
    def name(self) -> str:
        """What a link calls it: `?example=sloth`."""
        return self.path.stem


def load_examples(folder: Path = ASSETS / "examples") -> tuple[Example, ...]:
    """Read index.json and check that each clip it names lies beside it.

    Raises:
        ValueError: an entry lacks a key, or names a file that is not in the folder.
    """
    entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    examples = []
    for number, entry in enumerate(entries):
        missing = {"file", "title", "questions"} - set(entry)
        if missing:
            raise ValueError(
                f"example {number}: expected the keys file, title, questions; no {missing}"
            )
        path = folder / Path(entry["file"]).name
        if not path.is_file():
            raise ValueError(
                f"example {number}: expected the clip {path.name} in {folder}, it is missing"
            )
        examples.append(Example(path, entry["title"], tuple(entry["questions"])))
    return tuple(examples)


def named(examples: Sequence[Example], name: str | None) -> Example | None:
    """Find the example that a link names; None where there is none of this name."""
    return next((example for example in examples if example.name == name), None)
