"""What was found in conversations: tracks by referent id, so that a list of messages is enough to go on from.

Messages hold the words; the memory holds what is too large for them. One that forgot is no harm: turn.py finds the
things again.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from sparrow.types import History

_CONVERSATIONS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What was found in a conversation, whichever of its branches found it."""

    video: str
    """Names the content of the video that it is about."""
    history: History
    """Names, tracks and ids; its turns are those of the latest branch."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A conversation that is held for one turn."""

    key: str
    kept: Kept | None
    """None when nothing is known of it."""


class Memory(Protocol):
    """Where conversations are kept between turns. May be used by several threads at once."""

    def turn(self, key: str, video: str) -> AbstractContextManager[Held]:
        """Hold a conversation while a turn is made.

        Args:
            key: names the conversation.
            video: names the content of the video that it is about.

        Raises:
            Busy: another turn is being made in it, and it cannot branch.
        """

    def keep(self, key: str, kept: Kept) -> None:
        """Keep what a turn left, under the key that is held."""

    def find(self, key: str) -> History | None:
        """Give what was found in a conversation, None where nothing is known of it."""


class Recent:
    """The latest conversations of this process."""

    def __init__(self, most: int = _CONVERSATIONS) -> None:
        self._most = most
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._held: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, key: str, video: str) -> Iterator[Held]:
        """Hold a conversation; where a turn is being made in it already, go on beside it under a new key."""
        with self._lock:
            kept = self._kept.get(key)
            if key in self._held:
                key = uuid.uuid4().hex
            self._held.add(key)
        try:
            yield Held(key, kept if kept is not None and kept.video == video else None)
        finally:
            with self._lock:
                self._held.discard(key)

    def keep(self, key: str, kept: Kept) -> None:
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def find(self, key: str) -> History | None:
        with self._lock:
            kept = self._kept.get(key)
        return None if kept is None else kept.history
