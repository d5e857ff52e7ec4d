"""Which questions go to a tool when no language model decides."""

from __future__ import annotations

from typing import Any

import pytest

from sparrow.chat.messages import Asked, Box, Grounding, Known, Point, Pointing, Said, Spoken
from sparrow.chat.router import route

FOX = Spoken(id=3, phrase="the fox", span=None, colour="#000000")
SAID = (
    Said(
        "Where?",
        (),
        "There.",
        Grounding(conversation="c", answer="a", video="v", referents=(FOX,)),
    ),
    Said("And?", (), "No.", None),
)
BOX = Box(frame=2, xyxy=(1, 2, 3, 4))


@pytest.mark.parametrize(
    ("question", "tool", "arguments"),
    [
        ("How many foxes are there?", "count", {"what": "foxes"}),
        ("how many red things do you see in this video", "count", {"what": "red things"}),
        ("When is the fox visible?", "when_visible", {"what": "the fox"}),
        ("When does the fox appear in the video?", "when_visible", {"what": "the fox"}),
        ("At what time is the fox seen?", "when_visible", {"what": "the fox"}),
        ("When is it visible?", "when_visible", {"what": "3"}),
        ("Save the video.", "export_video", {"look": "mask", "kind": "mp4"}),
        (
            "Please export it as a GIF",
            "export_video",
            {"look": "mask", "kind": "gif", "referents": [3]},
        ),
        (
            "Can you save the video with the background blurred and blur the rest?",
            "export_video",
            {"look": "blur-rest", "kind": "mp4"},
        ),
        ("Download the masks as COCO.", "export_video", {"look": "mask", "kind": "coco"}),
    ],
)
def test_questions_for_tools(question: str, tool: str, arguments: dict[str, Any]) -> None:
    call = route(Asked(None, SAID, question, ()))
    assert call is not None
    assert (call.tool, call.arguments) == (tool, arguments)


@pytest.mark.parametrize(
    ("question", "pointings"),
    [
        ("", ()),
        ("Segment the fox.", ()),
        ("What is it doing?", ()),
        ("How many things are moving?", ()),
        ("What is saved by the goalkeeper?", ()),
        ("What is this?", (BOX,)),
        ("Follow this.", (BOX, BOX)),
        ("Follow this.", (Box(frame=0, xyxy=(1, 2, 3, 4), referent=3),)),
        ("How many foxes are there?", (BOX,)),
    ],
)
def test_questions_for_words(question: str, pointings: tuple[Pointing, ...]) -> None:
    assert route(Asked(None, SAID, question, pointings)) is None


def test_what_is_pointed_at_is_followed() -> None:
    call = route(Asked(None, (), "Please follow this thing.", (BOX,)))
    assert call is not None
    assert (call.tool, call.arguments) == ("track", {"frame": 2, "box": [1, 2, 3, 4]})
    call = route(Asked(None, (), "Track it", (Point(frame=1, xy=(5, 6)),)))
    assert call is not None
    assert call.arguments == {"frame": 1, "point": [5, 6]}


def test_it_is_what_is_pointed_at_before_what_was_spoken_of() -> None:
    call = route(Asked(None, SAID, "When is this visible?", (Known(id=7),)))
    assert call is not None and call.arguments == {"what": "7"}
    assert route(Asked(None, (), "When is it visible?", ())) is None
