"""All sessions below one folder: opened, found again by their id (after a restart too), listed, deleted.

A session goes when its visitor asks for it, some time after the last page showing it was closed, when it was
not used for long, or, least recently used first, when all together take too much room. Never while it works.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from sparrow.sessions import folder as folders
from sparrow.sessions.folder import PREFIX, Claim
from sparrow.sessions.record import GONE, Record, SessionError, end_interrupted
from sparrow.sessions.session import Session
from sparrow.sessions.store import Store

logger = logging.getLogger(__name__)

_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of sessions says of one."""

    id: str
    title: str
    model: str
    questions: int
    bytes: int
    """Of all its files."""
    used_at: float
    """When it was last used, in seconds since 1970."""
    left: bool
    """Its last page was closed."""
    problem: str
    """Why it cannot be read, empty for a sound one."""


class Sessions:
    """The sessions of this process, and those that earlier ones left, each in a folder of its own."""

    def __init__(
        self,
        root: Path,
        *,
        max_age_seconds: float = 3600.0,
        grace_seconds: float = 600.0,
        max_bytes: int = 20 * 2**30,
        gone: Callable[[str], None] | None = None,
    ) -> None:
        """Use the folder `root`, creating it; nobody but this user may read it.

        Args:
            root: where the sessions lie.
            max_age_seconds: a session not used for so long is deleted.
            grace_seconds: so is one not used for so long since its page was closed (a reload closes it too).
            max_bytes: what all sessions together may take.
            gone: told the id of each session that is open here no more, e.g. `Backend.forget`.
        """
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
        self.root = root.resolve()
        self.max_age_seconds = max_age_seconds
        self.grace_seconds = grace_seconds
        self.max_bytes = max_bytes
        self._gone = gone
        self._reopening = threading.Lock()
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}
        self._shown_to: dict[str, str] = {}

    def open(self, visitor: str | None = None) -> Session:
        """Start a session; `visitor` names the page that shows it, see `leave`."""
        self.sweep()
        session_id = secrets.token_hex(16)
        folder = self._folder(session_id)
        folder.mkdir(mode=0o700)
        session = Session(id=session_id, folder=folder, store=Store(folder), claim=Claim(folder))
        with self._lock:
            self._open[session_id] = session
        self._show(session, visitor)
        return session

    def get(self, session_id: str | None, visitor: str | None = None) -> Session:
        """Find a session, on disk if need be, and note that it is in use.

        Args:
            session_id: what `open` gave, now or before a restart; from a browser, so it may be anything.
            visitor: names the page that shows it from now on.

        Raises:
            SessionError: there is none, it was deleted, it is damaged, or another process has it open.
        """
        folder = self._folder(session_id)
        with self._lock:
            known = self._open.get(folder.name.removeprefix(PREFIX))
        session = known or self._reopen(folder)
        try:
            folders.touch(folder)
        except SessionError:
            self._let_go(session)
            raise
        self._show(session, visitor)
        return session

    def shown_to(self, visitor: str | None) -> str | None:
        """Give the id of the session that a page shows, if it shows one."""
        with self._lock:
            return self._shown_to.get(visitor or "")

    def shows(self, session_id: str) -> bool:
        """Say whether any page shows a session."""
        with self._lock:
            return session_id in self._shown_to.values()

    def working(self) -> int:
        """Count the sessions with work going on or waiting."""
        with self._lock:
            return sum(session.busy for session in self._open.values())

    def leave(self, visitor: str | None) -> None:
        """Note that a page was closed; when no other shows its session, the grace period begins."""
        with self._lock:
            session_id = self._shown_to.pop(visitor or "", None)
            alone = session_id is not None and session_id not in self._shown_to.values()
        if session_id is not None and alone:
            folders.set_left(self._folder(session_id))

    def delete(self, session_id: str | None, *, patience: float = 30.0) -> bool:
        """Stop the session's work and delete its files; a session that is gone already is no error.

        Args:
            session_id: what `open` gave.
            patience: seconds to wait for running work to end before its files are deleted under it.

        Returns:
            Whether there was such a session.

        Raises:
            SessionError: another process has it open.
        """
        try:
            folder = self._folder(session_id)
        except SessionError:
            return False
        with self._reopening:
            with self._lock:
                session = self._open.get(session_id or "")
            if session is None:
                if not folder.is_dir():
                    return False
                Claim(folder).release()
                folders.remove(folder)
                return True
        session.pending = None
        session.stop.set()
        ended = session.lock.acquire(timeout=patience)
        try:
            self._let_go(session)
            folders.remove(folder)
        finally:
            if ended:
                session.lock.release()
        return True

    def sweep(self) -> int:
        """Delete what is too old, left for too long, or too much, unless it works; say how many."""
        folders.remove_remains(self.root)
        swept, kept = 0, []
        for folder in self.root.glob(f"{PREFIX}*"):
            if self._is_over(folder) and self._sweep_one(folder):
                swept += 1
            else:
                kept.append((folders.used_at(folder), folders.size_of(folder), folder))
        total = sum(size for _, size, _ in kept)
        for _, size, folder in sorted(kept):
            if total <= self.max_bytes:
                break
            if self._sweep_one(folder):
                swept += 1
                total -= size
        return swept

    def close(self, *, patience: float = 30.0) -> None:
        """Stop all work, save, and let go of every session; they can be opened again.

        Args:
            patience: seconds to wait for all running work to end.
        """
        with self._lock:
            sessions = list(self._open.values())
        for session in sessions:
            session.pending = None
            session.stop.set()
        until = time.monotonic() + patience
        for session in sessions:
            ended = session.lock.acquire(timeout=max(0.0, until - time.monotonic()))
            try:
                session.save()
            except SessionError as error:
                logger.warning("could not save a session: %s", error)
            finally:
                self._let_go(session)
                if ended:
                    session.lock.release()

    def peek(self, session_id: str) -> Record:
        """Read what was last saved of a session, also while another process has it open.

        Raises:
            SessionError: there is none, or it is damaged.
        """
        if not _ID.fullmatch(session_id) or not self._folder(session_id).is_dir():
            raise SessionError(
                f"There is no session {session_id[:40]!r} (any more): `sparrow sessions list` shows all."
            )
        return Store(self._folder(session_id)).load()

    def list(self) -> tuple[Summary, ...]:
        """Describe every session on disk, the last used first; damaged ones say so."""
        summaries = [self._summary(folder) for folder in self.root.glob(f"{PREFIX}*")]
        return tuple(sorted(summaries, key=lambda summary: -summary.used_at))

    def _summary(self, folder: Path) -> Summary:
        title, model, questions, problem = "", "", 0, ""
        try:
            title, model, questions = Store(folder).describe()
        except SessionError as error:
            problem = str(error)
        return Summary(
            folder.name.removeprefix(PREFIX),
            title,
            model,
            questions,
            folders.size_of(folder),
            folders.used_at(folder),
            folders.left_at(folder) is not None,
            problem,
        )

    def _folder(self, session_id: str | None) -> Path:
        """Name a session's folder; an id that `open` cannot have given never becomes a path."""
        if not isinstance(session_id, str) or not _ID.fullmatch(session_id):
            raise SessionError(GONE)
        return self.root / f"{PREFIX}{session_id}"

    def _show(self, session: Session, visitor: str | None) -> None:
        if visitor is None:
            return
        with self._lock:
            before = self._shown_to.get(visitor)
            self._shown_to[visitor] = session.id
            alone = before is not None and before not in self._shown_to.values()
        folders.set_shown(session.folder)
        if before is not None and alone:
            folders.set_left(self._folder(before))

    def _reopen(self, folder: Path) -> Session:
        session_id = folder.name.removeprefix(PREFIX)
        with self._reopening:
            with self._lock:
                known = self._open.get(session_id)
            if known is not None:  # by another thread meanwhile
                return known
            if not folder.is_dir():
                raise SessionError(GONE)
            claim = Claim(folder)
            try:
                store = Store(folder)
                record = store.load()
                folders.keep_only(folder, record.video.path if record.video else None)
            except BaseException:
                claim.release()
                raise
            end_interrupted(record)
            saved = {field.name: getattr(record, field.name) for field in fields(Record)}
            session = Session(id=session_id, folder=folder, store=store, claim=claim, **saved)
            with self._lock:
                self._open[session_id] = session
            return session

    def _is_over(self, folder: Path) -> bool:
        now, used, left = time.time(), folders.used_at(folder), folders.left_at(folder)
        if left is not None and max(used, left) < now - self.grace_seconds:
            return True
        return used < now - self.max_age_seconds

    def _sweep_one(self, folder: Path) -> bool:
        """Delete a session unless it works or another process has it open; say whether."""
        with self._lock:
            session = self._open.get(folder.name.removeprefix(PREFIX))
        if session is None:
            try:
                Claim(folder).release()
            except SessionError:
                return False
            folders.remove(folder)
            return True
        if not session.lock.acquire(blocking=False):
            return False
        try:
            if session.busy:
                return False
            self._let_go(session)
            folders.remove(folder)
            return True
        finally:
            session.lock.release()

    def _let_go(self, session: Session) -> None:
        """Forget an open session; what still holds it can save it no more."""
        session.store.close()
        with self._lock:
            known = self._open.pop(session.id, None)
            self._shown_to = {v: i for v, i in self._shown_to.items() if i != session.id}
        session.claim.release()
        if known is not None and self._gone is not None:
            self._gone(session.id)


def sweep_regularly(sessions: Sessions, every_seconds: float = 300.0) -> threading.Event:
    """Sweep in the background until the event that is returned is set."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(every_seconds):
            sessions.sweep()

    threading.Thread(target=work, name="sparrow-sweep", daemon=True).start()
    return over
