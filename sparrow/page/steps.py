"""A call that reports to a callback -> a generator that keeps the session's status up to date meanwhile.

Knows nothing of what the call does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from sparrow.page.visit import Visit
from sparrow.sessions.session import Session
from sparrow.types import Progress
from sparrow.work import ProgressSink

T = TypeVar("T")

SECONDS_BETWEEN = 0.1
"""Reports that come sooner than this after the last one are not shown."""


def in_steps(
    session: Session, visit: Visit, call: Callable[[ProgressSink], T]
) -> Generator[None, None, T]:
    """Run `call` in a thread, yield after each report of it, return its result and raise its error.

    Closing the generator early sets the session's stop event and waits until the call has ended.
    """
    reports: SimpleQueue[Progress | None] = SimpleQueue()

    def ended(_: Future[T]) -> None:
        reports.put(None)

    shown = float("-inf")
    with ThreadPoolExecutor(1, thread_name_prefix="sparrow-step") as pool:
        future = pool.submit(call, reports.put)
        future.add_done_callback(ended)
        try:
            while (report := reports.get()) is not None:
                if time.monotonic() - shown >= SECONDS_BETWEEN:
                    visit.note(session, report)
                    yield
                    shown = time.monotonic()
        finally:
            if not future.done():
                session.stop.set()
        return future.result()
