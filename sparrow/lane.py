"""Many who want the accelerator -> one at a time, in turns, and a bound on how many wait.

A few are let in and take turns step by step, so that a question is answered while a long video is tracked; the others
wait in line, by turns of their keys, so that nobody who asks for much keeps the rest waiting. Knows no model: work is
a generator whose steps are short.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sparrow.errors import Busy
from sparrow.types import Progress
from sparrow.work import Pulse

_LOOK = 0.05
"""Seconds between looks at whether someone who waits was told to stop."""
_TOLD_EVERY = 1.0
"""Seconds between two tellings of the same place: who listens no more is found out by them."""

Event = TypeVar("Event")


class _Ticket:
    """One who wants to be let in."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.inside = False


class Lane:
    """One accelerator for all who share it."""

    def __init__(self, *, inside: int = 3, waiting: int = 24) -> None:
        """Open it.

        Args:
            inside: how many take turns; each of them holds the memory that its work needs.
            waiting: how many more may wait.
        """
        self._room, self._most = inside, waiting
        self._changed = threading.Condition()
        self._inside: list[_Ticket] = []
        self._waiting: dict[str, deque[_Ticket]] = {}  # by key, in the order of their next turns
        self._steps: deque[object] = deque()  # who works, then those whose step comes next

    @property
    def waiting(self) -> int:
        """How many wait to be let in."""
        with self._changed:
            return sum(map(len, self._waiting.values()))

    def run(
        self,
        key: str,
        work: Generator[Event, None, object],
        cancel: threading.Event | None = None,
    ) -> Generator[Event | Progress, None, None]:
        """Do work step by step, yielding its events; before it is let in, its place in the line ("wait").

        The lane is held while a step is made, never while an event is being looked at. Closing the iterator closes
        the work.

        Args:
            key: of whom it is; those who wait are let in by turns of their keys.
            work: ends by itself, at once, when `cancel` is set: then it does not wait.
            cancel: told to the work, too.

        Raises:
            Busy: too many wait already.
        """
        ticket = self._join(key)
        try:
            yield from self._wait(ticket, cancel)
            while True:
                with self.step():
                    try:
                        event = next(work)
                    except StopIteration:
                        return
                yield event
        finally:
            work.close()
            self._leave(ticket)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Have the accelerator for one short step, after those who asked for it before."""
        mine = object()
        with self._changed:
            self._steps.append(mine)
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._steps[0] is mine)
            yield
        finally:
            with self._changed:
                self._steps.remove(mine)
                self._changed.notify_all()

    def _join(self, key: str) -> _Ticket:
        ticket = _Ticket(key)
        with self._changed:
            queued = sum(map(len, self._waiting.values()))
            if len(self._inside) < self._room and not queued:
                ticket.inside = True
                self._inside.append(ticket)
            elif queued >= self._most:
                raise Busy(
                    f"the model is busy: {queued} are waiting already, and no more can; "
                    "try again in a minute"
                )
            else:
                self._waiting.setdefault(key, deque()).append(ticket)
        return ticket

    def _wait(self, ticket: _Ticket, cancel: threading.Event | None) -> Iterator[Progress]:
        """Wait to be let in, yielding how many are ahead when that changes, and now and then."""
        started, told, pulse = time.monotonic(), -1, Pulse(_TOLD_EVERY)
        while True:
            with self._changed:
                stopped = cancel is not None and cancel.is_set()
                if ticket.inside or stopped:
                    return
                order = self._order()
                ahead, total = order.index(ticket), len(order)
                if ahead == told and not pulse.due():
                    self._changed.wait(_LOOK)
                    continue
            told = ahead
            yield Progress("wait", ahead, total, time.monotonic() - started)

    def _leave(self, ticket: _Ticket) -> None:
        """Make room, whether it was let in or still waits, and let in who is next."""
        with self._changed:
            if ticket.inside:
                self._inside.remove(ticket)
            else:
                self._drop(ticket)
            while len(self._inside) < self._room and (order := self._order()):
                self._let_in(order[0])
            self._changed.notify_all()

    def _let_in(self, ticket: _Ticket) -> None:
        self._drop(ticket)
        if ticket.key in self._waiting:  # its key has had its turn
            self._waiting[ticket.key] = self._waiting.pop(ticket.key)
        ticket.inside = True
        self._inside.append(ticket)

    def _drop(self, ticket: _Ticket) -> None:
        own = self._waiting[ticket.key]
        own.remove(ticket)
        if not own:
            del self._waiting[ticket.key]

    def _order(self) -> list[_Ticket]:
        """Give those who wait in the order in which they would be let in: keys with the fewest inside first."""
        inside = [ticket.key for ticket in self._inside]
        ranked = [
            (inside.count(key) + place, turn, ticket)
            for turn, (key, tickets) in enumerate(self._waiting.items())
            for place, ticket in enumerate(tickets)
        ]
        return [ticket for *_, ticket in sorted(ranked, key=lambda row: row[:2])]
