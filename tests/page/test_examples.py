"""The index of example clips: what it must say, and that the shipped one says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparrow.page.examples import Example, load_examples, named
from sparrow.video import load_video


def write_index(folder: Path, *entries: dict[str, object]) -> Path:
    (folder / "index.json").write_text(json.dumps(entries))
    return folder


def test_an_empty_index(tmp_path: Path) -> None:
    assert load_examples(write_index(tmp_path)) == ()


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    entry = {"file": "a.mp4", "title": "A", "questions": []}
    with pytest.raises(ValueError, match=r"example 0: expected the clip a\.mp4"):
        load_examples(write_index(tmp_path, entry))


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="questions"):
        load_examples(write_index(tmp_path, {"file": "a.mp4", "title": "A"}))


def test_entries_stay_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    entry = {"file": "../a.mp4", "title": "A", "questions": ["Where?"]}
    assert load_examples(write_index(tmp_path, entry)) == (
        Example(tmp_path / "a.mp4", "A", ("Where?",)),
    )


def test_what_ships() -> None:
    shipped = load_examples()
    assert len(shipped) >= 4
    for example in shipped:
        video = load_video(example.path)  # playable as it is
        assert video.num_frames > 10
        assert example.title
        assert 2 <= len(example.questions) <= 6


def test_a_link_names_an_example(tmp_path: Path) -> None:
    (tmp_path / "sloth.mp4").touch()
    entry = {"file": "sloth.mp4", "title": "A sloth", "questions": []}
    examples = load_examples(write_index(tmp_path, entry))
    assert named(examples, "sloth") is examples[0]
    for name in (None, "", "sloth.mp4", "../sloth", "fox"):
        assert named(examples, name) is None
