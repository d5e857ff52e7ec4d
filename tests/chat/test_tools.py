"""The tools, called as an agent calls them, on a real session with the sparrow-mini that ships."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.prebuilt import ToolNode

from sparrow.chat.tools import seconds_seen, video_tools
from sparrow.export.youtube_vis import read_masks_json
from sparrow.local_backend import LocalBackend
from sparrow.masks import iou
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.types import MaskTrack, TrackBuilder
from sparrow.video import Video
from sparrow.world.scene import Scene
from tests.chat.scripted import Scripted


def call(tool: str, /, **arguments: Any) -> dict[str, Any]:
    return {"name": tool, "args": arguments, "id": f"call-{tool}", "type": "tool_call"}


@pytest.fixture
def use(backend: LocalBackend, session: Session) -> Callable[..., ToolMessage]:
    tools = {tool.name: tool for tool in video_tools(backend, session)}

    def use(tool: str, /, **arguments: Any) -> ToolMessage:
        message = tools[tool].invoke(call(tool, **arguments))
        assert isinstance(message, ToolMessage)
        return message

    return use


def test_a_model_is_told_what_each_tool_takes(backend: LocalBackend, session: Session) -> None:
    tools = {tool.name: tool for tool in video_tools(backend, session)}
    assert list(tools) == [
        "ground",
        "track",
        "describe_region",
        "when_visible",
        "count",
        "export_video",
    ]
    for tool in tools.values():
        assert len(tool.description) > 20
        assert all(argument["description"] for argument in tool.args.values())
    schema = tools["track"].tool_call_schema
    assert isinstance(schema, type)
    assert schema.model_json_schema()["required"] == ["frame"]
    assert tools["export_video"].args["look"]["enum"][0] == "mask"


def test_things_are_found_by_words(
    use: Callable[..., ToolMessage], session: Session, scene: Scene
) -> None:
    noun = scene.things[0].noun
    found = use("ground", what=f"the {noun}.")
    (referent,) = found.artifact["referents"]
    assert (referent["id"], found.artifact["complete"]) == (1, True)
    start, end = referent["span"]
    assert found.text[start:end] == referent["phrase"] == f"The {noun}"
    assert "(id 1) is seen from 0.0 s to 1.2 s" in found.text
    truth = [scene.render(t).masks[0] for t in range(12)]
    track = session.history.tracks[1]
    assert sum(iou(track.mask(t), truth[t]) for t in range(12)) / 12 > 0.5
    assert use("ground", what=f"the {noun}").artifact["referents"][0]["id"] == 1
    absent = use("ground", what="the zebra")
    assert absent.artifact["referents"] == [] and "no zebra" in absent.text


def test_what_is_pointed_at_is_followed_described_and_named(
    use: Callable[..., ToolMessage], session: Session, scene: Scene
) -> None:
    box = scene.render(0).boxes[0].tolist()
    followed = use("track", frame=0, box=box, name="the  hero")
    assert followed.artifact["referents"][0]["phrase"] == "The hero"
    assert session.history.phrases == {1: "the hero"}
    assert iou(session.history.tracks[1].mask(0), scene.render(0).masks[0]) > 0.6
    described = use("describe_region", frame=0, box=box)
    assert scene.things[0].noun in described.text.lower()
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    assert use("track", frame=0, point=[x, y]).artifact["referents"][0]["id"] == 3


def test_times_and_numbers_are_exact(
    use: Callable[..., ToolMessage], session: Session, scene: Scene
) -> None:
    noun = scene.things[0].noun
    by_words = use("when_visible", what=f"the {noun}")
    by_id = use("when_visible", what="1")
    assert by_words.artifact["referents"][0]["seconds_seen"] == [(0.0, 1.2)]
    assert by_id.artifact["referents"][0]["seconds_seen"] == [(0.0, 1.2)]
    counted = use("count", what="things")
    assert ("no", "one", "two", "three", "four")[counted.artifact["count"]] in counted.text
    none = use("count", what="lemons")
    assert none.artifact["count"] == 0 and "no lemons" in none.text


def test_files_are_made_for_the_user(
    use: Callable[..., ToolMessage], session: Session, scene: Scene
) -> None:
    use("ground", what=f"the {scene.things[0].noun}")
    made = use("export_video", look="blur-rest")
    path = Path(made.artifact["file"])
    assert path.parent.parent == session.folder and str(session.folder) not in made.text
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 12
    masks = use("export_video", kind="youtube-vis", referents=[1])
    (track,) = read_masks_json(masks.artifact["file"])
    assert track.rles == session.history.tracks[1].rles


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("track", {"frame": 0}, "either a box or a point"),
        ("track", {"frame": -1, "box": [0, 0, 5, 5]}, "frame"),
        ("track", {"frame": 99, "box": [0, 0, 5, 5]}, "expected 0 to 11"),
        ("track", {"frame": 0, "box": [0, 0, 5]}, "pointing"),
        ("track", {"frame": 0, "point": [1, 2, 3]}, "pointing"),
        ("when_visible", {"what": "7"}, r"expected a known id \(none yet\)"),
        ("export_video", {"referents": [7]}, r"expected ids among \[\], got \[7\]"),
        ("describe_region", {"frame": 0, "box": [0, 0, 5, 5], "question": ""}, "expected some"),
    ],
)
def test_a_model_reads_what_was_wrong_with_its_call(
    use: Callable[..., ToolMessage], name: str, arguments: dict[str, Any], expected: str
) -> None:
    message = use(name, **arguments)
    assert message.status == "error" and re.search(expected, message.text)


def test_artifacts_last_in_a_checkpoint_and_hold_no_mask(
    use: Callable[..., ToolMessage], session: Session, scene: Scene
) -> None:
    found = use("ground", what=f"the {scene.things[0].noun}")
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed(found)
    again = serde.loads_typed(stored)
    assert json.dumps(again.artifact) == json.dumps(found.artifact)
    rle = session.history.tracks[1].rles[0]
    assert rle is not None and rle not in stored[1] and len(stored[1]) < 6000


def test_calls_at_the_same_time_wait_for_each_other(
    backend: LocalBackend, session: Session, scene: Scene
) -> None:
    node = ToolNode(video_tools(backend, session))
    calls = [
        {**call("ground", what=f"the {thing.noun}"), "id": str(number)}
        for number, thing in enumerate(scene.things[:2])
    ]
    agent = create_agent(
        Scripted(responses=[AIMessage("", tool_calls=calls), AIMessage("Done.")]),
        tools=node.tools_by_name.values(),
    )
    messages = agent.invoke({"messages": [HumanMessage("Find both.")]})["messages"]
    found = [m.artifact["referents"][0]["id"] for m in messages if isinstance(m, ToolMessage)]
    assert sorted(found) == [1, 2] == sorted(session.history.tracks)


def test_any_tool_calling_model_points_into_a_video(
    backend: LocalBackend, session: Session, scene: Scene
) -> None:
    """The agent of docs/assistant.md, with a scripted model; the tools are real."""
    noun = scene.things[0].noun
    script: list[BaseMessage] = [
        AIMessage("", tool_calls=[call("ground", what=f"the {noun}")]),
        AIMessage("", tool_calls=[call("export_video", referents=[1], look="spotlight")]),
        AIMessage(f"I have put a spotlight on the {noun}."),
    ]
    tools: list[BaseTool] = video_tools(backend, session)
    agent = create_agent(Scripted(responses=script), tools, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": session.id}}
    answer = agent.invoke({"messages": [HumanMessage(f"Put a spotlight on the {noun}.")]}, config)
    assert answer["messages"][-1].text == script[-1].text
    artifacts = [m.artifact for m in answer["messages"] if isinstance(m, ToolMessage)]
    assert artifacts[0]["referents"][0]["id"] == 1
    assert Path(artifacts[1]["file"]).stat().st_size > 1000


def test_a_session_without_a_video_is_explained(backend: LocalBackend, sessions: Sessions) -> None:
    (tool,) = [t for t in video_tools(backend, sessions.open()) if t.name == "ground"]
    assert "open a video in it" in tool.invoke(call("ground", what="the fox")).text


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        ([0] * 12, []),
        ([1] * 12, [(0.0, 1.2)]),
        ([1] + [0] * 11, [(0.0, 0.1)]),
        ([0] * 11 + [1], [(1.1, 1.2)]),
        ([0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0], [(0.1, 0.3), (0.5, 0.8)]),
    ],
)
def test_when_a_thing_is_seen(
    video: Video, visible: list[int], seen: list[tuple[float, float]]
) -> None:
    builder = TrackBuilder(1, video.size_hw, 12)
    for frame, there in enumerate(visible):
        builder.put(frame, np.full(video.size_hw, bool(there)), 1.0)
    track: MaskTrack = builder.build()
    assert seconds_seen(track, video) == seen
