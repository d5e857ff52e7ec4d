"""One visitor's video, chat, results and folder, and the register of all visitors.

A session is found by an id that nobody can guess; its folder goes when the visitor asks for it, leaves,
or has been away too long. Knows no component of the page and computes nothing.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sparrow.errors import SparrowError
from sparrow.types import GroundedAnswer, MaskTrack, Progress, Prompt, Referent

if TYPE_CHECKING:
    from sparrow.pipeline import Chat
    from sparrow.video import Video

logger = logging.getLogger(__name__)

_FOLDER_PREFIX = "session-"

Task = Callable[[], Iterator[None]]
"""Long work on a session: changes it step by step and yields whenever there is something new to show."""


class SessionError(SparrowError):
    """The session is gone, busy, or not ready for what was asked."""


@dataclass
class Exchange:
    """A question and what has come of it so far."""

    question: str
    attached: tuple[int, ...] = ()
    """Referent ids of the pointed-at things sent along."""
    text: str = ""
    """The words streamed so far."""
    answer: GroundedAnswer | None = None
    state: Literal["working", "done", "stopped", "cut", "failed"] = "working"
    """Stopped by the visitor; cut by the model, which found no end."""


@dataclass
class Pointing:
    """A still frame and the visitor's clicks on it: one is a point, two are the corners of a box."""

    frame: int
    still: Path
    """The frame as shown, with the clicks drawn on it."""
    clicks: tuple[tuple[int, int], ...] = ()
    """(x, y) pixels of the displayed frame, at most two."""


@dataclass(frozen=True)
class Results:
    """The files made of the referents known so far."""

    annotated: Path
    masks: Path


@dataclass(eq=False)
class Session:
    """What one open page holds. Only the thread that holds `lock` changes the fields below it."""

    id: str
    folder: Path
    stop: threading.Event = field(default_factory=threading.Event)
    pending: Task | None = None
    """Work that waits for its turn."""
    working: bool = False
    """Work is being done."""
    status: Progress | None = None
    """What is being done right now."""
    notice: str = ""
    """The last thing to tell the visitor, plain text."""
    failed: bool = False
    """The notice is an error."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    video: Video | None = None
    chat: Chat | None = None
    title: str = ""
    suggestions: tuple[str, ...] = ()
    exchanges: list[Exchange] = field(default_factory=list)
    referents: dict[int, Referent] = field(default_factory=dict)
    """By id, everything spoken of or pointed at so far."""
    tracks: dict[int, MaskTrack] = field(default_factory=dict)
    prompts: dict[int, Prompt] = field(default_factory=dict)
    """By referent id, what was pointed at."""
    attached: tuple[int, ...] = ()
    """Pointed-at referents that go along with the next question."""
    pointing: Pointing | None = None
    results: Results | None = None
    _made: int = 0

    @property
    def busy(self) -> bool:
        """Work goes on or waits."""
        return self.pending is not None or self.working

    def new_path(self, name: str) -> Path:
        """Give a path for a new file that has this file name; the folder is used for nothing else."""
        self._made += 1
        folder = self.folder / str(self._made)
        folder.mkdir()
        return folder / name

    def discard(self, path: Path | None) -> None:
        """Delete what `new_path` gave, with all beside it."""
        if path is not None:
            _remove(path.parent)

    def tell(self, notice: str, *, failed: bool = False) -> None:
        """Set what the visitor reads in the status line, once the work is over."""
        self.status, self.notice, self.failed = None, notice, failed


class Sessions:
    """All open sessions of this server, each in a folder of its own below `root`."""

    def __init__(self, root: Path, *, max_age_seconds: float = 3600.0) -> None:
        """Use the folder `root`, creating it; nobody but this user may read it."""
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
        self.root = root.resolve()
        self.max_age_seconds = max_age_seconds
        self._lock = threading.Lock()
        self._by_id: dict[str, Session] = {}
        self._by_visitor: dict[str, str] = {}

    def open(self, visitor: str | None = None) -> Session:
        """Start a session; `visitor` is a name under which `leave` may end it."""
        self.sweep()
        token = secrets.token_urlsafe(24)
        session = Session(token, self.root / f"{_FOLDER_PREFIX}{token}")
        session.folder.mkdir(mode=0o700)
        with self._lock:
            self._by_id[token] = session
            if visitor is not None:
                self._by_visitor[visitor] = token
        return session

    def get(self, session_id: str | None) -> Session:
        """Find a session and note that it is in use.

        Raises:
            SessionError: there is none, or it was deleted.
        """
        with self._lock:
            session = self._by_id.get(session_id or "")
        if session is not None:
            with suppress(
                FileNotFoundError
            ):  # deleted this moment, or by the sweep of another server
                os.utime(session.folder)
                return session
        raise SessionError(
            "This session is over and its files are deleted; reload the page to start again."
        )

    def working(self) -> int:
        """Count the sessions with work going on or waiting."""
        with self._lock:
            return sum(session.busy for session in self._by_id.values())

    def delete(self, session_id: str | None, *, patience: float = 30.0) -> None:
        """Stop the session's work and delete its files; a session that is gone already is no error.

        Args:
            session_id: what `open` gave.
            patience: seconds to wait for running work to end before its files are deleted under it.
        """
        with self._lock:
            session = self._by_id.pop(session_id or "", None)
            self._by_visitor = {v: i for v, i in self._by_visitor.items() if i != session_id}
        if session is None:
            return
        session.pending = None
        session.stop.set()
        ended = session.lock.acquire(timeout=patience)
        try:
            _remove(session.folder)
        finally:
            if ended:
                session.lock.release()

    def leave(self, visitor: str | None) -> None:
        """Delete the session of a visitor whose page was closed."""
        with self._lock:
            session_id = self._by_visitor.get(visitor or "")
        self.delete(session_id)

    def sweep(self) -> int:
        """Delete the folders not used for `max_age_seconds`, those of earlier servers too; say how many."""
        oldest = time.time() - self.max_age_seconds
        with self._lock:
            by_folder = {session.folder: session for session in self._by_id.values()}
        swept = 0
        for folder in self.root.glob(f"{_FOLDER_PREFIX}*"):
            session = by_folder.get(folder)
            if _used_at(folder) >= oldest or (session is not None and session.busy):
                continue
            if session is not None:
                self.delete(session.id)
            else:
                _remove(folder)
            swept += 1
        return swept

    def close(self) -> None:
        """Delete every session of this server."""
        with self._lock:
            session_ids = list(self._by_id)
        for session_id in session_ids:
            self.delete(session_id)


def sweep_regularly(sessions: Sessions, every_seconds: float = 300.0) -> threading.Event:
    """Sweep in the background until the event that is returned is set."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(every_seconds):
            sessions.sweep()

    threading.Thread(target=work, name="sparrow-sweep", daemon=True).start()
    return over


def _used_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # deleted by its own visitor meanwhile
        return float("inf")


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:  # deleted by another thread or server meanwhile
        return
    except OSError as error:
        logger.warning("could not delete %s: %s", folder, error)
