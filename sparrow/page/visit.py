"""What an open page has of a session beside what is saved: a pointing not applied yet, the steps of the work, files.

A reload loses it, and that is meant. Knows no component of the page.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from weakref import WeakKeyDictionary

from sparrow.page.mask_files import MaskFiles
from sparrow.sessions.session import Session
from sparrow.types import MaskTrack, Progress, Prompt, TracksSoFar

Change = Callable[[], None]
"""A change of the session that takes no time."""


@dataclass(frozen=True, eq=False)
class Draft:
    """Prompts of one referent, new or known, which its track does not follow yet."""

    prompts: tuple[Prompt, ...]
    """At least one."""
    preview: MaskTrack | None = None
    """The mask that they give on the frame of the last one."""
    attached: bool = False
    """It goes along with the next question."""

    @property
    def referent_id(self) -> int:
        return self.prompts[-1].referent_id

    @property
    def frame(self) -> int:
        """The frame that was pointed at last."""
        return self.prompts[-1].frame


@dataclass(frozen=True, slots=True)
class Ready:
    """A file that the browser is to download once."""

    path: Path
    """Its name is what the visitor finds among the downloads."""
    nonce: int


@dataclass(eq=False)
class Visit:
    """One session as it stands open."""

    draft: Draft | None = None
    selected: int | None = None
    """The object that is corrected; None: the next pointing is a new thing."""
    seek: tuple[int, int] | None = None
    """A frame to go to, and a number for this time."""
    growing: TracksSoFar | None = None
    """What tracking has reached; shown instead of what was there."""
    steps: dict[str, Progress] = field(default_factory=dict)
    """By name, the latest of each step of the work that goes on, in their order."""
    choosing: bool = False
    """The visitor looks for another video."""
    waiting: Path | None = None
    """A session file without its video, which the visitor is to give again."""
    download: Ready | None = None
    masks: MaskFiles = field(default_factory=MaskFiles)
    changes: deque[Change] = field(default_factory=deque)
    """Made by whoever holds the session's lock."""
    nonce: int = 0
    left_at: float | None = None
    """When the last page that shows it was closed, on the monotonic clock."""
    version: int = 0
    """Counts what there was to show."""
    _moving: threading.Condition = field(default_factory=threading.Condition)

    def moved(self) -> None:
        """Wake who waits for something to show."""
        with self._moving:
            self.version += 1
            self._moving.notify_all()

    def wait(self, seen: int, seconds: float = 1.0) -> None:
        """Wait until there is something newer than what was seen, but not for ever."""
        with self._moving:
            self._moving.wait_for(lambda: self.version != seen, seconds)

    def alone_for(self) -> float:
        """Say for how many seconds no page has shown it."""
        return 0.0 if self.left_at is None else time.monotonic() - self.left_at

    def count(self) -> int:
        """Give a number that was not given before."""
        self.nonce += 1
        return self.nonce

    def note(self, session: Session, progress: Progress) -> None:
        """Show a step of the work."""
        session.status = progress
        self.steps[progress.step] = progress

    def attach_draft(self, attached: bool) -> None:
        """Let what is being pointed at go along with the next question, or not."""
        if self.draft is not None:
            self.draft = replace(self.draft, attached=attached)

    def rest(self) -> None:
        """Forget what belongs to work that is over."""
        self.growing, self.steps = None, {}


class Visits:
    """The visits of all sessions that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: WeakKeyDictionary[Session, Visit] = WeakKeyDictionary()

    def of(self, session: Session) -> Visit:
        """Give the visit of a session, a fresh one if there is none."""
        with self._lock:
            return self._of.setdefault(session, Visit())

    def over(self, session: Session) -> None:
        """Forget a visit: the page was loaded anew."""
        with self._lock:
            self._of.pop(session, None)


def key_of(session_id: str) -> str:
    """Name the conversation to the backend, which may be another machine: not by the id that opens it."""
    return sha256(session_id.encode()).hexdigest()[:32]
