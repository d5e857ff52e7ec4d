"""ChatSparrow as a LangChain program uses it, with the sparrow-mini that ships."""

from __future__ import annotations

import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from sparrow.chat import ChatSparrow
from sparrow.chat.messages import Box, Known, Point, grounding_of, write_question
from sparrow.errors import BackendError, PromptError, VideoError
from sparrow.local_backend import LocalBackend
from sparrow.masks import iou
from sparrow.types import Progress, TracksSoFar
from sparrow.video import Video
from sparrow.world.scene import Scene


def ids(message: BaseMessage) -> list[int]:
    grounding = grounding_of(message)
    assert grounding is not None
    return [referent.id for referent in grounding.referents]


def first_box(scene: Scene) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = scene.render(0).boxes[0].tolist()
    return x0, y0, x1, y1


def test_words_are_streamed_and_the_last_chunk_says_the_rest(
    chat: ChatSparrow, scene: Scene
) -> None:
    chunks = list(chat.stream(f"Segment the {scene.things[0].noun}."))
    words = [chunk.text for chunk in chunks if chunk.text]
    assert len(words) >= 3 and scene.things[0].noun in "".join(words)
    assert all(not chunk.response_metadata for chunk in chunks[:-2])
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert whole.text == "".join(words)
    assert whole.response_metadata["model_name"] == "sparrow-mini"
    assert whole.response_metadata["finish_reason"] == "stop"
    grounding = grounding_of(whole)
    assert grounding is not None and grounding.complete
    (referent,) = grounding.referents
    start, end = referent.span or (0, 0)
    assert referent.id == 1 and whole.text[start:end] == referent.phrase
    assert grounding.frames == tuple(sorted(grounding.frames)) and len(grounding.frames) == 8
    assert {place.frame for place in referent.seen} >= set(grounding.frames)


def test_masks_are_with_the_model_and_not_in_the_message(chat: ChatSparrow, scene: Scene) -> None:
    answer = chat.invoke(f"Segment the {scene.things[0].noun}.")
    (track,) = chat.tracks(answer)
    assert np.mean([iou(track.mask(t), scene.render(t).masks[0]) for t in range(12)]) > 0.5
    assert len(answer.model_dump_json()) < 4000
    rle = track.rles[0]
    assert rle is not None and rle.decode() not in answer.model_dump_json()


def test_usage_is_counted(chat: ChatSparrow, scene: Scene) -> None:
    first = chat.invoke("How many things are there?")
    assert first.usage_metadata is not None
    details = dict(first.usage_metadata["input_token_details"])
    assert details["video"] >= 2  # the null token and at least one thing
    assert first.usage_metadata["input_tokens"] == details["video"] + 6
    assert first.usage_metadata["output_tokens"] >= 4
    later = chat.invoke(["How many things are there?", first, HumanMessage("Where is it?")])
    assert later.usage_metadata is not None
    assert later.usage_metadata["input_tokens"] > first.usage_metadata["input_tokens"]


def test_a_follow_up_goes_on_from_the_messages_alone(chat: ChatSparrow, scene: Scene) -> None:
    messages: list[BaseMessage] = [HumanMessage(f"Segment the {scene.things[0].noun}.")]
    messages.append(chat.invoke(messages))
    track = chat.tracks(messages[-1])[0]
    messages.append(HumanMessage("What is it doing?"))
    second = chat.invoke(messages)
    assert scene.things[0].noun in second.text.lower()
    assert ids(second) == [1] and chat.tracks(second)[0] is track
    messages += [second, HumanMessage(f"Segment the {scene.things[1].noun}.")]
    assert ids(chat.invoke(messages)) == [2]


def test_a_model_that_remembers_nothing_finds_the_things_again(
    chat: ChatSparrow, backend: LocalBackend, video: Video, scene: Scene
) -> None:
    messages: list[BaseMessage] = []
    for number in (0, 1):
        messages.append(HumanMessage(f"Segment the {scene.things[number].noun}."))
        messages.append(chat.invoke(messages))
    before = chat.tracks(messages[1])[0]
    messages.append(HumanMessage(f"What is the {scene.things[0].noun} doing?"))
    other = ChatSparrow(backend=backend, video=video)
    answer = other.invoke(messages)
    assert ids(answer) == [1]
    after = other.tracks(answer)[0]
    assert np.mean([iou(before.mask(t), after.mask(t)) for t in range(12)]) > 0.9
    messages += [answer, HumanMessage(f"Where is the {scene.things[1].noun}?")]
    assert ids(other.invoke(messages)) == [2]


