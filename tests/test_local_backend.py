"""One model for many: conversations kept and forgotten, held apart, and begun anew from their histories."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from sparrow.backend import Backend, answer_of
from sparrow.errors import Busy, PromptError
from sparrow.lane import Lane
from sparrow.local_backend import LocalBackend
from sparrow.pipeline import Sparrow
from sparrow.types import GroundedAnswer, History, Progress, Prompt, TracksSoFar
from sparrow.video import Video
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene
from tests.made_clips import video_of

SEED = 8_100_009  # of the test split
COUNT = "How many things are there?"


@pytest.fixture(scope="module")
def sparrow() -> Sparrow:
    return Sparrow.from_pretrained()


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.sample(SEED, difficulty="easy", atlas=load_atlas(), num_frames=6)


@pytest.fixture(scope="module")
def video(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Video:
    return video_of(scene, tmp_path_factory.mktemp("clip"))


@pytest.fixture
def backend(sparrow: Sparrow) -> LocalBackend:
    return LocalBackend(sparrow, keep=2)


def steps(events: list[object]) -> list[str]:
    return [event.step for event in events if isinstance(event, Progress)]


def test_it_is_a_backend(backend: LocalBackend, sparrow: Sparrow) -> None:
    served: Backend = backend
    assert served.card == sparrow.card


def test_a_kept_conversation_reads_its_video_once_and_a_forgotten_one_again(
    backend: LocalBackend, video: Video
) -> None:
    first = list(backend.ask("a", video, History(), COUNT))
    assert isinstance(first[-1], GroundedAnswer) and "read" in steps(first)
    history = History().after(COUNT, (), first[-1])
    second = list(backend.ask("a", video, history, COUNT))
    assert steps(second) == []
    backend.forget("a")
    backend.forget("nobody")
    third = list(backend.ask("a", video, history, COUNT))
    assert steps(third) == ["read", "read", "recall"]
    assert third[-1].said == second[-1].said


def test_only_the_latest_conversations_are_kept(backend: LocalBackend, video: Video) -> None:
    for key in ("a", "b", "a", "c"):
        answer_of(backend.ask(key, video, History(), COUNT))
    assert "read" not in steps(list(backend.ask("a", video, History(), COUNT)))
    assert "read" in steps(list(backend.ask("b", video, History(), COUNT)))


def test_a_key_that_is_used_for_another_video_reads_that(
    backend: LocalBackend, video: Video, scene: Scene, tmp_path: Path
) -> None:
    answer_of(backend.ask("a", video, History(), COUNT))
    other = video_of(scene, tmp_path)
    assert "read" in steps(list(backend.ask("a", other, History(), COUNT)))


def test_a_conversation_forgotten_while_it_is_answered_is_not_kept(
    backend: LocalBackend, video: Video
) -> None:
    events = backend.ask("a", video, History(), COUNT)
    next(events)
    backend.forget("a")
    list(events)
    assert "read" in steps(list(backend.ask("a", video, History(), COUNT)))


def test_two_questions_under_one_key_at_once_do_not_disturb_each_other(
    backend: LocalBackend, video: Video, scene: Scene
) -> None:
    streams = [
        backend.ask("a", video, History(), question)
        for question in (COUNT, f"Segment the {scene.things[0].noun}.")
    ]
    expected = [answer_of(backend.ask("b", video, History(), COUNT))]
    answers: list[GroundedAnswer] = []
    while streams:
        for stream in list(streams):
            event = next(stream, None)
            if event is None:
                streams.remove(stream)
            elif isinstance(event, GroundedAnswer):
                answers.append(event)
    assert expected[0].said in [answer.said for answer in answers]
    assert len({answer.text for answer in answers}) == 2


def test_a_refused_question_costs_nothing(backend: LocalBackend, video: Video) -> None:
    answer_of(backend.ask("a", video, History(), COUNT))
    with pytest.raises(PromptError):
        list(backend.ask("a", video, History(), ""))
    assert steps(list(backend.ask("a", video, History(), COUNT))) == []


def test_tracking_ends_with_the_tracks(backend: LocalBackend, video: Video, scene: Scene) -> None:
    box = Prompt(3, 0, "box", scene.render(0).boxes[0])
    events = list(backend.track(video, [box]))
    assert steps(events) == ["track"] * 6
    last = events[-1]
    assert isinstance(last, TracksSoFar)
    assert [t.referent_id for t in last.tracks] == [3] and last.tracks[0].complete
    assert last.referents[0].phrase == "object 3"


def test_a_preview_is_the_mask_that_tracking_starts_from(
    backend: LocalBackend, video: Video, scene: Scene
) -> None:
    box = Prompt(1, 4, "box", scene.render(4).boxes[0])
    preview = backend.preview(video, [box])
    assert np.flatnonzero(preview.visible()).tolist() == [4]
    *_, last = backend.track(video, [box])
    assert preview.rles[4] == last.tracks[0].rles[4]
    assert preview.scores[4] == pytest.approx(last.tracks[0].scores[4], abs=1e-5)


def test_a_preview_does_not_wait_in_line(sparrow: Sparrow, video: Video, scene: Scene) -> None:
    backend = LocalBackend(sparrow, lane=Lane(inside=1, waiting=0))
    box = Prompt(1, 0, "box", scene.render(0).boxes[0])
    going = backend.track(video, [box])
    next(going)
    assert backend.preview(video, [box]).visible()[0]
    with pytest.raises(Busy):
        next(backend.ask("b", video, History(), COUNT))
    going.close()


def test_a_question_is_answered_while_a_video_is_tracked(
    backend: LocalBackend, video: Video, scene: Scene
) -> None:
    going = backend.track(video, [Prompt(1, 0, "box", scene.render(0).boxes[0])])
    next(going)
    assert answer_of(backend.ask("b", video, History(), COUNT)).complete
    assert isinstance(list(going)[-1], TracksSoFar)


@pytest.mark.parametrize("what", ["ask", "track"])
def test_stop_while_waiting(sparrow: Sparrow, video: Video, scene: Scene, what: str) -> None:
    backend = LocalBackend(sparrow, lane=Lane(inside=1))
    box = Prompt(1, 0, "box", scene.render(0).boxes[0])
    going = backend.track(video, [box])
    next(going)
    stop = threading.Event()
    waiting = (
        backend.ask("a", video, History(), COUNT, cancel=stop)
        if what == "ask"
        else backend.track(video, [box], cancel=stop)
    )
    place = next(waiting)
    assert isinstance(place, Progress) and (place.step, place.done) == ("wait", 0)
    stop.set()
    rest = list(waiting)
    if what == "ask":
        assert [type(event) for event in rest] == [GroundedAnswer]
        assert rest[0].text == "" and not rest[0].complete
    else:
        assert not rest[-1].tracks[0].complete and not rest[-1].tracks[0].visible().any()
    going.close()
    assert backend.lane.waiting == 0
