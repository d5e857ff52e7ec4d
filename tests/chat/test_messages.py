"""Messages in, what was said and is asked out; what answers say of their referents."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    messages_from_dict,
    messages_to_dict,
)

from sparrow.chat.messages import (
    METADATA,
    Box,
    Grounding,
    Known,
    Point,
    Source,
    count_words,
    finished_turns,
    grounding_of,
    read_messages,
    read_pointing,
    write_question,
)
from sparrow.errors import PromptError

GROUNDING = {
    "conversation": "c",
    "answer": "a",
    "video": "v",
    "referents": [
        {
            "id": 1,
            "phrase": "the fox",
            "span": [8, 15],
            "colour": "#e69f00",
            "seen": [{"frame": 3, "xyxy": [1.0, 2.0, 3.0, 4.0]}],
        }
    ],
    "frames": [0, 3],
}


def answer(text: str, grounding: object = None) -> AIMessage:
    return AIMessage(text, response_metadata={} if grounding is None else {METADATA: grounding})


def non_standard(value: object) -> dict[str, Any]:
    return {"type": "non_standard", "value": value}


@pytest.mark.parametrize(
    ("messages", "said", "question"),
    [
        ([HumanMessage("Where is it?")], [], "Where is it?"),
        ([SystemMessage("Be brief."), HumanMessage("A?")], [], "A?"),
        ([HumanMessage("A?"), answer("B."), HumanMessage("C?")], [("A?", "B.")], "C?"),
        ([HumanMessage("lost?"), HumanMessage("C?")], [], "C?"),
        (
            [HumanMessage("A?"), answer("B."), answer("again B."), HumanMessage("C?")],
            [("A?", "B.")],
            "C?",
        ),
        ([answer("Hello!"), HumanMessage("C?")], [], "C?"),
        ([HumanMessage("A?"), answer(""), HumanMessage("C?")], [], "C?"),
        (
            [
                HumanMessage("A?"),
                AIMessage("Let me look.", tool_calls=[{"name": "ground", "args": {}, "id": "1"}]),
                ToolMessage("found", tool_call_id="1"),
                answer("B."),
                HumanMessage("C?"),
            ],
            [("A?", "B.")],
            "C?",
        ),
        (
            [HumanMessage([non_standard({"type": "referent", "id": 4})]), HumanMessage("C?")],
            [],
            "C?",
        ),
    ],
)
def test_what_was_said_and_what_is_asked(
    messages: list[BaseMessage], said: list[tuple[str, str]], question: str
) -> None:
    asked = read_messages(messages)
    assert [(turn.question, turn.text) for turn in asked.said] == said
    assert asked.question == question


@pytest.mark.parametrize(
    "messages", [[], [SystemMessage("x")], [HumanMessage("A?"), answer("B.")]], ids=len
)
def test_a_list_that_asks_nothing_is_refused(messages: list[BaseMessage]) -> None:
    with pytest.raises(PromptError, match="expected a question at the end"):
        read_messages(messages)


@pytest.mark.parametrize(
    ("block", "source"),
    [
        ({"type": "video", "path": "a.mp4"}, Source("path", "a.mp4")),
        ({"type": "video", "base64": "AAAA", "mime_type": "video/mp4"}, Source("bytes", "AAAA")),
        ({"type": "video", "base64": b"raw"}, Source("bytes", b"raw")),
        ({"type": "video", "url": "https://h/a.mp4"}, Source("url", "https://h/a.mp4")),
        ({"type": "image", "path": "a.png"}, Source("path", "a.png", True)),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            Source("bytes", "AAAA", True),
        ),
    ],
)
def test_videos_and_pictures(block: dict[str, Any], source: Source) -> None:
    asked = read_messages([HumanMessage([block, {"type": "text", "text": "What?"}])])
    assert (asked.source, asked.question) == (source, "What?")


def test_a_later_video_begins_anew_and_an_earlier_one_stays() -> None:
    first, second = write_question("A?", video="a.mp4"), write_question("C?", video="b.mp4")
    assert read_messages([first, answer("B."), second]).said == ()
    asked = read_messages([first, answer("B."), HumanMessage("C?")])
    assert asked.source == Source("path", "a.mp4") and len(asked.said) == 1


@pytest.mark.parametrize(
    "block",
    [
        {"type": "video"},
        {"type": "video", "path": "a.mp4", "url": "https://h/a.mp4"},
        {"type": "video", "file_id": "7"},
        {"type": "video", "path": 7},
        {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"},
        non_standard({"type": "box", "frame": 0, "xyxy": [0, 0, 1]}),
        non_standard({"type": "box", "frame": -1, "xyxy": [0, 0, 1, 1]}),
        non_standard({"type": "box", "frame": 0, "xyxy": [0, 0, 1, float("nan")]}),
        non_standard({"type": "point", "frame": 0, "xy": [0, 0]}),
        non_standard({"type": "referent", "id": 0}),
        non_standard({"type": "referent", "id": 1, "more": 1}),
        non_standard("box"),
    ],
    ids=str,
)
def test_blocks_that_cannot_be_used_are_refused(block: dict[str, Any]) -> None:
    with pytest.raises(PromptError, match="expected"):
        read_messages([HumanMessage([block, {"type": "text", "text": "What?"}])])


def test_a_question_is_written_as_it_is_read() -> None:
    pointings = (
        Box(frame=2, xyxy=(1, 2, 3, 4)),
        Point(type="point-", frame=2, xy=(5.5, 6)),
        Known(id=3),
    )
    message = write_question("What is this?", pointings, video=b"\x00\x01")
    assert message.content_blocks[0]["type"] == "video"
    asked = read_messages(messages_from_dict(messages_to_dict([message])))
    assert asked.question == "What is this?" and asked.pointings == pointings
    assert asked.source == Source("bytes", base64.b64encode(b"\x00\x01").decode())
    assert write_question("Plain?").content == "Plain?"


def test_pointings_before_the_words_belong_to_them_and_those_of_a_lost_question_do_not() -> None:
    alone = HumanMessage([non_standard({"type": "referent", "id": 4})])
    assert read_messages([alone, HumanMessage("What?")]).pointings == (Known(id=4),)
    lost = write_question("Lost?", [Known(id=5)])
    assert read_messages([lost, HumanMessage("What?")]).pointings == ()


def test_what_an_answer_says_of_its_referents() -> None:
    said = finished_turns([HumanMessage("A?"), answer("Here is the fox.", GROUNDING)])
    grounding = said[0].grounding
    assert grounding is not None and grounding == Grounding.model_validate(GROUNDING)
    assert grounding.referents[0].seen[0].xyxy == (1, 2, 3, 4)
    assert (
        read_messages([HumanMessage("A?"), answer("B.", GROUNDING), HumanMessage("?")]).conversation
        == "c"
    )
    assert grounding_of(answer("B.")) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "text",
        {**GROUNDING, "referents": [{"id": -1}]},
        {**GROUNDING, "conversation": "c" * 1000},
        {**GROUNDING, "masks": "m"},
        {**GROUNDING, "said": [0] * 20_000},
    ],
    ids=lambda value: str(value)[:30],
)
def test_metadata_that_others_changed_is_refused(wrong: object) -> None:
    with pytest.raises(PromptError, match="leave it as it was"):
        read_messages([HumanMessage("A?"), answer("B.", wrong), HumanMessage("C?")])


def test_a_pointing_may_come_from_anywhere() -> None:
    assert read_pointing({"type": "box", "frame": 1, "xyxy": [0, 1, 2, 3]}) == Box(
        frame=1, xyxy=(0, 1, 2, 3)
    )
    with pytest.raises(PromptError, match="frame"):
        read_pointing({"type": "box", "frame": "x", "xyxy": [0, 1, 2, 3]})


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), (" ", 0), ("fox", 1), ("Where's the fox?", 4), ("At 2.5 s, left-most.", 6)],
)
def test_words_are_counted(text: str, words: int) -> None:
    assert count_words(text) == words
