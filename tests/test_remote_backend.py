"""A model on another machine: started anew, gone, busy, forgetful on demand, and closed to whoever is hostile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import pytest
from gradio_client import Client, handle_file

from sparrow.backend import answer_of
from sparrow.errors import BackendError, Busy, VideoError
from sparrow.lane import Lane
from sparrow.limits import Limits
from sparrow.local_backend import LocalBackend
from sparrow.masks import iou
from sparrow.pipeline import Sparrow
from sparrow.remote_backend import RemoteBackend
from sparrow.sessions.sessions import Sessions
from sparrow.types import History
from sparrow.video import Video
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene
from tests.made_clips import video_of
from tests.served import SEED, Server, converse, questions


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.sample(SEED, difficulty="easy", atlas=load_atlas(), num_frames=10)


@pytest.fixture(scope="module")
def video(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Video:
    return video_of(scene, tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def local() -> LocalBackend:
    return LocalBackend(Sparrow.from_pretrained())


def again(server: Server, sessions: Sessions) -> None:
    """Start the far side anew at the same address."""
    server.stop()
    server.backend = LocalBackend(server.backend.sparrow)
    server.sessions = sessions
    server.start()


@pytest.fixture
def own_server(local: LocalBackend, tmp_path: Path) -> Iterator[Server]:
    served = Server(LocalBackend(local.sparrow), Sessions(tmp_path / "rooms"))
    served.start()
    yield served
    served.stop()


@pytest.mark.parametrize("place", ["rooms", "elsewhere"])
def test_a_far_side_that_was_started_anew_goes_on(
    own_server: Server, video: Video, scene: Scene, tmp_path: Path, place: str
) -> None:
    said, backend = questions(scene), RemoteBackend(own_server.url)
    expected = converse(own_server.backend, "expected", video, said)
    history = converse(backend, "a", video, said[:2])
    again(own_server, Sessions(tmp_path / place))
    answer = answer_of(backend.ask("a", video, history, said[2]))
    unbroken = expected.turns[-1].answer
    assert unbroken is not None
    assert (answer.said, answer.referents) == (unbroken.said, unbroken.referents)
    assert min(iou(answer.tracks[0].mask(t), unbroken.tracks[0].mask(t)) for t in range(10)) > 0.95


def test_a_far_side_that_is_gone_says_so(
    own_server: Server, video: Video, scene: Scene, tmp_path: Path
) -> None:
    backend = RemoteBackend(own_server.url)
    own_server.stop()
    with pytest.raises(BackendError, match=r"127\.0\.0\.1.*try again"):
        list(backend.ask("a", video, History(), questions(scene)[0]))
    own_server.sessions = Sessions(tmp_path / "rooms")
    own_server.start()
    assert answer_of(backend.ask("a", video, History(), questions(scene)[0])).complete


def test_an_address_without_a_sparrow_is_explained() -> None:
    with pytest.raises(BackendError, match="expected a Sparrow that runs the model"):
        RemoteBackend("127.0.0.1:9")
    with gr.Blocks(analytics_enabled=False) as other:
        gr.Textbox()
    _, url, _ = other.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    with pytest.raises(BackendError, match="remote_card"):
        RemoteBackend(str(url))
    other.close()


def test_forgetting_deletes_the_video_there_once_nobody_is_about_it(
    own_server: Server, video: Video, scene: Scene
) -> None:
    backend, said = RemoteBackend(own_server.url), questions(scene)[1]
    for key in "ab":
        answer_of(backend.ask(key, video, History(), said))
    assert own_server.rooms() == 1
    backend.forget("a")
    backend.forget("nobody")
    assert own_server.rooms() == 1
    backend.forget("b")
    wait_for(lambda: own_server.rooms() == 0)
    assert answer_of(backend.ask("b", video, History(), said)).complete


def wait_for(happens: Callable[[], bool]) -> None:
    for _ in range(1000):
        if happens():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it never happened")


def test_a_video_beyond_the_far_limits_is_refused(
    local: LocalBackend, video: Video, tmp_path: Path
) -> None:
    server = Server(local, Sessions(tmp_path), Limits(max_frames=5))
    server.start()
    with pytest.raises(VideoError, match="max_frames"):
        list(RemoteBackend(server.url).ask("a", video, History(), "What?"))
    assert server.rooms() == 0
    server.stop()


def test_a_busy_far_side_says_so(local: LocalBackend, video: Video, tmp_path: Path) -> None:
    lane = Lane(inside=1, waiting=0)
    server = Server(LocalBackend(local.sparrow, lane=lane), Sessions(tmp_path))
    server.start()
    going = server.backend.ask("near", video, History(), "How many things are there?")
    next(going)
    with pytest.raises(Busy, match="waiting already"):
        list(RemoteBackend(server.url).ask("far", video, History(), "What?"))
    going.close()
    server.stop()


def test_two_far_users_have_rooms_of_their_own(
    own_server: Server, video: Video, scene: Scene
) -> None:
    said = questions(scene)[1]
    for _ in range(2):
        answer_of(RemoteBackend(own_server.url).ask("the same key", video, History(), said))
    assert own_server.rooms() == 2


ROOM = "0" * 32


@pytest.mark.parametrize(
    ("endpoint", "inputs", "error"),
    [
        ("/remote_run", (ROOM, "c", "{}"), "RoomGoneError"),
        ("/remote_run", ("../../etc", "c", "{}"), "RoomGoneError"),
        ("/remote_run", ("", "", ""), "RoomGoneError"),
        ("/remote_run", (None, "c", "not json"), "SessionError"),
        ("/remote_run", (None, "c", "[]"), "SessionError"),
        ("/remote_run", (None, "c", "{}"), "SessionError"),
        ("/remote_run", (None, "c", "[" * 100_000), "SessionError"),
        ("/remote_stop", (ROOM, "c"), None),
        ("/remote_close", (ROOM,), None),
        ("/remote_close", ("..",), None),
    ],
)
def test_hostile_calls_change_nothing(
    own_server: Server,
    video: Video,
    endpoint: str,
    inputs: tuple[str | None, ...],
    error: str | None,
) -> None:
    client = Client(own_server.url, verbose=False, download_files=False, analytics_enabled=False)
    opened = json.loads(client.predict(handle_file(video.path), api_name="/remote_open"))
    given = [opened["room"] if value is None else value for value in inputs]
    reply = json.loads(client.predict(*given, api_name=endpoint))
    assert reply.get("error") == error
    assert str(own_server.sessions.root) not in json.dumps(reply)
    assert own_server.rooms() == 1


def test_no_login_of_the_user_goes_along(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    backend = RemoteBackend(own_server.url)
    assert backend._client is not None
    assert "hf_secret" not in str(backend._client.headers)
