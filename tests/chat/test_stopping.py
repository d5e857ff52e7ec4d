"""Stop, counted in words and frames: what the model still does after it. No clock is read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from sparrow.chat import ChatSparrow
from sparrow.chat.assistant import Assistant
from sparrow.chat.messages import grounding_of
from sparrow.local_backend import LocalBackend
from sparrow.types import Progress, TracksSoFar
from sparrow.video import Video
from sparrow.world.scene import Scene
from tests.chat.counting import Forwards

LONG = "What things are there?"
"""A question whose answer has enough words to be stopped in."""


class AtWord(BaseCallbackHandler):
    """Does something when the model has said so many words."""

    def __init__(self, word: int, then: Any) -> None:
        self.left = word
        self.then = then

    def on_llm_new_token(self, token: str, **_: Any) -> None:
        if token:
            self.left -= 1
            if self.left == 0:
                self.then()


def asked() -> dict[str, list[HumanMessage]]:
    """The input of a graph."""
    return {"messages": [HumanMessage(LONG)]}


def words_of(chunks: Iterator[AIMessageChunk], count: int) -> list[str]:
    """Take so many words of a stream."""
    words: list[str] = []
    for chunk in chunks:
        words += [chunk.text] if chunk.text else []
        if len(words) == count:
            break
    return words


def test_closing_a_stream_makes_no_further_word(chat: ChatSparrow, forwards: Forwards) -> None:
    stream = chat.stream(LONG)
    assert len(words_of(stream, 2)) == 2
    before = forwards.words
    stream.close()
    assert forwards.words == before
    assert chat.invoke(LONG).response_metadata["finish_reason"] == "stop"


def test_the_event_of_the_model_ends_the_answer_within_a_word(
    backend: LocalBackend, video: Video, forwards: Forwards
) -> None:
    stop = threading.Event()
    chat = ChatSparrow(backend=backend, video=video, cancel=stop)
    stream = chat.stream(LONG)
    words = words_of(stream, 2)
    before = forwards.words
    stop.set()
    rest = list(stream)
    assert forwards.words - before <= 1
    assert "".join(c.text for c in rest) == ""
    assert rest[-1].response_metadata["finish_reason"] == "stopped"
    grounding = grounding_of(rest[-1])
    assert grounding is not None and not grounding.complete and len(words) == 2


def test_stop_while_tracking_keeps_the_frames_reached(
    backend: LocalBackend, video: Video, scene: Scene
) -> None:
    stop = threading.Event()

    def after_three(event: Progress | TracksSoFar) -> None:
        if isinstance(event, Progress) and event.step == "track" and event.done == 3:
            stop.set()

    chat = ChatSparrow(backend=backend, video=video, cancel=stop, progress=after_three)
    answer = chat.invoke(f"Segment the {scene.things[0].noun}.")
    (track,) = chat.tracks(answer)
    assert answer.response_metadata["finish_reason"] == "stopped"
    assert not track.complete and np.count_nonzero(track.scores) == 3


def test_closing_a_stream_while_tracking_encodes_no_further_frame(
    chat: ChatSparrow, scene: Scene, forwards: Forwards
) -> None:
    tracked = 0
    stream = chat.stream(f"Segment the {scene.things[0].noun}.")
    for chunk in stream:
        tracked += not chunk.text and forwards.frames > 0
        if tracked == 3:
            break
    before = forwards.frames
    stream.close()
    assert 0 < before < 12 and forwards.frames == before


@pytest.mark.parametrize("streamed", [True, False])
def test_a_thread_of_a_graph_is_stopped_by_its_event_and_no_other(
    chat: ChatSparrow, forwards: Forwards, streamed: bool
) -> None:
    agent = create_agent(chat, tools=[], checkpointer=InMemorySaver())
    whole = agent.invoke(asked(), {"configurable": {"thread_id": "other"}})["messages"][-1]
    assert whole.response_metadata["finish_reason"] == "stop"
    stop = chat.stop_event("mine")
    counts: list[int] = []

    def press() -> None:
        counts.append(forwards.words)
        stop.set()

    config: Any = {"configurable": {"thread_id": "mine"}, "callbacks": [AtWord(2, press)]}
    if streamed:
        list(agent.stream(asked(), config, stream_mode="messages"))
    else:

        def when_read(event: Progress | TracksSoFar) -> None:
            if isinstance(event, Progress) and event.step == "read" and event.done:
                press()

        chat.progress = when_read
        agent.invoke(asked(), config)
    assert forwards.words - counts[0] <= 1
    last = agent.get_state(config).values["messages"][-1]
    assert last.response_metadata["finish_reason"] == "stopped"
    assert whole.text.startswith(last.text) and len(last.text) < len(whole.text)
    again = agent.invoke(asked(), {"configurable": {"thread_id": "other"}})["messages"][-1]
    assert again.response_metadata["finish_reason"] == "stop"
    stop.clear()
    chat.progress = None
    later = agent.invoke(asked(), {"configurable": {"thread_id": "mine"}})["messages"][-1]
    assert later.text == whole.text


def test_a_graphs_stream_that_is_closed_stops_the_model(
    chat: ChatSparrow, forwards: Forwards
) -> None:
    agent = create_agent(chat, tools=[], checkpointer=InMemorySaver())
    stop = chat.stop_event("mine")
    stream = agent.stream(
        {"messages": [HumanMessage(LONG)]},
        {"configurable": {"thread_id": "mine"}},
        stream_mode="messages",
    )
    for chunk, _ in stream:
        if isinstance(chunk, AIMessageChunk) and chunk.text:
            break
    before = forwards.words
    stop.set()
    stream.close()
    assert forwards.words - before <= 1


async def test_a_thread_of_an_async_graph_is_stopped_by_its_event(
    chat: ChatSparrow, forwards: Forwards
) -> None:
    agent = create_agent(chat, tools=[], checkpointer=InMemorySaver())
    stop = chat.stop_event("mine")
    counts: list[int] = []

    def press() -> None:
        counts.append(forwards.words)
        stop.set()

    config: Any = {"configurable": {"thread_id": "mine"}, "callbacks": [AtWord(2, press)]}
    async for _ in agent.astream(asked(), config, stream_mode="messages"):
        pass
    assert forwards.words - counts[0] <= 1
    last = agent.get_state(config).values["messages"][-1]
    assert last.response_metadata["finish_reason"] == "stopped" and last.text


def test_a_stop_that_nobody_holds_does_not_reach_the_next_question(chat: ChatSparrow) -> None:
    agent = create_agent(chat, tools=[], checkpointer=InMemorySaver())
    chat.stop_event("mine").set()
    config: Any = {"configurable": {"thread_id": "mine"}}
    answer = agent.invoke({"messages": [HumanMessage(LONG)]}, config)["messages"][-1]
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_a_cancelled_task_makes_no_further_word(
    chat: ChatSparrow, forwards: Forwards
) -> None:
    await chat.ainvoke(LONG)
    whole = forwards.words
    counts: list[int] = []
    loop = asyncio.get_running_loop()

    def cancel() -> None:
        counts.append(forwards.words)
        loop.call_soon_threadsafe(task.cancel)

    task = asyncio.create_task(chat.ainvoke(LONG, {"callbacks": [AtWord(2, cancel)]}, stream=True))
    with pytest.raises(asyncio.CancelledError):
        await task
    await chat.ainvoke(LONG)  # as many words again
    assert forwards.words - whole - counts[0] <= 1


async def test_closing_an_async_stream_makes_no_further_word(
    chat: ChatSparrow, forwards: Forwards
) -> None:
    stream = chat.astream(LONG)
    words = 0
    async for chunk in stream:
        words += bool(chunk.text)
        if words == 2:
            break
    before = forwards.words
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    assert forwards.words - before <= 1


def test_an_assistant_that_is_left_keeps_what_was_said(
    assistant: Assistant, forwards: Forwards
) -> None:
    stream = assistant.ask(LONG)
    said = ""
    for chunk in stream:
        said += chunk.text if isinstance(chunk, AIMessageChunk) else ""
        if len(said.split()) == 2:
            break
    before = forwards.words
    stream.close()  # type: ignore[attr-defined]
    assert forwards.words - before <= 1
    last = assistant.messages[-1]
    assert isinstance(last, AIMessage) and last.text.startswith(said)
    assert last.response_metadata["finish_reason"] == "stopped"
    assert "".join(m.text for m in assistant.ask(LONG)) != last.text


def test_tools_of_an_assistant_stop_within_a_frame(
    assistant: Assistant, scene: Scene, forwards: Forwards
) -> None:
    box = scene.render(0).boxes[0].tolist()
    stream = assistant.ask(ChatSparrow.question("Follow this.", frame=0, box=box))

    def press() -> None:
        if forwards.frames == 3:
            assistant.stop()

    forwards.at_frame = press
    list(stream)
    assert forwards.frames == 3
    last = assistant.messages[-1]
    assert "stopped" in last.text and last.response_metadata["finish_reason"] == "stopped"
