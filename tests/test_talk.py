"""Conversations that go on from a history: restarted, rewound, stopped and mixed, with the sparrow-mini that ships."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparrow.errors import PromptError, StaleError
from sparrow.pipeline import Sparrow
from sparrow.talk import Chat
from sparrow.types import (
    GroundedAnswer,
    History,
    MaskTrack,
    Progress,
    Prompt,
    TextDelta,
    TracksSoFar,
    Turn,
    colour_of,
)
from sparrow.video import Video
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene
from tests.histories import answers, from_disk, same
from tests.made_clips import video_of

SEED = 8_100_009  # of the test split; all its things are found


@pytest.fixture(scope="module")
def sparrow() -> Sparrow:
    return Sparrow.from_pretrained()


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.sample(SEED, difficulty="easy", atlas=load_atlas(), num_frames=12)


@pytest.fixture(scope="module")
def video(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Video:
    return video_of(scene, tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def questions(scene: Scene) -> tuple[str, ...]:
    first, second = (thing.noun for thing in scene.things[:2])
    return (
        f"Segment the {first}.",
        "How many things are there?",
        f"Where is the {second}?",
        f"What colour is the {first}?",
    )


@pytest.fixture(scope="module")
def unbroken(sparrow: Sparrow, video: Video, questions: tuple[str, ...]) -> Chat:
    chat = sparrow.chat(video)
    for question in questions:
        chat.ask(question)
    return chat


def test_an_empty_history_has_nothing(sparrow: Sparrow, video: Video) -> None:
    chat = sparrow.chat(video)
    assert (chat.turns, chat.tracks, chat.referents, chat.next_id) == ([], {}, [], 1)


@pytest.mark.parametrize("known", [1, 2, 3])
def test_a_restarted_conversation_goes_on_as_the_unbroken_one(
    sparrow: Sparrow, video: Video, unbroken: Chat, questions: tuple[str, ...], known: int
) -> None:
    whole = unbroken.history
    chat = sparrow.chat(video)
    for question, said in zip(questions[:known], answers(whole), strict=False):
        chat.catch_up(chat.history.after(question, (), said))
    chat.catch_up(from_disk(chat.history))
    steps = []
    for question, said in list(zip(questions, answers(whole), strict=True))[known:]:
        events = list(chat.stream(question))
        steps += [event.step for event in events if isinstance(event, Progress)]
        assert same(events[-1], said)
    assert steps.count("recall") == known and steps.count("read") == 2
    assert chat.history.phrases == whole.phrases
    assert chat.history.next_id == whole.next_id
    assert [r.colour for r in chat.referents] == [colour_of(r.id) for r in chat.referents]


def test_a_thing_that_was_tracked_is_not_tracked_again_after_a_restart(
    sparrow: Sparrow, video: Video, unbroken: Chat, questions: tuple[str, ...]
) -> None:
    history = from_disk(unbroken.history)
    chat = sparrow.chat(video, history)
    again = chat.ask(questions[0])
    first = answers(unbroken.history)[0]
    assert [r.id for r in again.referents] == [r.id for r in first.referents] == [1]
    assert again.tracks[0] is history.tracks[1]
    assert "track" not in again.seconds


def test_rewound_and_asked_anew_it_answers_as_a_fresh_conversation(
    sparrow: Sparrow, video: Video, questions: tuple[str, ...]
) -> None:
    chat, fresh = sparrow.chat(video), sparrow.chat(video)
    for question in questions[:3]:
        chat.ask(question)
    chat.catch_up(chat.history.before(2))
    steps: list[Progress] = []
    again = chat.ask(questions[3], progress=steps.append)
    assert not [step for step in steps if step.step in ("read", "recall")]
    fresh.ask(questions[0])
    asked = fresh.ask(questions[3])
    assert (again.text, again.said) == (asked.text, asked.said)
    assert [turn.text for turn in chat.turns[::2]] == [questions[0], questions[3]]
    assert set(chat.tracks) >= set(fresh.tracks)


def test_a_retry_gives_the_same_answer_with_the_same_ids(
    sparrow: Sparrow, video: Video, questions: tuple[str, ...]
) -> None:
    chat = sparrow.chat(video)
    first = chat.ask(questions[0])
    chat.catch_up(chat.history.before(0))
    assert same(chat.ask(questions[0]), first)
    assert len(chat.turns) == 2 and chat.next_id == 2


def test_nothing_is_read_again_where_only_tracks_changed(
    sparrow: Sparrow, video: Video, questions: tuple[str, ...]
) -> None:
    chat = sparrow.chat(video)
    chat.ask(questions[0])
    corrected = replace(chat.tracks[1], complete=False)
    chat.catch_up(from_disk(chat.history).with_track(corrected, "my fox"))
    steps: list[Progress] = []
    answer = chat.ask(questions[0], progress=steps.append)
    assert steps == []
    assert answer.tracks[0] is corrected


def test_a_deleted_referents_id_is_not_given_again(
    sparrow: Sparrow, video: Video, questions: tuple[str, ...]
) -> None:
    chat = sparrow.chat(video)
    chat.ask(questions[0])
    for each in (chat, sparrow.chat(video)):  # in the same process, and after a restart
        each.catch_up(from_disk(chat.history).without(1))
        answer = each.ask(questions[0])
        assert [r.id for r in answer.referents] == [t.referent_id for t in answer.tracks] == [2]


def test_what_was_pointed_out_and_never_asked_about_is_known_when_it_is_spoken_of(
    sparrow: Sparrow, scene: Scene, video: Video, questions: tuple[str, ...]
) -> None:
    spoken = sparrow.chat(video).ask(questions[0])
    chat = sparrow.chat(video)
    chat.add(spoken.tracks[0].renamed(1), "object 1")
    chat.add(spoken.tracks[0].renamed(4), "the same once more")
    answer = chat.ask(questions[0])
    assert [r.id for r in answer.referents] == [1]
    assert chat.next_id == 5


def test_a_turn_that_pointed_is_recalled_with_what_it_pointed_at(
    sparrow: Sparrow, scene: Scene, video: Video
) -> None:
    box = Prompt(1, 0, "box", scene.render(0).boxes[0])
    chat = sparrow.chat(video)
    chat.ask("What is this?", [box])
    again = sparrow.chat(video, from_disk(chat.history))
    answer, expected = again.ask("What colour is it?"), chat.ask("What colour is it?")
    assert same(answer, expected)


@pytest.mark.parametrize("without", ["ids", "everything but text"])
def test_a_history_of_words_alone_can_be_taken_up(
    sparrow: Sparrow, video: Video, unbroken: Chat, without: str
) -> None:
    turns = [
        turn
        if turn.answer is None
        else Turn(
            "assistant",
            turn.text,
            (),
            replace(turn.answer, said=())
            if without == "ids"
            else GroundedAnswer(turn.text, said=(99_999_999, -1)),
        )
        for turn in unbroken.history.turns
    ]
    chat = sparrow.chat(video, History(tuple(turns)))
    assert chat.ask("How many things are there?").complete


def test_what_this_model_cannot_read_is_left_out(
    sparrow: Sparrow, video: Video, questions: tuple[str, ...]
) -> None:
    strange = History().after("fox " * 900, (), GroundedAnswer("Yes."))
    strange = strange.after("  ", (), GroundedAnswer("word " * 2000))
    chat, fresh = sparrow.chat(video, strange), sparrow.chat(video)
    for question in questions[:2]:
        assert chat.ask(question).said == fresh.ask(question).said


def test_two_conversations_in_turns_do_not_mix(
    sparrow: Sparrow, video: Video, unbroken: Chat, questions: tuple[str, ...]
) -> None:
    one, other = sparrow.chat(video), sparrow.chat(video)
    streams = [one.stream(questions[0]), other.stream(questions[2])]
    said: list[list[str]] = [[], []]
    ended: list[GroundedAnswer] = []
    while streams:
        for place, stream in enumerate(list(streams)):
            event = next(stream, None)
            if isinstance(event, TextDelta):
                said[place].append(event.text)
            if isinstance(event, GroundedAnswer):
                ended.append(event)
            if event is None:
                streams.remove(stream)
                break
    assert one.turns[1].text != other.turns[1].text
    assert same(answers(one.history)[0], answers(unbroken.history)[0])
    assert [chat.turns[0].text for chat in (one, other)] == [questions[0], questions[2]]
    assert [list(chat.tracks) for chat in (one, other)] == [[1], [1]]
    assert not np.array_equal(one.tracks[1].boxes, other.tracks[1].boxes, equal_nan=True)


def stopped_at(
    chat: Chat, question: str, prompts: Sequence[Prompt], when: str, step: int
) -> GroundedAnswer:
    """Ask, and press Stop at the n-th event of a kind."""
    stop, seen = threading.Event(), 0
    if when == "start":
        stop.set()
    answer: GroundedAnswer | None = None
    for event in chat.stream(question, prompts, cancel=stop):
        kind = event.step if isinstance(event, Progress) else type(event).__name__
        seen += kind == when
        if kind == when and seen == step:
            stop.set()
        if isinstance(event, GroundedAnswer):
            answer = event
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("when", "step", "words"),
    [
        ("start", 1, 0),
        ("read", 1, 0),
        ("read", 2, 0),
        ("recall", 1, 0),
        ("recall", 2, 0),
        ("TextDelta", 1, 1),
        ("TextDelta", 2, 2),
    ],
)
def test_a_stop_before_the_end_of_the_words_leaves_no_trace_in_the_model(
    sparrow: Sparrow,
    video: Video,
    unbroken: Chat,
    questions: tuple[str, ...],
    when: str,
    step: int,
    words: int,
) -> None:
    two = replace(from_disk(unbroken.history), turns=unbroken.history.turns[:4])
    chat = sparrow.chat(video, two)
    box = Prompt(chat.next_id, 0, "box", np.array([10.0, 10, 60, 60]))
    answer = stopped_at(chat, "What is this?", [box] if step == 1 else [], when, step)
    assert not answer.complete and answer.said == () and answer.referents == ()
    assert len(answer.text.split()) == words
    assert len(chat.turns) == 6
    assert same(chat.ask(questions[2]), answers(unbroken.history)[2])


def test_a_stop_while_tracking_keeps_words_and_frames(
    sparrow: Sparrow, video: Video, questions: tuple[str, ...]
) -> None:
    chat = sparrow.chat(video)
    answer = stopped_at(chat, questions[0], (), "track", 4)
    assert answer.said and not answer.complete
    assert np.count_nonzero(answer.tracks[0].scores) == 4
    restarted = sparrow.chat(video, from_disk(chat.history))
    follow_up = [each.ask(questions[3]) for each in (chat, restarted)]
    assert same(*follow_up)


def listened_to(chat: Chat, question: str, kind: type) -> Iterator[object]:
    """Ask, and listen up to the first event of a kind."""
    stream = chat.stream(question)
    for event in stream:
        if isinstance(event, kind):
            return stream
    raise AssertionError(f"no {kind}")


@pytest.mark.parametrize("kind", [Progress, TextDelta, TracksSoFar])
def test_a_listener_that_left_leaves_no_trace(
    sparrow: Sparrow, video: Video, unbroken: Chat, questions: tuple[str, ...], kind: type
) -> None:
    chat = sparrow.chat(video)
    listened_to(chat, questions[2], kind).close()  # type: ignore[attr-defined]
    assert chat.turns == [] and chat.tracks == {}
    assert same(chat.ask(questions[0]), answers(unbroken.history)[0])


@pytest.mark.parametrize("kind", [TextDelta, TracksSoFar])
def test_an_answer_left_for_a_newer_question_cannot_be_read_on(
    sparrow: Sparrow, video: Video, unbroken: Chat, questions: tuple[str, ...], kind: type
) -> None:
    chat = sparrow.chat(video)
    left = listened_to(chat, questions[2], kind)
    assert same(chat.ask(questions[0]), answers(unbroken.history)[0])
    with pytest.raises(StaleError, match="ask again"):
        list(left)
    assert len(chat.turns) == 2


def test_tracks_are_shown_as_they_grow(
    sparrow: Sparrow, video: Video, questions: tuple[str, ...]
) -> None:
    events = list(sparrow.chat(video).stream(questions[0]))
    shown = [event for event in events if isinstance(event, TracksSoFar)]
    answer = events[-1]
    assert isinstance(answer, GroundedAnswer)
    assert shown and shown[0].referents == answer.referents
    reached = [np.count_nonzero(event.tracks[0].scores) for event in shown]
    assert reached[0] == 1 and reached == sorted(reached)
    assert not any(event.tracks[0].complete for event in shown)
    last = shown[-1].tracks[0]
    done = np.flatnonzero(last.scores)
    assert [last.rles[t] for t in done] == [answer.tracks[0].rles[t] for t in done]


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (Prompt(1, 99, "box", np.array([1.0, 1, 5, 5])), "expected 0 to 11, got 99"),
        (Prompt(1, 0, "point+", np.array([4000.0, 5])), "inside the 320 x 240 frame"),
        (Prompt(1, 0, "point-", np.array([40.0, 5])), "there is no mask yet"),
    ],
)
def test_questions_with_unusable_prompts_leave_no_trace(
    sparrow: Sparrow, video: Video, prompt: Prompt, told: str
) -> None:
    chat = sparrow.chat(video)
    with pytest.raises(PromptError, match=told):
        chat.ask("What is this?", [prompt])
    assert chat.turns == []


def test_a_thing_with_a_track_is_pointed_at_by_it_whatever_was_clicked(
    sparrow: Sparrow, scene: Scene, video: Video, questions: tuple[str, ...]
) -> None:
    chat = sparrow.chat(video)
    chat.ask(questions[0])
    off = Prompt(1, 3, "point-", np.array([5.0, 5.0]))
    answer = chat.ask("What is this?", [off])
    assert scene.things[0].noun in answer.text.lower()


def test_a_thing_seen_only_between_the_sampled_frames_can_be_pointed_at(
    sparrow: Sparrow, scene: Scene, video: Video
) -> None:
    sampled = video.sample(8)
    between = next(t for t in range(video.num_frames) if t not in sampled)
    masks = [scene.render(t).masks[0] & (t == between) for t in range(video.num_frames)]
    track = MaskTrack.from_masks(1, masks, [1.0] * video.num_frames)
    chat = sparrow.chat(video)
    chat.add(track, "object 1")
    y, x = np.argwhere(masks[between])[0]
    off = Prompt(1, between, "point-", np.array([x, y], np.float32))
    assert chat.ask("What is this?", [off]).complete


def test_a_video_of_one_frame_is_recalled(sparrow: Sparrow, tmp_path: Path) -> None:
    scene = Scene.sample(SEED, difficulty="easy", atlas=load_atlas(), num_frames=1)
    video = video_of(scene, tmp_path)
    chat = sparrow.chat(video)
    chat.ask("How many things are there?")
    again = sparrow.chat(video, from_disk(chat.history))
    question = f"Segment the {scene.things[0].noun}."
    assert same(again.ask(question), chat.ask(question))
