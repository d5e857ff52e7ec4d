"""What lasts of a conversation about one video: what was said, found, corrected and named. Plain data.

Knows no file, no database and no open page: session.py adds what an open one needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from sparrow.errors import SparrowError
from sparrow.looks import Look
from sparrow.types import GroundedAnswer, History, MaskTrack, Prompt, Referent
from sparrow.video import Video

GONE = "This session is over and its files are deleted; reload the page to start again."

MAX_EXCHANGES = 1000
"""Questions of one session."""
MAX_EDITS = 50
"""Changes that can be undone."""
MAX_NAME = 80
"""Characters of a name that the user gives."""

State = Literal["working", "done", "stopped", "cut", "failed"]
"""Stopped by the user; cut by the model, which found no end."""


class SessionError(SparrowError):
    """A session or session file that is gone, damaged, in use elsewhere, or not ready for what was asked."""


@dataclass
class Exchange:
    """A question and what has come of it so far."""

    question: str
    attached: tuple[int, ...] = ()
    """Referent ids of the pointed-at things sent along."""
    prompts: tuple[Prompt, ...] = ()
    """What was pointed at in this question, as it was sent."""
    text: str = ""
    """The words streamed so far."""
    answer: GroundedAnswer | None = None
    """None while working; also where it ended before there was one: stopped or failed, perhaps with text."""
    state: State = "working"


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """What some referents are at one moment, so that they can be made so again."""

    ids: tuple[int, ...]
    """The referents that it speaks of; those without a phrase and a track below are not there."""
    phrases: Mapping[int, str]
    tracks: Mapping[int, MaskTrack]
    prompts: tuple[Prompt, ...]
    """What the user pointed at or corrected of these referents."""


@dataclass(eq=False, kw_only=True, repr=False)
class Record:
    """All that is saved of a session; `Session` adds what only an open one has."""

    model: str = ""
    """Name, hub id or folder. One read from a session file is for showing: never load it unasked."""
    title: str = ""
    """What the user calls the video."""
    video: Video | None = None
    suggestions: tuple[str, ...] = ()
    """Questions offered to begin with."""
    exchanges: list[Exchange] = field(default_factory=list)
    history: History = field(default_factory=History)
    """What the backend goes on from: all finished exchanges, every referent's words and track."""
    names: dict[int, str] = field(default_factory=dict)
    """By referent id, what the user calls it instead; up to MAX_NAME characters."""
    colours: dict[int, str] = field(default_factory=dict)
    """By referent id, the user's "#rrggbb"."""
    hidden: set[int] = field(default_factory=set)
    """Referent ids that are not shown."""
    prompts: tuple[Prompt, ...] = ()
    """All that the user pointed at or corrected; of one referent in that order."""
    attached: tuple[int, ...] = ()
    """Referents that go along with the next question."""
    span: tuple[int, int] | None = None
    """First frame and the one after the last that are shown and exported; None: all."""
    look: Look = field(default_factory=Look)
    undo_stack: list[Edit] = field(default_factory=list)
    redo_stack: list[Edit] = field(default_factory=list)

    def referents(self) -> tuple[Referent, ...]:
        """Give everything spoken of or pointed at so far, by id, under the user's names and colours."""
        return tuple(
            replace(
                referent,
                phrase=self.names.get(referent.id, referent.phrase),
                colour=self.colours.get(referent.id, referent.colour),
            )
            for referent in self.history.referents
        )


def end_interrupted(record: Record) -> None:
    """Mark as ended what was being answered when the process died: stopped if there are words, else failed."""
    for exchange in record.exchanges:
        if exchange.state == "working":
            exchange.state = "stopped" if exchange.text or exchange.answer else "failed"
