"""A conversation in a session: words, tools, branches; it is there again when it is opened again."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from sparrow.backend import answer_of
from sparrow.chat import ChatSparrow
from sparrow.chat.assistant import Assistant
from sparrow.chat.messages import grounding_of, write_question
from sparrow.chat.thread import split_unfinished
from sparrow.errors import Busy, PromptError
from sparrow.local_backend import LocalBackend
from sparrow.sessions.record import Exchange
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.types import Prompt, TracksSoFar
from sparrow.world.scene import Scene
from tests.chat.scripted import Scripted


def ask(assistant: Assistant, question: str | HumanMessage, **how: Any) -> BaseMessage:
    for _ in assistant.ask(question, **how):
        pass
    return assistant.messages[-1]


def ids(message: BaseMessage) -> list[int]:
    grounding = grounding_of(message)
    assert grounding is not None
    return [referent.id for referent in grounding.referents]


def test_words_and_tools_take_turns(assistant: Assistant, session: Session, scene: Scene) -> None:
    first, second = (thing.noun for thing in scene.things[:2])
    assert ids(ask(assistant, f"Segment the {first}.")) == [1]
    when = ask(assistant, "When is it visible?")
    assert when.text == f"The {first} (id 1) is seen from 0.0 s to 1.2 s." and ids(when) == [1]
    assert ids(ask(assistant, f"When is the {second} visible?")) == [2]
    doing = ask(assistant, "What is it doing?")
    assert ids(doing) == [2] and second in doing.text  # what the tool spoke of
    saved = ask(assistant, "Save it with a spotlight.")
    tool = assistant.messages[-2]
    assert isinstance(tool, ToolMessage) and tool.artifact["referents"] == [2]
    assert Path(tool.artifact["file"]).is_file() and "annotated.mp4" in saved.text
    assert [(e.question, e.state) for e in session.exchanges] == [
        (f"Segment the {first}.", "done"),
        ("When is it visible?", "done"),
        (f"When is the {second} visible?", "done"),
        ("What is it doing?", "done"),
        ("Save it with a spotlight.", "done"),
    ]
    assert sorted(session.history.tracks) == [1, 2] and len(session.history.turns) == 10


def test_words_are_streamed(assistant: Assistant) -> None:
    words = [chunk.text for chunk in assistant.ask("What is moving?") if chunk.text]
    assert len(words) > 2 and "".join(words) == assistant.messages[-1].text


def test_what_is_pointed_at_is_followed_without_words(assistant: Assistant, scene: Scene) -> None:
    box = scene.render(0).boxes[0].tolist()
    followed = ask(assistant, ChatSparrow.question("Follow this.", frame=0, box=box))
    assert followed.text.startswith("Object 1 (id 1) is seen") and ids(followed) == [1]
    described = ask(assistant, ChatSparrow.question("What is this?", referent=1))
    assert scene.things[0].noun in described.text.lower()


def test_a_question_can_replace_another(
    assistant: Assistant, session: Session, scene: Scene
) -> None:
    first, second = (thing.noun for thing in scene.things[:2])
    ask(assistant, f"Segment the {first}.")
    assert ids(ask(assistant, f"Segment the {second}.")) == [2]
    track = session.history.tracks[2]
    ask(assistant, "What is it doing?")
    assert ids(ask(assistant, f"Where is the {second}?", instead_of=1)) == [2]
    assert session.history.tracks[2] is track  # what was found before is the same
    left = [f"Segment the {first}.", f"Where is the {second}?"]
    assert [m.text for m in assistant.messages if isinstance(m, HumanMessage)] == left
    assert [e.question for e in session.exchanges] == left
    assert len(session.history.turns) == 4
    with pytest.raises(PromptError, match="expected a question from 0 to 1, got 2"):
        ask(assistant, "What?", instead_of=2)


def test_a_question_that_cannot_be_used_leaves_no_trace(
    assistant: Assistant, session: Session
) -> None:
    ask(assistant, "How many things are there?")
    with pytest.raises(PromptError):
        ask(assistant, "fox " * 900)
    with pytest.raises(PromptError, match="video of its own"):
        ask(assistant, write_question("What?", video="other.mp4"))
    assert len(assistant.messages) == len(session.exchanges) * 4 == 4  # count is a tool
    assert ask(assistant, "What is moving?").text
    assert len(session.exchanges) == 2 and not session.working


def test_one_question_at_a_time(assistant: Assistant) -> None:
    stream = assistant.ask("What is moving?")
    next(stream)
    with pytest.raises(Busy):
        next(assistant.ask("What is moving?"))
    stream.close()  # type: ignore[attr-defined]
    assert ask(assistant, "What is moving?").text


def test_it_is_all_there_again(
    backend: LocalBackend, sessions: Sessions, session: Session, scene: Scene
) -> None:
    assistant = Assistant(backend, session)
    ask(assistant, f"Segment the {scene.things[0].noun}.")
    before, rles = assistant.messages, session.history.tracks[1].rles
    assistant.close()
    sessions.close()
    backend.forget(session.id)
    opened = Sessions(sessions.root).get(session.id)
    assistant = Assistant(backend, opened)
    assert assistant.messages == before and assistant.unfinished == ""
    assert opened.history.tracks[1].rles == rles
    assert ids(ask(assistant, "What is it doing?")) == [1]
    assert opened.history.tracks[1].rles == rles  # not tracked anew
    assistant.close()


def test_only_the_latest_state_is_kept(assistant: Assistant, session: Session) -> None:
    for _ in range(3):
        ask(assistant, "How many things are there?")
    database = sqlite3.connect(session.folder / "session.db")
    assert database.execute("SELECT COUNT(*) FROM checkpoints").fetchone() == (1,)
    database.close()


def test_two_sessions_stay_apart(
    backend: LocalBackend, sessions: Sessions, session: Session, scene: Scene
) -> None:
    other = sessions.open()
    other.video = session.video.__class__(**vars(session.video)) if session.video else None
    one = Assistant(backend, session)
    with pytest.raises(PromptError, match="it has none"):
        Assistant(backend, sessions.open())
    ask(one, f"Segment the {scene.things[0].noun}.")
    assert other.history.tracks == {} and other.exchanges == []
    one.close()


def test_another_model_may_lead(backend: LocalBackend, session: Session, scene: Scene) -> None:
    noun = scene.things[0].noun
    called = {"name": "ground", "args": {"what": f"the {noun}"}, "id": "1"}
    script: list[BaseMessage] = [
        AIMessage("", tool_calls=[called]),
        AIMessage(f"I found the {noun}."),
        AIMessage("Yes."),
    ]
    assistant = Assistant(backend, session, llm=Scripted(responses=script))
    assert ask(assistant, f"Is there a {noun}?").text == f"I found the {noun}."
    assert ask(assistant, "Sure?").text == "Yes."
    assert [e.text for e in session.exchanges] == [f"I found the {noun}.", "Yes."]
    assert sorted(session.history.tracks) == [1]
    assistant.close()


def test_another_model_is_not_asked_again_after_stop(
    backend: LocalBackend, session: Session, scene: Scene
) -> None:
    called = {"name": "ground", "args": {"what": f"the {scene.things[0].noun}"}, "id": "1"}
    llm = Scripted(responses=[AIMessage("", tool_calls=[called]), AIMessage("Never said.")])
    assistant = Assistant(backend, session, llm=llm)
    stream = assistant.ask("Find it.")
    for message in stream:
        if isinstance(message, AIMessage) and message.tool_calls:
            assistant.stop()
    assert assistant.messages[-1].text == "Stopped."
    assert isinstance(assistant.messages[-2], ToolMessage)
    assistant.close()


HUMAN, TOOL = HumanMessage("A?"), ToolMessage("found", tool_call_id="1")
CALLS = AIMessage("", tool_calls=[{"name": "ground", "args": {}, "id": "1"}])
ANSWER = AIMessage("B.")


@pytest.mark.parametrize(
    ("messages", "unfinished"),
    [
        ([], 0),
        ([HUMAN], 1),
        ([HUMAN, CALLS], 2),
        ([HUMAN, CALLS, TOOL], 3),
        ([HUMAN, CALLS, TOOL, ANSWER], 0),
        ([HUMAN, ANSWER, HUMAN], 1),
        ([HUMAN, ANSWER, HUMAN, CALLS, TOOL], 3),
    ],
)
def test_what_is_unfinished(messages: list[BaseMessage], unfinished: int) -> None:
    finished, rest = split_unfinished(messages)
    assert len(rest) == unfinished and [*finished, *rest] == messages


@pytest.mark.parametrize("led", [False, True])
def test_what_the_page_said_in_a_session_goes_on(
    backend: LocalBackend, sessions: Sessions, session: Session, scene: Scene, led: bool
) -> None:
    """The page writes exchanges and a history, and no messages."""
    assert session.video is not None
    noun, box = scene.things[0].noun, Prompt(1, 0, "box", scene.render(0).boxes[0])
    tracked = [e for e in backend.track(session.video, [box]) if isinstance(e, TracksSoFar)]
    session.history = session.history.with_track(tracked[-1].tracks[0], "object 1")
    answer = answer_of(backend.ask("page", session.video, session.history, "What is this?", [box]))
    session.history = session.history.after("What is this?", [box], answer)
    session.exchanges = [
        Exchange("What is this?", (1,), (box,), answer.text, answer, "done"),
        Exchange("Broken?", state="failed"),
    ]
    with session.lock:
        session.save()
    llm = Scripted(responses=[AIMessage("It is well.")]) if led else None
    assistant = Assistant(backend, session, llm=llm)
    assert [m.text for m in assistant.messages] == ["What is this?", answer.text]
    assert ids(assistant.messages[1]) == [1] and assistant.unfinished == ""
    last = ask(assistant, "What is it doing?")
    if led:
        assert last.text == "It is well."
    else:
        assert ids(last) == [1] and noun in last.text.lower()
    assert [e.question for e in session.exchanges] == ["What is this?", "What is it doing?"]
    assert session.exchanges[0].prompts[0].coordinates.tolist() == box.coordinates.tolist()
    before = assistant.messages
    assistant.close()
    again = Assistant(backend, session, llm=llm)
    assert again.messages == before
    again.close()
