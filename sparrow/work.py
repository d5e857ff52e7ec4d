"""Long work: tells how far it is, stops when asked to, gives up in time. Knows no video."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import TypeVar

from sparrow.errors import Cancelled, VideoError
from sparrow.types import Progress

ProgressSink = Callable[[Progress], None]
Step = TypeVar("Step")
Result = TypeVar("Result")


class Work:
    """One piece of long work; `step` is called once per frame."""

    def __init__(
        self,
        progress: ProgressSink | None = None,
        cancel: threading.Event | None = None,
        *,
        max_seconds: float = float("inf"),
    ) -> None:
        self._progress = progress
        self._cancel = cancel
        self._max_seconds = max_seconds
        self._started = time.monotonic()

    def step(self, name: str, done: int, total: int = 0) -> None:
        """Report `done` of `total` (0: unknown) units.

        Raises:
            Cancelled: Stop was pressed.
            VideoError: the time allowed is over.
        """
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled(f"stopped while {name}")
        seconds = time.monotonic() - self._started
        if seconds > self._max_seconds:
            raise VideoError(
                f"{name}: expected to finish within {self._max_seconds:g} s (limit max_work_seconds), "
                f"{done} of {total or 'unknown'} frames were done; use a shorter or smaller video"
            )
        if self._progress is not None:
            self._progress(Progress(name, done, total, seconds))


class Pulse:
    """Says when so many seconds are over, the first time at once; for what is too dear to show at each step."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic()

    def due(self) -> bool:
        """Say whether it is time; if so, the next time is so many seconds away."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


def finish(
    steps: Generator[Step, None, Result], told: Callable[[Step], object] | None = None
) -> Result:
    """Run work that yields its steps to the end, telling each; gives what it returns."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if told is not None:
            told(step)


def progress_only(progress: ProgressSink | None) -> Callable[[object], None]:
    """Let someone hear of the progress only, among what long work yields."""

    def tell(step: object) -> None:
        if progress is not None and isinstance(step, Progress):
            progress(step)

    return tell
