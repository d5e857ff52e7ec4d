"""Fixtures of the page's tests: a real but untrained model, examples, and a built page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sparrow.page.examples import Example, load_examples
from sparrow.page.session import Sessions
from sparrow.pipeline import Sparrow
from tests.made_models import save_random_model


@pytest.fixture(scope="session")
def sparrow(tmp_path_factory: pytest.TempPathFactory) -> Sparrow:
    """A model of the shipped sizes that was never trained: its words mean nothing, all else is real."""
    return Sparrow.from_pretrained(
        save_random_model(tmp_path_factory.mktemp("model")), device="cpu"
    )


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "sessions", max_age_seconds=100)


@pytest.fixture(scope="session")
def examples(
    clip: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Example, ...]:
    """Two clips with an index, as they ship."""
    folder = tmp_path_factory.mktemp("examples")
    entries = []
    for name, questions in (("plain.mp4", ["Where is the fox?", "How many?"]), ("silent.mp4", [])):
        (folder / name).write_bytes(clip(name).read_bytes())
        entries.append({"file": name, "title": f"The {name}", "questions": questions})
    (folder / "index.json").write_text(json.dumps(entries))
    return load_examples(folder)
