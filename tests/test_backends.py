"""The same conversations with a model in this process and with one behind a served page: nothing may differ."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from sparrow.backend import Backend, answer_of
from sparrow.errors import PromptError
from sparrow.local_backend import LocalBackend
from sparrow.masks import iou
from sparrow.pipeline import Sparrow
from sparrow.remote_backend import RemoteBackend
from sparrow.sessions.sessions import Sessions
from sparrow.types import (
    GroundedAnswer,
    History,
    Progress,
    Prompt,
    TextDelta,
    TracksSoFar,
)
from sparrow.video import Video
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene
from tests.made_clips import video_of
from tests.served import SEED, Server, converse, questions, same_history, steps


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.sample(SEED, difficulty="easy", atlas=load_atlas(), num_frames=10)


@pytest.fixture(scope="module")
def video(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Video:
    return video_of(scene, tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def local() -> LocalBackend:
    return LocalBackend(Sparrow.from_pretrained())


@pytest.fixture(scope="module")
def server(local: LocalBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    served = Server(local, Sessions(tmp_path_factory.mktemp("sessions"), gone=local.forget))
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def remote(server: Server) -> RemoteBackend:
    return RemoteBackend(server.url)


@pytest.fixture(params=["local", "remote"])
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.getfixturevalue(request.param)
    return chosen


def test_both_say_what_the_model_is(local: LocalBackend, remote: RemoteBackend) -> None:
    assert remote.card == local.card


def test_a_conversation_is_the_same_near_and_far(
    local: LocalBackend, remote: RemoteBackend, video: Video, scene: Scene
) -> None:
    near, far = (converse(each, "same", video, questions(scene)) for each in (local, remote))
    assert near.tracks and same_history(near, far)


def test_an_answer_streams(backend: Backend, video: Video, scene: Scene) -> None:
    events = list(backend.ask("streams", video, History(), questions(scene)[0]))
    answer = events[-1]
    assert isinstance(answer, GroundedAnswer) and answer.complete
    words = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(words) == answer.text and len(words) >= 3
    assert steps(events).count("track") == video.num_frames
    shown = [event for event in events if isinstance(event, TracksSoFar)]
    assert shown and shown[0].referents == answer.referents
    assert np.count_nonzero(shown[0].tracks[0].scores) == 1
    truth = scene.render(5).masks[0]
    assert iou(answer.tracks[0].mask(5), truth) > 0.5


def test_the_history_decides_and_not_the_key(backend: Backend, video: Video, scene: Scene) -> None:
    said = questions(scene)
    whole = converse(backend, "one", video, said)
    first_two = History(whole.turns[:4], whole.phrases, whole.tracks, whole.next_id)
    answer = answer_of(backend.ask("another", video, first_two, said[2]))
    assert same_history(first_two.after(said[2], (), answer), whole)
    again = answer_of(backend.ask("one", video, whole.before(0), said[0]))
    assert [r.id for r in again.referents] == [1]
    assert again.tracks[0] is whole.tracks[1]  # what is known already is neither tracked nor sent


def test_what_is_pointed_at_and_corrected(backend: Backend, video: Video, scene: Scene) -> None:
    drawn = scene.render(4)
    both = drawn.masks[0] | drawn.masks[1]
    *_, first = backend.track(video, [Prompt(3, 4, "mask", both)])
    before = first.tracks[0]
    assert (before.referent_id, before.complete) == (3, True)
    assert np.array_equal(before.mask(4), both)
    y, x = np.argwhere(drawn.masks[1] & ~drawn.masks[0])[-1]
    clicks = [Prompt(3, 4, "point-", np.array([x, y], np.float32))]
    preview = backend.preview(video, clicks, before)
    assert np.flatnonzero(preview.visible()).tolist() == [4] and not preview.mask(4)[y, x]
    events = list(backend.track(video, clicks, before={3: before}, span=(3, 6)))
    after = events[-1].tracks[0]
    assert steps(events) == ["track"] * 3
    assert after.rles[4] == preview.rles[4]
    outside = [0, 1, 2, 6, 7, 8, 9]
    assert [after.rles[t] for t in outside] == [before.rles[t] for t in outside]
    assert np.array_equal(after.scores[outside], before.scores[outside])
    assert np.array_equal(after.boxes[outside], before.boxes[outside], equal_nan=True)


def test_a_question_that_points(
    local: LocalBackend, remote: RemoteBackend, video: Video, scene: Scene
) -> None:
    box = Prompt(1, 4, "box", scene.render(4).boxes[0])
    answers = []
    for each in (local, remote):
        first = answer_of(each.ask("points", video, History(), "What is this?", [box]))
        history = History().after("What is this?", [box], first)
        each.forget("points")
        answers.append((first, answer_of(each.ask("points", video, history, "What colour is it?"))))
    assert [a.said for a in answers[0]] == [a.said for a in answers[1]]


@pytest.mark.parametrize("when", ["before", "text", "track"])
def test_stop_gives_what_there_is(backend: Backend, video: Video, scene: Scene, when: str) -> None:
    stop = threading.Event()
    if when == "before":
        stop.set()
    events = []
    for event in backend.ask("stop", video, History(), questions(scene)[0], cancel=stop):
        events.append(event)
        kind = event.step if isinstance(event, Progress) else type(event).__name__
        if (when == "text" and kind == "TextDelta") or (when == "track" and kind == "track"):
            stop.set()
    backend.forget("stop")
    answer = events[-1]
    assert isinstance(answer, GroundedAnswer)
    if answer.complete:  # a stop that is under way while the last words are
        assert when != "before" and isinstance(backend, RemoteBackend)
        return
    assert when == "track" or not answer.said or isinstance(backend, RemoteBackend)
    assert all(not track.complete for track in answer.tracks)


def test_stop_ends_long_work_soon(backend: Backend, video: Video, scene: Scene) -> None:
    stop, done = threading.Event(), []
    box = Prompt(1, 0, "box", scene.render(0).boxes[0])
    for event in backend.track(video, [box], adapt_seconds=60.0, cancel=stop):
        if isinstance(event, Progress):
            done.append((event.step, event.done))
            stop.set()
    assert isinstance(event, TracksSoFar) and not event.tracks[0].complete
    assert all(step == "adapt" for step, _ in done) and done[-1][1] < 50


def test_a_stopped_correction_keeps_what_was_there(
    backend: Backend, video: Video, scene: Scene
) -> None:
    box = Prompt(1, 0, "box", scene.render(0).boxes[0])
    *_, first = backend.track(video, [box])
    before, stop = first.tracks[0], threading.Event()
    stop.set()
    *_, last = backend.track(video, [box], before={1: before}, cancel=stop)
    assert last.tracks[0].rles == before.rles and not last.tracks[0].complete


def test_a_listener_that_leaves_ends_the_work(backend: Backend, video: Video, scene: Scene) -> None:
    events = backend.ask("leaves", video, History(), questions(scene)[0])
    for event in events:
        if isinstance(event, TextDelta):
            break
    events.close()  # type: ignore[attr-defined]
    answer = answer_of(backend.ask("leaves", video, History(), questions(scene)[1]))
    assert answer.complete


@pytest.mark.parametrize(
    ("question", "prompts", "told"),
    [
        ("", [], "expected some words"),
        ("fox " * 900, [], "at most"),
        ("What?", [Prompt(1, 99, "box", np.array([1.0, 1, 5, 5]))], "got 99|to 9"),
    ],
)
def test_refusals_are_the_same(
    backend: Backend, video: Video, question: str, prompts: list[Prompt], told: str
) -> None:
    with pytest.raises(PromptError, match=told):
        list(backend.ask("refused", video, History(), question, prompts))


def test_prompts_that_point_at_nothing_are_refused(backend: Backend, video: Video) -> None:
    with pytest.raises(PromptError, match="got none"):
        list(backend.track(video, []))
    with pytest.raises(PromptError, match="there is no mask yet"):
        backend.preview(video, [Prompt(1, 0, "point-", np.array([3.0, 3.0]))])


def test_two_conversations_in_turns_do_not_mix(
    backend: Backend, video: Video, scene: Scene
) -> None:
    said = questions(scene)
    streams = {key: backend.ask(key, video, History(), said[n]) for n, key in enumerate("ab")}
    ended: dict[str, GroundedAnswer] = {}
    while streams:
        for key, stream in list(streams.items()):
            event = next(stream, None)
            if event is None:
                del streams[key]
            elif isinstance(event, GroundedAnswer):
                ended[key] = event
    alone = converse(backend, "alone", video, said[:1]).turns[1].answer
    assert alone is not None and ended["a"].said == alone.said
    assert ended["a"].text != ended["b"].text


def test_many_at_once(backend: Backend, video: Video, scene: Scene) -> None:
    said, answers = questions(scene)[1], {}

    def ask(number: int) -> None:
        answers[number] = answer_of(backend.ask(f"many {number}", video, History(), said)).said

    threads = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(answers) == 6 and len(set(answers.values())) == 1
