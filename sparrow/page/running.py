"""Finds a visitor's session, changes it or has its work done, and gives each page what is new to it.

Work goes on in a thread of its own, whoever watches: a page that is reloaded finds it going on. Whose turn at
the model it is, the backend decides.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import gradio as gr

from sparrow.backend import Backend
from sparrow.errors import Cancelled, SparrowError
from sparrow.page.layout import Layout
from sparrow.page.models import Models
from sparrow.page.pace import Pace
from sparrow.page.redraw import Updates, redraw
from sparrow.page.view import View, notice_html, view
from sparrow.page.visit import Visit, Visits
from sparrow.sessions.record import SessionError
from sparrow.sessions.session import Session, Task
from sparrow.sessions.sessions import Sessions
from sparrow.types import Progress

logger = logging.getLogger(__name__)

MAX_WORKING = 16
"""Visitors whose work is being done or waits; who comes later is asked to try again."""

MAX_FILES = 3
"""Videos read and files written at a time; those beyond wait in line."""

SECONDS_ALONE = 20.0
"""Work goes on for so long when nobody looks at its page any more: a reload takes less."""

SECONDS_BETWEEN = 0.05
"""Words and frames that come sooner after the last ones are shown together with the next ones."""

MAX_PAGES = 500
"""Open pages of which is remembered what they show; one that is forgotten is sent everything again."""

_PATIENCE = 2.0
"""Seconds that a request waits for the end of another one of the same visitor."""

_LOOK = 0.2
"""Seconds between looks at whether there is room."""

_BUSY = "Still working on your last request: wait for it, or press Stop."
_FULL = "Sparrow is busy: too many people are waiting just now. Please try again in a minute."
_BROKEN = (
    "Something broke on our side, and is written in the log. Your video is still here: try again."
)

Begin = Callable[[Session, Visit], Task]
Change = Callable[[Session, Visit], None]


class Runner:
    """Runs what listeners ask for, on the session that they name; `request` tells which page is to be told."""

    def __init__(self, sessions: Sessions, models: Models, layout: Layout) -> None:
        self.sessions = sessions
        self.models = models
        self.visits = Visits()
        self._layout = layout
        self._pace = Pace()
        self._files = threading.Semaphore(MAX_FILES)
        self._workers = ThreadPoolExecutor(MAX_WORKING, thread_name_prefix="sparrow-work")
        self._redrawing = threading.Lock()
        self._serials = itertools.count(int(1000 * time.time()))  # above those before a restart
        self._shown: dict[str, View] = {}

    def start(
        self,
        request: gr.Request,
        session_id: str | None,
        begin: Begin,
        also: Updates | None = None,
    ) -> Updates:
        """Begin long work, unless some is going on; `also` is sent if it was begun."""
        session = None
        try:
            session = self.sessions.get(session_id)
            if self.sessions.working() >= MAX_WORKING:
                raise SessionError(_FULL)
            visit = self.visits.of(session)
            with _resting(session):
                session.stop.clear()
                visit.rest()
                task = begin(session, visit)
                session.tell("")
                session.pending = task
        except SparrowError as error:
            return self.refuse(request, session, error)
        self._workers.submit(self._work, session, visit)
        return {**self.redraw(request, session), **(also or {})}

    def change(
        self,
        request: gr.Request,
        session_id: str | None,
        change: Change,
        also: Updates | None = None,
    ) -> Updates:
        """Change the session in no time, unless long work is going on; `also` is sent if it was changed."""
        session = None
        try:
            session = self.sessions.get(session_id)
            with _resting(session):
                session.tell("")
                change(session, self.visits.of(session))
        except SparrowError as error:
            return self.refuse(request, session, error)
        return {**self.redraw(request, session), **(also or {})}

    def lightly(self, request: gr.Request, session_id: str | None, change: Change) -> Updates:
        """Change what long work does not touch: at once, or by the thread that works, at its next step."""
        try:
            session = self.sessions.get(session_id)
        except SparrowError as error:
            return self.refuse(request, None, error)
        visit = self.visits.of(session)
        visit.changes.append(lambda: change(session, visit))
        self._catch_up(session, visit)
        return self.redraw(request, session)

    def stop(self, session_id: str | None, request: gr.Request) -> Updates:
        """Stop the work within a word or a frame."""
        try:
            session = self.sessions.get(session_id)
        except SparrowError as error:
            return self.refuse(request, None, error)
        session.stop.set()
        return self.redraw(request, session)

    def watch(self, session_id: str | None, request: gr.Request) -> Iterator[Updates]:
        """Tell a page what is new as long as work goes on."""
        try:
            session = self.sessions.get(session_id)
        except SparrowError:  # deleted meanwhile, and the page was told
            return
        visit = self.visits.of(session)
        # First and last all of it: what another request sent may have come before something older.
        whole = True
        while session.busy:
            seen = visit.version
            yield self.redraw(request, session, whole=whole)
            whole = False
            time.sleep(SECONDS_BETWEEN)
            visit.wait(seen)
        yield self.redraw(request, session, whole=True)

    def with_backend(
        self, session: Session, visit: Visit, steps: Callable[[Backend], Iterator[None]]
    ) -> Iterator[None]:
        """Do steps with the model of a session, which is loaded first if need be."""
        if self.models.loaded(self.models.of(session.model)) is None:
            visit.note(session, Progress("load"))
            yield
        yield from steps(self.models.get(session.model))

    def in_line(self, session: Session, visit: Visit, work: Iterator[None]) -> Iterator[None]:
        """Read or write files when there is room; work that is stopped before still cleans up after itself."""
        started, mine = time.monotonic(), False
        try:
            while not (mine or session.stop.is_set()):
                mine = self._files.acquire(timeout=_LOOK)
                if not mine:
                    waited = time.monotonic() - started
                    visit.note(session, Progress("waiting for others", seconds=waited))
                    yield
            yield from work
        finally:
            if mine:
                self._files.release()

    def take_model(self, session: Session, visit: Visit, name: str) -> Iterator[None]:
        """Go on with another model; if it cannot be loaded, the one before stays.

        Raises:
            ModelError: it cannot be loaded.
        """
        visit.note(session, Progress("load"))
        yield
        card = self.models.get(name).card
        session.model = name
        session.save()
        session.tell(f"Answers come from {card['name']} now.")
        yield

    def refuse(self, request: gr.Request, session: Session | None, error: SparrowError) -> Updates:
        """Say why something was not done; in the status line: Gradio's own error covers what it is about."""
        if session is None:
            return {self._layout.status: notice_html(str(error), failed=True)}
        session.notice, session.failed = str(error), True
        return self.redraw(request, session)

    def redraw(self, request: gr.Request, session: Session, *, whole: bool = False) -> Updates:
        """Give what is new to a page, or all of the view."""
        visit, page = self.visits.of(session), _page(request)
        name = self.models.of(session.model)
        model = self.models.loaded(name) or self.models.get(self.models.default)
        with self._redrawing:
            after = view(session, visit, model.card, model=name, pace=self._pace.seconds)
            before = None if whole else self._shown.get(page)
            updates = redraw(self._layout, before, after, next(self._serials))
            self._shown.pop(page, None)
            self._shown[page] = after
            if len(self._shown) > MAX_PAGES:
                del self._shown[next(iter(self._shown))]
        return updates

    def redraw_model(self, session_id: str) -> Updates:
        """Show the model that answers, whatever was typed."""
        with suppress(SparrowError):  # what is over was said
            name = self.models.of(self.sessions.get(session_id).model)
            return {self._layout.model: gr.update(value=name)}
        return {}

    def closed(self, request: gr.Request) -> None:
        """Forget what a page shows that is closed."""
        with self._redrawing:
            self._shown.pop(_page(request), None)

    def _work(self, session: Session, visit: Visit) -> None:
        """Do the session's pending work."""
        with session.lock:
            task, session.pending = session.pending, None
            if task is None:  # the session is being deleted
                return
            session.working = True
            started, waited = time.monotonic(), 0.0
            try:
                for _ in task():
                    _apply(session, visit)
                    if session.status is not None and session.status.step == "wait":
                        waited = time.monotonic() - started
                    if visit.alone_for() > SECONDS_ALONE:
                        session.stop.set()
                    visit.moved()
            except Cancelled:
                session.tell("Stopped.")
            except SparrowError as error:
                session.tell(str(error), failed=True)
            except Exception:  # a defect of ours: say so, and go on
                logger.exception("work of a session broke")
                session.tell(_BROKEN, failed=True)
            finally:
                session.status, session.working = None, False
                visit.rest()
                self._pace.note(time.monotonic() - started - waited)
        self._catch_up(session, visit)
        visit.moved()

    def _catch_up(self, session: Session, visit: Visit) -> None:
        """Make the changes that wait, unless somebody holds the session, who then makes them."""
        while visit.changes and session.lock.acquire(blocking=False):
            try:
                _apply(session, visit)
            finally:
                session.lock.release()


def _apply(session: Session, visit: Visit) -> None:
    """Make the changes that wait; the caller holds the session's lock."""
    while visit.changes:
        try:
            visit.changes.popleft()()
        except SparrowError as error:
            session.notice, session.failed = str(error), True


def _page(request: gr.Request) -> str:
    return request.session_hash or ""


@contextmanager
def _resting(session: Session) -> Iterator[None]:
    """Hold a session in which nothing goes on.

    Raises:
        SessionError: work goes on, or waits.
    """
    if session.busy or not session.lock.acquire(timeout=_PATIENCE):
        raise SessionError(_BUSY)
    try:
        yield
    finally:
        session.lock.release()
