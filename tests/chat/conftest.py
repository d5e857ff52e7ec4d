"""Fixtures of the assistant's tests: the sparrow-mini that ships, behind one backend, and a clip of the world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparrow.chat import ChatSparrow
from sparrow.chat.assistant import Assistant
from sparrow.ingest import open_video
from sparrow.local_backend import LocalBackend
from sparrow.pipeline import Sparrow
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.video import Video
from sparrow.world.clip import write_clip
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene
from tests.chat.counting import Forwards


@pytest.fixture(scope="session")
def sparrow() -> Sparrow:
    return Sparrow.from_pretrained(device="cpu")


@pytest.fixture(scope="session")
def backend(sparrow: Sparrow) -> LocalBackend:
    return LocalBackend(sparrow)


@pytest.fixture(scope="session")
def scene() -> Scene:
    """Two things that move over 12 frames."""
    return Scene.sample(8_100_317, difficulty="easy", atlas=load_atlas(), num_frames=12)


@pytest.fixture(scope="session")
def clip_path(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_clip(scene, folder)
    return folder / "clip.mp4"


@pytest.fixture(scope="session")
def video(clip_path: Path) -> Video:
    return open_video(clip_path, workdir=clip_path.parent / "opened")


@pytest.fixture
def chat(backend: LocalBackend, video: Video) -> ChatSparrow:
    return ChatSparrow(backend=backend, video=video)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    sessions = Sessions(tmp_path / "sessions")
    yield sessions
    sessions.close()


@pytest.fixture
def session(sessions: Sessions, clip_path: Path) -> Session:
    session = sessions.open()
    session.video = open_video(clip_path, workdir=session.new_path("video").parent)
    with session.lock:
        session.save()
    return session


@pytest.fixture
def assistant(backend: LocalBackend, session: Session) -> Iterator[Assistant]:
    assistant = Assistant(backend, session)
    yield assistant
    assistant.close()


@pytest.fixture
def forwards(sparrow: Sparrow) -> Iterator[Forwards]:
    """Counts what the model does."""
    counting = Forwards(sparrow.model)
    yield counting
    counting.close()
