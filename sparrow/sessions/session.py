"""One open session: its record, its folder, and the work that goes on in it.

Knows no component of the page and computes nothing.
"""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from sparrow.sessions.folder import Claim
from sparrow.sessions.record import GONE, MAX_EDITS, MAX_NAME, Edit, Record, SessionError
from sparrow.sessions.store import Store
from sparrow.types import Progress
from sparrow.video import Video

Task = Callable[[], Iterator[None]]
"""Long work on a session: changes it step by step and yields whenever there is something new to show."""


@dataclass(eq=False, kw_only=True, repr=False)
class Session(Record):
    """What one conversation holds while it is open; `Sessions` makes it.

    Only the thread that holds `lock` changes the fields of the record and saves them.
    """

    id: str
    """Nobody can guess it: who knows it may see and change the session."""
    folder: Path
    """For `new_path`; nobody else may read it."""
    store: Store
    claim: Claim
    """Held as long as the session is open."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    """Set it to end the work."""
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

    @property
    def busy(self) -> bool:
        """Work goes on or waits."""
        return self.pending is not None or self.working

    def save(self) -> None:
        """Write what has changed since the last time; all of it lasts, or, when it fails, nothing.

        Call it with `lock` held, after each change that shall outlive the process: a question asked,
        an answer given, a correction, a name. The video must lie in `folder`.

        Raises:
            SessionError: the session is deleted, the disk is full, or something is beyond a limit.
        """
        self.store.save(self)

    def adopt(self, record: Record) -> None:
        """Become another record, such as one read from a session file, and save; the model stays.

        The old video's file is deleted.

        Raises:
            SessionError: it cannot be saved; then nothing has changed.
        """
        before = {saved.name: getattr(self, saved.name) for saved in fields(Record)}
        after = {saved.name: getattr(record, saved.name) for saved in fields(Record)}
        vars(self).update({**after, "model": self.model})
        try:
            self.save()
        except SessionError:
            vars(self).update(before)
            raise
        old: Video | None = before["video"]
        if old is not None and old is not self.video:
            self.discard(old.path)

    def new_path(self, name: str) -> Path:
        """Give a path for a new file of this name, in a folder used for nothing else.

        When the session is opened again after a restart, only its video is still there.

        Raises:
            SessionError: the session was deleted meanwhile.
        """
        if name in ("", "..") or Path(name).name != name:
            raise ValueError(f"new_path: expected the name of a file, got {name!r}")
        folder = self.folder / secrets.token_hex(8)
        try:
            folder.mkdir()
        except FileNotFoundError as error:  # work that goes on does not bring the folder back
            raise SessionError(GONE) from error
        return folder / name

    def discard(self, path: Path | None) -> None:
        """Delete what `new_path` gave, with all beside it; what is gone already is no error."""
        if path is None:
            return
        if path.parent.parent != self.folder:
            raise ValueError(f"discard: expected a path that new_path gave, got {path}")
        shutil.rmtree(path.parent, ignore_errors=True)

    def tell(self, notice: str, *, failed: bool = False) -> None:
        """Set what the visitor reads in the status line, once the work is over."""
        self.status, self.notice, self.failed = None, notice, failed

    def rename(self, referent_id: int, name: str) -> None:
        """Call a referent what the user wants; an empty name gives back the model's words.

        Raises:
            SessionError: there is no such referent, or the name is too long.
        """
        self._known(referent_id)
        name = " ".join(name.split())
        if len(name) > MAX_NAME:
            raise SessionError(
                f"A name may have {MAX_NAME} characters, yours has {len(name)}; shorten it."
            )
        if name:
            self.names[referent_id] = name
        else:
            self.names.pop(referent_id, None)

    def recolour(self, referent_id: int, colour: str) -> None:
        """Give a referent the user's colour "#rrggbb".

        Raises:
            SessionError: there is no such referent, or that is no colour.
        """
        self._known(referent_id)
        if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
            raise SessionError(f"A colour is written #rrggbb, got {colour[:20]!r}.")
        self.colours[referent_id] = colour.lower()

    def remember(self, *referent_ids: int) -> None:
        """Note what these referents are now, right before they change, so that `undo` can go back to it.

        A referent that is about to be new has the id `history.next_id`. What could be redone is forgotten.
        """
        self.undo_stack = [*self.undo_stack, self._edit(referent_ids)][-MAX_EDITS:]
        self.redo_stack = []

    def undo(self) -> None:
        """Take back the last change that `remember` noted; answers and other referents stay as they are.

        Raises:
            SessionError: there is none.
        """
        self._swap(self.undo_stack, self.redo_stack, "undo")

    def redo(self) -> None:
        """Make the change again that `undo` took back.

        Raises:
            SessionError: there is none.
        """
        self._swap(self.redo_stack, self.undo_stack, "redo")

    def _swap(self, source: list[Edit], target: list[Edit], what: str) -> None:
        if not source:
            raise SessionError(f"There is nothing to {what}.")
        edit = source.pop()
        target.append(self._edit(edit.ids))
        history = self.history
        for i in edit.ids:
            history = history.without(i)
        self.history = replace(
            history,
            phrases={**history.phrases, **edit.phrases},
            tracks={**history.tracks, **edit.tracks},
        )
        others = tuple(p for p in self.prompts if p.referent_id not in edit.ids)
        self.prompts = (*others, *edit.prompts)
        self.attached = tuple(i for i in self.attached if i in self.history.phrases)

    def _edit(self, ids: tuple[int, ...]) -> Edit:
        history = self.history
        return Edit(
            ids,
            {i: history.phrases[i] for i in ids if i in history.phrases},
            {i: history.tracks[i] for i in ids if i in history.tracks},
            tuple(p for p in self.prompts if p.referent_id in ids),
        )

    def _known(self, referent_id: int) -> None:
        if referent_id not in self.history.phrases:
            raise SessionError(f"There is no object {referent_id} (any more).")
