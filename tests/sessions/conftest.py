"""Fixtures of the tests of sessions: a register in a folder of its own, a small normalised video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.video import Video
from tests.sessions.made_records import fill


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    register = Sessions(tmp_path / "sessions", max_age_seconds=100, grace_seconds=10)
    yield register
    register.close()


@pytest.fixture(scope="session")
def clip_path(plain_video: Video) -> Path:
    """The moving square, 30 frames of 64 x 96 at 10 fps with a tone, normalised; read-only."""
    return plain_video.path


@pytest.fixture
def full(sessions: Sessions, clip_path: Path) -> Session:
    """A session with everything in it, saved."""
    session = sessions.open()
    fill(session, clip_path)
    session.save()
    return session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the videos of session files are opened."""
    made = tmp_path / "opened"
    made.mkdir()
    return made
