"""What was found in a conversation, kept in its session: it outlives the process. The words are kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sparrow.chat.memory import Held, Kept
from sparrow.errors import Busy
from sparrow.sessions.session import Session
from sparrow.types import History

_PATIENCE = 600.0  # seconds that a turn waits for what is going on in the session


class SessionMemory:
    """Keeps names, tracks and ids in a session, and saves it after every turn."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def turn(self, key: str, video: str) -> Iterator[Held]:
        """Hold the session; whatever the messages call the conversation, it is this one.

        Raises:
            Busy: the session has been at work for too long.
        """
        session = self._session
        if not session.lock.acquire(timeout=_PATIENCE):
            raise Busy("The session is still at work; stop that first, or wait for its end.")
        try:
            yield Held(session.id, Kept(video, session.history))
        finally:
            session.lock.release()

    def keep(self, key: str, kept: Kept) -> None:
        """Save what was found; the lock is held."""
        session = self._session
        session.history = replace(kept.history, turns=session.history.turns)
        session.save()

    def find(self, key: str) -> History:
        return self._session.history
