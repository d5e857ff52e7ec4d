"""A question or a tracking job <-> the JSON that asks another machine for it.

What was said travels as sessions/documents.py writes it, tracks travel thin. Knows no connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from sparrow.errors import PromptError
from sparrow.remote.tracks import read_thin, thin
from sparrow.sessions import checked
from sparrow.sessions.documents import to_documents
from sparrow.sessions.reading import from_documents
from sparrow.sessions.record import Record
from sparrow.types import History, MaskTrack, Prompt, Turn
from sparrow.video import Video

Kind = Literal["ask", "track", "preview"]

MAX_CHARACTERS = 2**24
"""Of a request."""
_MAX_QUESTION = 100_000


@dataclass(frozen=True, eq=False)
class Request:
    """What one call of a Backend is asked."""

    kind: Kind
    history: History = field(default_factory=History)
    """Of a question: what was said before; otherwise only its tracks count: those to correct."""
    question: str = ""
    prompts: tuple[Prompt, ...] = ()
    span: tuple[int, int] | None = None
    adapt_seconds: float = 0.0
    stopped: bool = False
    """It was stopped before it was sent."""

    @classmethod
    def of_prompts(
        cls,
        kind: Kind,
        prompts: Sequence[Prompt],
        before: Mapping[int, MaskTrack] | None,
        *,
        span: tuple[int, int] | None = None,
        adapt_seconds: float = 0.0,
    ) -> Request:
        """Ask for what prompts point at, `before` being the tracks that they correct."""
        known = before or {}
        history = History((), {}, known, max(known, default=0) + 1)
        return cls(kind, history, "", tuple(prompts), span, adapt_seconds)


def pack(request: Request, video: Video) -> str:
    """Write a request; masks go along only where a prompt may correct them."""
    history = request.history
    turns = tuple(
        turn
        if turn.answer is None
        else Turn(turn.role, turn.text, turn.prompts, replace(turn.answer, tracks=()))
        for turn in history.turns
    )
    record = Record(video=video, history=replace(history, turns=turns), prompts=request.prompts)
    corrected = {prompt.frame for prompt in request.prompts} if request.kind != "ask" else set()
    return checked.dump(
        {
            "kind": request.kind,
            "question": request.question,
            "span": None if request.span is None else list(request.span),
            "adapt_seconds": float(request.adapt_seconds),
            "stopped": request.stopped,
            "documents": to_documents(record, lambda track: str(track.referent_id)),
            "tracks": {str(i): thin(track, corrected) for i, track in history.tracks.items()},
        }
    )


def unpack(text: str, video: Video) -> Request:
    """Read a request about a video.

    Raises:
        ValueError: not what `pack` writes, or about another video.
        PromptError: a prompt or a span that makes no sense.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"request: expected at most {MAX_CHARACTERS} characters, got {len(text)}")
    value = checked.entries(checked.parse(text, "request"), "request")
    kind = checked.at(value, "kind", "request")
    tracks = {
        str(i): read_thin(entry, i, video.num_frames, video.size_hw)
        for i, entry in checked.by_id(checked.at(value, "tracks", "request"), "tracks").items()
    }
    documents = checked.entries(checked.at(value, "documents", "request"), "documents")
    record = from_documents(documents, tracks, video)
    for known in get_args(Kind):
        if kind == known:
            return Request(
                known,
                record.history,
                checked.text(checked.at(value, "question", "request"), "question", _MAX_QUESTION),
                record.prompts,
                _span(checked.at(value, "span", "request")),
                checked.number(
                    checked.at(value, "adapt_seconds", "request"), "adapt_seconds", 0, 3600
                ),
                checked.flag(checked.at(value, "stopped", "request"), "stopped"),
            )
    raise ValueError(f"request: expected ask, track or preview, got {repr(kind)[:40]}")


def _span(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    ends = checked.wholes(value, "span")
    if len(ends) != 2:
        raise PromptError(
            f"span: expected the first frame and the one after the last, got {ends[:5]}"
        )
    return ends[0], ends[1]
