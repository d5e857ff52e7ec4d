"""Assets are found in a checkout and in an installed package; SPARROW_HOME is honoured."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparrow import paths


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARROW_HOME", str(tmp_path / "mine"))
    assert paths.home() == tmp_path / "mine"
    monkeypatch.setenv("SPARROW_HOME", "")
    assert paths.home() == Path.home() / ".cache" / "sparrow"
    monkeypatch.setenv("SPARROW_HOME", "~/birds")
    assert paths.home() == Path.home() / "birds"


def test_assets_of_this_checkout() -> None:
    assert (paths.ASSETS / "world" / "nouns.json").is_file()


def test_assets_inside_an_installed_package_come_first(tmp_path: Path) -> None:
    package = tmp_path / "sparrow"
    (package / "assets").mkdir(parents=True)
    (tmp_path / "assets").mkdir()
    assert paths._find_assets(package) == package / "assets"
    (package / "assets").rmdir()
    assert paths._find_assets(package) == tmp_path / "assets"