def test_a_model_that_remembers_nothing_tracks_the_users_drawings_again(
    chat: ChatSparrow, backend: LocalBackend, video: Video, scene: Scene
) -> None:
    question = chat.question("What is this?", frame=0, box=first_box(scene))
    answer = chat.invoke([question])
    other = ChatSparrow(backend=backend, video=video)
    later = other.invoke([question, answer, chat.question("What is this doing?", referent=1)])
    assert ids(later) == [1]
    assert other.tracks(later)[0].rles == chat.tracks(answer)[0].rles


def test_regenerating_and_editing_branch(chat: ChatSparrow, scene: Scene) -> None:
    fox, other = (thing.noun for thing in scene.things[:2])
    first = HumanMessage(f"Segment the {fox}.")
    answer = chat.invoke([first])
    again = [first, answer, HumanMessage("What is it doing?")]
    one, two = chat.invoke(again), chat.invoke(again)
    assert (one.text, ids(one)) == (two.text, ids(two))
    edited = chat.invoke([first, answer, HumanMessage(f"Segment the {other}.")])
    assert other in edited.text and ids(edited) == [2]
    rewritten = AIMessage(answer.text.upper(), response_metadata=answer.response_metadata)
    assert ids(chat.invoke([first, rewritten, HumanMessage(f"Where is the {fox}?")])) == [1]
    assert ids(chat.invoke([HumanMessage(f"Segment the {other}.")])) == [1]  # knows of no other


def test_two_branches_at_once_stay_apart(chat: ChatSparrow, scene: Scene) -> None:
    first = HumanMessage(f"Segment the {scene.things[0].noun}.")
    answer = chat.invoke([first])
    branch = [first, answer, HumanMessage(f"Segment the {scene.things[1].noun}.")]
    one, two = chat.stream(branch), chat.stream(branch)
    pairs = list(zip_longest(one, two))
    lefts = [left for left, _ in pairs if left is not None]
    rights = [right for _, right in pairs if right is not None]
    assert "".join(c.text for c in lefts) == "".join(c.text for c in rights)
    assert ids(lefts[-1]) == ids(rights[-1]) == [2]
    grounded = [grounding_of(side[-1]) for side in (lefts, rights)]
    assert len({g.conversation for g in grounded if g is not None}) == 2


def test_what_is_pointed_at_gets_an_id_and_takes_part(chat: ChatSparrow, scene: Scene) -> None:
    question = chat.question("What is this?", frame=0, box=first_box(scene))
    answer = chat.invoke([question])
    assert scene.things[0].noun in answer.text.lower()
    grounding = grounding_of(answer)
    assert grounding is not None and grounding.pointed == (1,) and ids(answer) == [1]
    (track,) = chat.tracks(answer)
    assert iou(track.mask(0), scene.render(0).masks[0]) > 0.6
    later = chat.invoke([question, answer, chat.question("What is this doing?", referent=1)])
    assert scene.things[0].noun in later.text.lower() and ids(later) == [1]
    x, y = (track.boxes[5][:2] + track.boxes[5][2:]) / 2
    clicks = [Point(frame=5, xy=(x, y)), Point(frame=5, xy=(x, y), referent=1)]
    both = chat.invoke([question, answer, write_question("What are these?", clicks)])
    found = grounding_of(both)
    assert found is not None and found.pointed == (2, 1)


@pytest.mark.parametrize(
    ("pointing", "expected"),
    [
        (Known(id=7), "referent 7: expected one that was spoken of"),
        (Box(frame=0, xyxy=(1, 2, 3, 4), referent=9), "referent 9"),
        (Box(frame=99, xyxy=(1, 2, 3, 4)), "expected 0 to 11, got 99"),
        (Box(frame=0, xyxy=(5, 2, 3, 4)), "x0 < x1"),
        (Point(frame=0, xy=(5000, 2)), "inside the 320 x 240 frame"),
    ],
    ids=str,
)
def test_pointings_at_nothing_are_refused(
    chat: ChatSparrow, pointing: Box | Point | Known, expected: str
) -> None:
    with pytest.raises(PromptError, match=expected):
        chat.invoke([write_question("What is this?", [pointing])])


def test_old_turns_are_left_out_and_what_was_found_stays_known(
    backend: LocalBackend, video: Video, scene: Scene
) -> None:
    chat = ChatSparrow(backend=backend, video=video, max_history_words=40)
    messages: list[BaseMessage] = [HumanMessage(f"Segment the {scene.things[0].noun}.")]
    messages.append(chat.invoke(messages))
    read = []
    for _ in range(6):
        messages.append(HumanMessage("How many things are there?"))
        messages.append(chat.invoke(messages))
        assert isinstance(messages[-1], AIMessage)
        usage = messages[-1].usage_metadata
        assert usage is not None
        read.append(usage["input_tokens"] - dict(usage["input_token_details"])["video"])
    assert max(read) <= 40 + 6
    messages.append(HumanMessage(f"Where is the {scene.things[0].noun}?"))
    assert ids(chat.invoke(messages)) == [1]


