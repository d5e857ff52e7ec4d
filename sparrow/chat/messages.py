"""LangChain messages <-> what was said about a video: its source, finished turns, a question, what it points at.

Masks never travel in messages: an answer carries its referents with their ids and a few boxes. Opens no file,
asks no model.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from sparrow.errors import PromptError

METADATA = "sparrow"
"""Key of an answer's `Grounding` in the response_metadata of its message."""

_PIECE = re.compile(r"\d+(?:[.:]\d+)?|\w+(?:['-]\w+)*|[^\w\s]")

Corners = tuple[float, float, float, float]


class _Payload(BaseModel):
    """What travels in messages; whoever sent it, what does not fit is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Box(_Payload):
    """The user's box around a thing in one frame."""

    type: Literal["box"] = "box"
    frame: NonNegativeInt
    xyxy: Corners
    """Pixels of the displayed frame."""
    referent: PositiveInt | None = None
    """The known thing that it is about; None for a new one."""


class Point(_Payload):
    """The user's click on a thing (point+) or beside it (point-)."""

    type: Literal["point+", "point-"] = "point+"
    frame: NonNegativeInt
    xy: tuple[float, float]
    """Pixels of the displayed frame."""
    referent: PositiveInt | None = None
    """The known thing that it is about; None for the thing of the pointing before it on this frame, else a new one."""


class Known(_Payload):
    """A thing that was spoken of or pointed at before."""

    type: Literal["referent"] = "referent"
    id: PositiveInt


Pointing = Box | Point | Known


class _Pointed(_Payload):
    """Tells the pointings apart by their type."""

    value: Annotated[Pointing, Field(discriminator="type")]


class Place(_Payload):
    """Where a thing is in one frame."""

    frame: NonNegativeInt
    xyxy: Corners


class Spoken(_Payload):
    """A referent of a question and its answer."""

    id: PositiveInt
    phrase: str
    span: tuple[NonNegativeInt, NonNegativeInt] | None
    """Start and end of the phrase in the answer; None where it was only pointed at."""
    colour: str
    seen: tuple[Place, ...] = Field((), max_length=64)
    """Its boxes in the frames that the model looked at, and in the one where it is seen best; without specks."""


class Grounding(_Payload):
    """What an answer speaks of: `response_metadata["sparrow"]` of its message. Masks stay where they were made."""

    conversation: str = Field(max_length=200)
    """Names the conversation, in which ids keep their meaning."""
    answer: str = Field(max_length=64)
    """Names this answer."""
    video: str = Field(max_length=64)
    """Names the content of the video that it is about."""
    referents: tuple[Spoken, ...] = Field((), max_length=1000)
    """Those that the answer names, then those that the question points at and the answer does not name."""
    pointed: tuple[PositiveInt, ...] = Field((), max_length=1000)
    """For each pointing of the question the id of the thing that it is about."""
    frames: tuple[NonNegativeInt, ...] = Field((), max_length=1000)
    """The frames that the model looked at."""
    said: tuple[NonNegativeInt, ...] = Field((), max_length=10_000)
    """The model's own word ids; see `GroundedAnswer.said`."""
    seconds: Mapping[str, float] = {}
    """Time per step."""
    complete: bool = True
    """False when it was stopped or cut off."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a message says that its video or picture is."""

    kind: Literal["path", "bytes", "url"]
    value: str | bytes
    """A path, the base64 text or bytes of a file, or an address."""
    picture: bool = False
    """A picture is a video of one frame."""


@dataclass(frozen=True, slots=True)
class Said:
    """A question that was answered."""

    question: str
    pointings: tuple[Pointing, ...]
    text: str
    """The answer."""
    grounding: Grounding | None
    """None for an answer that another model, or a person, wrote."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list of messages asks."""

    source: Source | None
    """The video spoken of, where the messages hold one."""
    said: tuple[Said, ...]
    """Finished turns about this video."""
    question: str
    pointings: tuple[Pointing, ...]

    @property
    def conversation(self) -> str | None:
        """Name of the conversation that the latest answer belongs to."""
        known = [turn.grounding.conversation for turn in self.said if turn.grounding is not None]
        return known[-1] if known else None


def write_question(
    text: str,
    pointings: Sequence[Pointing] = (),
    *,
    video: str | Path | bytes | None = None,
    image: str | Path | bytes | None = None,
) -> HumanMessage:
    """Write a question as a message.

    Args:
        text: the question.
        pointings: what it points at.
        video: path or bytes of the file that it is about; without one it is about the same as before.
        image: the same for a picture.
    """
    blocks: list[str | dict[str, Any]] = []
    for kind, file in (("video", video), ("image", image)):
        if isinstance(file, bytes):
            encoded = base64.b64encode(file).decode("ascii")
            blocks.append({"type": kind, "base64": encoded, "mime_type": f"{kind}/*"})
        elif file is not None:
            blocks.append({"type": kind, "path": str(file)})
    blocks += [{"type": "non_standard", "value": p.model_dump()} for p in pointings]
    return HumanMessage(content=[*blocks, {"type": "text", "text": text}] if blocks else text)


