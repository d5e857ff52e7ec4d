"""Fixtures of the page's tests: a real but untrained model, examples, and a session with a video."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sparrow.backend import Backend
from sparrow.local_backend import LocalBackend
from sparrow.page import opening
from sparrow.page.examples import Example, load_examples
from sparrow.page.visit import Visit
from sparrow.pipeline import Sparrow
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.types import MaskTrack, TrackBuilder
from sparrow.video import Video
from tests.made_models import save_random_model


@dataclass
class Opened:
    """A session with a video, as it stands open."""

    session: Session
    visit: Visit
    video: Video

    def give(self, referent_id: int, phrase: str, frames: range | None = None) -> MaskTrack:
        """Add an object: a square of 20 pixels that keeps still."""
        track = square(self.video, referent_id, frames)
        self.session.history = self.session.history.with_track(track, phrase)
        return track


def square(video: Video, referent_id: int, frames: range | None = None) -> MaskTrack:
    """Make a track of a square in these frames, surest in the middle one."""
    chosen = range(video.num_frames) if frames is None else frames
    builder = TrackBuilder(referent_id, video.size_hw, video.num_frames)
    mask = np.zeros(video.size_hw, dtype=bool)
    mask[10:30, 10:30] = True
    for frame in chosen:
        surest = frame == chosen[len(chosen) // 2]
        builder.put(frame, mask, 0.9 if surest else 0.6)
    return builder.build()


def run(work: Iterator[None]) -> int:
    """Do work to its end; give how many steps it had."""
    return sum(1 for _ in work)


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """A model of the shipped sizes that was never trained: its words mean nothing, all else is real."""
    folder = save_random_model(tmp_path_factory.mktemp("model"))
    return LocalBackend(Sparrow.from_pretrained(folder, device="cpu"))


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    made = Sessions(tmp_path / "sessions", max_age_seconds=100)
    yield made
    made.close()


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


@pytest.fixture
def opened(sessions: Sessions, examples: tuple[Example, ...]) -> Opened:
    """The moving square, 30 frames of 64 x 96, open in a session."""
    session, visit = sessions.open(), Visit()
    run(opening.open_example(session, visit, examples[0]))
    assert session.video is not None
    return Opened(session, visit, session.video)