def test_stop_sequences_and_the_longest_answer(
    chat: ChatSparrow, backend: LocalBackend, video: Video
) -> None:
    whole = chat.invoke("How many things are there?").text
    word = whole.split()[2]
    cut = chat.invoke("How many things are there?", stop=[word])
    assert cut.text == whole[: whole.index(word)]
    assert cut.response_metadata["finish_reason"] == "stop"
    short = ChatSparrow(backend=backend, video=video, max_tokens=2)
    answer = short.invoke("How many things are there?")
    assert whole.startswith(answer.text) and len(answer.text.split()) == 2
    assert answer.response_metadata["finish_reason"] == "length"
    assert chat.invoke("How many things are there?", max_tokens=1).text == whole.split()[0]


def test_steps_are_told(backend: LocalBackend, video: Video, scene: Scene) -> None:
    told: list[Progress | TracksSoFar] = []
    chat = ChatSparrow(backend=backend, video=video, progress=told.append)
    chat.invoke(f"Segment the {scene.things[0].noun}.")
    steps = [event.step for event in told if isinstance(event, Progress)]
    assert steps[0] == "read" and steps.count("track") == 12


async def test_async_and_batch_give_the_same(chat: ChatSparrow) -> None:
    questions = ["How many things are there?", "What is moving?"]
    one_by_one = [chat.invoke(question).text for question in questions]
    assert [answer.text for answer in chat.batch(questions)] == one_by_one
    assert [answer.text for answer in await chat.abatch(questions)] == one_by_one
    streamed = [chunk.text async for chunk in chat.astream(questions[0])]
    assert "".join(streamed) == one_by_one[0]


def test_the_video_is_saved_with_its_things_marked(
    chat: ChatSparrow, scene: Scene, tmp_path: Path
) -> None:
    import av

    answer = chat.invoke(f"Segment the {scene.things[0].noun}.")
    out = chat.save_video(answer, tmp_path / "annotated.mp4")
    with av.open(str(out)) as container:
        assert container.streams.video[0].frames == 12


def test_what_cannot_be_answered_is_explained(
    chat: ChatSparrow, backend: LocalBackend, tmp_path: Path
) -> None:
    with pytest.raises(PromptError, match="expected a video or image block"):
        ChatSparrow(backend=backend).invoke("Hello")
    with pytest.raises(PromptError, match="there is none"):
        ChatSparrow(backend=backend, video=tmp_path / "none.mp4").invoke("Hello")
    with pytest.raises(PromptError, match="got none"):
        chat.invoke([HumanMessage([{"type": "text", "text": "?!"[:0]}])])
    with pytest.raises(PromptError, match="expected an answer of ChatSparrow"):
        chat.tracks(AIMessage("Hello"))
    (tmp_path / "no.mp4").write_text("no video")
    with pytest.raises(VideoError):
        chat.invoke([write_question("What?", video=str(tmp_path / "no.mp4"))])
    with pytest.raises(ValueError, match="temperature"):
        ChatSparrow(temperature=0.7)


def test_another_machine_that_does_not_answer_is_explained(
    monkeypatch: pytest.MonkeyPatch, video: Video
) -> None:
    monkeypatch.setenv("SPARROW_BACKEND", "http://127.0.0.1:9")
    with pytest.raises(BackendError, match="127"):
        ChatSparrow(video=video).invoke("Hello")


def test_an_answer_of_another_process_has_no_masks_here(
    chat: ChatSparrow, backend: LocalBackend, video: Video, scene: Scene
) -> None:
    answer = chat.invoke(f"Segment the {scene.things[0].noun}.")
    with pytest.raises(PromptError, match="still known"):
        ChatSparrow(backend=backend, video=video).tracks(answer)


def test_langchains_own_count_needs_no_network(chat: ChatSparrow) -> None:
    assert chat.get_num_tokens("Where is the fox?") == 5
    assert chat.get_num_tokens_from_messages([HumanMessage("Where is the fox?")]) > 5


def test_imports_stay_light() -> None:
    code = """
import sys
def absent(*modules):
    assert not set(modules) & set(sys.modules), set(modules) & set(sys.modules)
import sparrow, sparrow.page
absent("langchain_core", "torch")
import sparrow.chat
absent("langgraph", "torch")
import sparrow.chat.tools
absent("langgraph", "torch")
import sparrow.chat.assistant
absent("langchain.agents", "torch")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