def read_messages(messages: Sequence[BaseMessage]) -> Asked:
    """Find in a list of messages the video, what was said about it, and what is asked now.

    A question that was never answered, such as one that was cut off by a crash, is left out; words of the system
    and of tools are not for this model. A later video begins anew.

    Raises:
        PromptError: the last message is no question, or a block is of a kind that cannot be used.
    """
    reader = _Reader()
    for message in messages:
        reader.read(message)
    if not messages or not isinstance(messages[-1], HumanMessage):
        last = type(messages[-1]).__name__ if messages else "no message"
        raise PromptError(f"messages: expected a question at the end (HumanMessage), got {last}")
    return Asked(reader.source, tuple(reader.said), reader.text, reader.pointings)


def finished_turns(messages: Iterable[BaseMessage]) -> tuple[Said, ...]:
    """Find the questions in a list of messages that were answered, about its last video.

    Raises:
        PromptError: a block is of a kind that cannot be used.
    """
    reader = _Reader()
    for message in messages:
        reader.read(message)
    return tuple(reader.said)


def grounding_of(message: BaseMessage) -> Grounding | None:
    """Read what an answer speaks of from its message; None where it says nothing (usable) of that."""
    value = message.response_metadata.get(METADATA)
    if value is None:
        return None
    try:
        grounding = Grounding.model_validate(value)
    except ValidationError as error:
        raise PromptError(
            f"response_metadata[{METADATA!r}]: expected what ChatSparrow wrote there, got {_first(error)}; "
            "leave it as it was, or leave it out"
        ) from error
    return grounding


def read_pointing(value: object) -> Pointing:
    """Read what a message, or a tool-calling model, points at.

    Raises:
        PromptError: it is none of the three kinds.
    """
    try:
        return _Pointed.model_validate({"value": value}).value
    except ValidationError as error:
        raise PromptError(
            'pointing: expected {"type": "box", "frame", "xyxy"}, {"type": "point+" or "point-", "frame", "xy"} '
            f'or {{"type": "referent", "id"}}, got {_first(error)}'
        ) from error


def count_words(text: str) -> int:
    """Count words, numbers and marks: exactly what sparrow-mini reads, and near what other models do."""
    return len(_PIECE.findall(text))


class _Reader:
    """Reads messages one by one."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self.said: list[Said] = []
        self.text = ""
        self.pointings: tuple[Pointing, ...] = ()
        self._waiting = False  # for an answer

    def read(self, message: BaseMessage) -> None:
        if isinstance(message, HumanMessage):
            words, source, pointings = _read_blocks(message)
            if source is not None:
                self.source, self.said = source, []
            replaces = bool(words and self.text)
            self.pointings = pointings if replaces else (*self.pointings, *pointings)
            self.text, self._waiting = words or self.text, True
        elif (
            isinstance(message, AIMessage)
            and self._waiting
            and message.text
            and not message.tool_calls
        ):
            answer = grounding_of(message)
            self.said.append(Said(self.text, self.pointings, message.text, answer))
            self.text, self.pointings, self._waiting = "", (), False


def _read_blocks(message: HumanMessage) -> tuple[str, Source | None, tuple[Pointing, ...]]:
    words: list[str] = []
    source = None
    pointings: list[Pointing] = []
    try:
        blocks = message.content_blocks
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # LangChain checks little
        raise PromptError(f"message: expected content blocks, got others ({error})") from error
    for block in blocks:
        content: Mapping[str, Any] = block
        if block["type"] == "text":
            words.append(block["text"])
        elif block["type"] in ("video", "image"):
            source = _source(content)
        elif block["type"] == "non_standard":
            pointings.append(read_pointing(content["value"]))
        else:
            raise PromptError(
                f"{str(block['type'])[:40]} block: expected text, a video, an image or a pointing; leave it out"
            )
    return " ".join(words).strip(), source, tuple(pointings)


def _source(block: Mapping[str, Any]) -> Source:
    """Read a video or image block: a "path", a "url" (file: too), or "base64" (bytes too)."""
    picture = block["type"] == "image"
    given = [key for key in ("path", "url", "base64") if block.get(key)]
    value = block[given[0]] if len(given) == 1 else None
    if given == ["base64"] and isinstance(value, str | bytes):
        return Source("bytes", value, picture)
    if given == ["path"] and isinstance(value, str):
        return Source("path", value, picture)
    if given == ["url"] and isinstance(value, str):
        return Source("url", value, picture)
    raise PromptError(
        f'{block["type"]} block: expected one of "path", "base64" and "url", got {sorted(map(str, block))}'
    )


def _first(error: ValidationError) -> str:
    """Say the first thing that is wrong, and where."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}"
