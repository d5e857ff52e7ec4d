"""The models to choose among: what may be named, loaded once, and how many at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparrow.backend import Backend
from sparrow.errors import ModelError
from sparrow.page.models import MINI, MOST_LOADED, Models, needs_text


def test_the_first_is_the_default_and_loaded_once(backend: Backend) -> None:
    loaded: list[str] = []

    def load(name: str) -> Backend:
        loaded.append(name)
        return backend

    models = Models(["a/b", MINI, "a/b"], load)
    assert (models.allowed, models.default) == (("a/b", MINI), "a/b")
    assert models.loaded("a/b") is None
    assert models.get("") is backend
    assert models.get("a/b") is backend
    assert loaded == ["a/b"]
    assert models.loaded("a/b") is backend


@pytest.mark.parametrize("name", ["", "c/d", "/etc", "../x", "a/b c", "x" * 300])
def test_only_what_is_allowed(backend: Backend, name: str) -> None:
    models = Models([MINI], lambda _: backend)
    with pytest.raises(ModelError, match="Choose one of these"):
        models.check(name)
    assert models.of(name) == MINI


def test_where_names_are_typed(backend: Backend, tmp_path: Path) -> None:
    models = Models([MINI], lambda _: backend, typed=True)
    assert models.check(f" {tmp_path} ") == str(tmp_path)
    assert models.check("owner/model-1.0") == "owner/model-1.0"
    for name in ("", "model", "https://example.org/a/b", "a/b;rm", "/no/such folder"):
        with pytest.raises(ModelError, match="folder of a model or a hub id"):
            models.check(name)


def test_the_one_not_used_for_longest_goes(backend: Backend) -> None:
    names = [f"owner/{i}" for i in range(MOST_LOADED + 1)]
    models = Models(names, lambda _: backend)
    models.get(names[0])
    models.get(names[1])
    models.get(names[0])
    models.get(names[2])
    assert models.loaded(names[1]) is None
    assert models.loaded(names[0]) is backend


def test_what_cannot_be_loaded_is_not_kept() -> None:
    def load(name: str) -> Backend:
        raise ModelError(f"{name}: no such model")

    models = Models([MINI], load)
    for _ in range(2):
        with pytest.raises(ModelError, match="no such model"):
            models.get(MINI)


def test_what_they_need(tmp_path: Path) -> None:
    assert "any computer" in needs_text(MINI)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(250_000_000)
    assert "0.2 GB" in needs_text(str(tmp_path))
    assert "downloaded when first chosen" in needs_text("owner/model")
