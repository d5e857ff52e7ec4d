"""Decides without a language model whether a question is for a tool; everything else is for sparrow-mini's words.

For when no model is there that calls tools by itself: what is exact or makes a file (counts, times, tracks of what
is pointed at, downloads) goes to a tool. Calls none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparrow.chat.messages import Asked, Known, Point

_SAVE = re.compile(
    r"^(?:please |can you |could you |now |and )*(?:save|export|download|render)\b", re.I
)
_WHEN = re.compile(
    r"^(?:when|at what times?) (?:is|are|can i see|can you see|do you see|does|do) (?P<what>.+?)"
    r"(?: (?:visible|seen|there|shown|appear|in (?:the|this) (?:video|picture)|on screen))*[ ?.!]*$",
    re.I,
)
_COUNT = re.compile(
    r"^how many (?P<what>.+?) (?:are there|are (?:visible|shown|seen)|do you see|can you see|can be seen)"
    r"(?: in (?:the|this) video)?[ ?.!]*$",
    re.I,
)
_FOLLOW = re.compile(
    r"^(?:please |can you )*(?:track|follow|mark|segment|outline) (?:this|that|it|here|the thing here)"
    r"(?: thing| one| object)?[ ?.!]*$",
    re.I,
)
_AGAIN = re.compile(r"^(?:it|this|that|them|these|those|this one|that one|the same)$", re.I)

_LOOKS = {
    r"blur.*\b(?:rest|background|others|everything else)": "blur-rest",
    r"blur|anonymi[sz]e|unrecogni[sz]able": "blur-object",
    r"spotlight": "spotlight",
    r"cut[ -]?out": "cut-out",
    r"outline": "outline",
    r"\bbox": "box",
}
_KINDS = {
    r"\bgif\b": "gif",
    r"\bcoco\b": "coco",
    r"\bmot\b": "mot",
    r"youtube-?vos": "youtube-vos",
    r"youtube-?vis": "youtube-vis",
    r"\bpng\b|\bmasks\b": "png",
    r"\bwebm\b": "webm",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A tool to use, with its arguments."""

    tool: str
    arguments: Mapping[str, Any]


def route(asked: Asked) -> Call | None:
    """Choose the tool for a question, None where it is to be answered in words."""
    question = " ".join(asked.question.split())
    drawn = [p for p in asked.pointings if not isinstance(p, Known)]
    if drawn:
        if len(drawn) > 1 or drawn[0].referent is not None or not _FOLLOW.match(question):
            return None
        place = drawn[0]
        at = {"point": list(place.xy)} if isinstance(place, Point) else {"box": list(place.xyxy)}
        return Call("track", {"frame": place.frame, **at})
    meant = _meant(asked)
    if _SAVE.match(question):
        arguments: dict[str, Any] = {
            "look": _first(_LOOKS, question, "mask"),
            "kind": _first(_KINDS, question, "mp4"),
        }
        if meant and re.search(r"\b(?:it|this|them|these)\b", question, re.I):
            arguments["referents"] = list(meant)
        return Call("export_video", arguments)
    if found := _COUNT.match(question):
        return Call("count", {"what": found["what"]})
    if found := _WHEN.match(question):
        what = found["what"]
        if not _AGAIN.match(what):
            return Call("when_visible", {"what": what})
        return Call("when_visible", {"what": str(meant[0])}) if meant else None
    return None


def _meant(asked: Asked) -> tuple[int, ...]:
    """Give the ids that "it" and "them" stand for: what is pointed at, else what was spoken of last."""
    known = tuple(p.id for p in asked.pointings if isinstance(p, Known))
    if known:
        return known
    spoken = [
        tuple(referent.id for referent in turn.grounding.referents)
        for turn in asked.said
        if turn.grounding is not None and turn.grounding.referents
    ]
    return spoken[-1] if spoken else ()


def _first(words: Mapping[str, str], question: str, default: str) -> str:
    return next((name for way, name in words.items() if re.search(way, question, re.I)), default)
