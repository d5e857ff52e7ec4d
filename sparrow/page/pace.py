"""How long the work of a visitor takes, learnt from the last ones -> what who waits is told."""

from __future__ import annotations

import threading

_NEW = 0.3  # weight of the latest work in the mean


class Pace:
    """A running mean of seconds, for all visitors together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mean = 0.0

    @property
    def seconds(self) -> float:
        """The mean; 0 before anything was done."""
        return self._mean

    def note(self, seconds: float) -> None:
        """Take in how long one work took, its waiting not counted."""
        with self._lock:
            self._mean = seconds if not self._mean else self._mean + _NEW * (seconds - self._mean)
