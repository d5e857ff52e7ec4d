"""Wires the layout to the handlers: finds the session, runs the work, sends what changed of its view.

Long work of all visitors takes turns in one lane. A listener that starts some leaves it with the session
(`pending`), outside the queue; the lane's listener then does it. None of these listeners is public.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.events import Dependency

from sparrow.errors import Cancelled, SparrowError
from sparrow.page import asking, opening, pointing
from sparrow.page.examples import Example
from sparrow.page.layout import Layout
from sparrow.page.redraw import Updates, redraw
from sparrow.page.session import Session, SessionError, Sessions, Task
from sparrow.page.view import View, notice_html, view

if TYPE_CHECKING:
    from sparrow.pipeline import Sparrow

logger = logging.getLogger(__name__)

LANE = "model"
"""The queue's group for everything that computes: one at a time."""

MAX_WORKING = 8
"""Visitors whose work is being done or waits; who comes later is asked to try again."""

_PATIENCE = 2.0
"""Seconds that a request waits for the end of another one of the same visitor."""

_BUSY = "Still working on your last request: wait for it, or press Stop."

_FULL = "Sparrow is busy: too many people are waiting just now. Please try again in a minute."

_BROKEN = (
    "Something broke on our side, and is written in the log. Your video is still here: try again."
)

_PLAYER_TIME = "(id, seconds) => [id, document.querySelector('#stage video')?.currentTime ?? 0]"


class Events:
    """The listeners of one page."""

    def __init__(
        self, sparrow: Sparrow, sessions: Sessions, layout: Layout, examples: Sequence[Example]
    ) -> None:
        self._sparrow = sparrow
        self._sessions = sessions
        self._layout = layout
        self._examples = examples
        self._shown: WeakKeyDictionary[Session, View] = WeakKeyDictionary()

    def wire(self, page: gr.Blocks) -> None:
        """Attach every listener; call it inside the page's context."""
        at = self._layout
        own = [at.session_id]
        everything = at.components()
        quick = partial(
            gr.on,
            outputs=everything,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        for start in (
            quick(at.upload.upload, self.upload, [*own, at.upload]),
            quick(at.examples.select, self.choose, own),
            quick([at.question.submit, at.send.click], self.ask, [*own, at.question]),
            quick(at.track.click, self.track, own),
            *(quick(b.click, partial(self.suggest, i), own) for i, b in enumerate(at.suggestions)),
        ):
            self._then_work(start)
        quick(at.stop.click, self.stop, own)
        quick(at.pointer.expand, self.unfold, own)
        quick(at.moment.click, self.moment, [*own, at.seconds], js=_PLAYER_TIME)
        quick(at.frame.input, self.frame, [*own, at.frame], trigger_mode="always_last")
        quick(at.still.select, self.click, own)
        quick(at.clear.click, self.clear, own)
        quick(at.detach.click, self.detach, own)
        quick(at.delete.click, self.delete, own)
        quick(page.load, self.arrive, None)
        page.unload(self.leave)

    def _then_work(self, start: Dependency) -> None:
        """After a listener that left work with the session, do that work in its turn."""
        own, everything = [self._layout.session_id], self._layout.components()
        start.success(
            self.work,
            own,
            everything,
            concurrency_id=LANE,
            concurrency_limit=1,
            show_progress="hidden",
            api_visibility="private",
        )

    def arrive(self, request: gr.Request) -> Updates:
        """Open a session for a page that was loaded."""
        session = self._sessions.open(request.session_hash)
        return {self._layout.session_id: session.id, **self._redraw(session)}

    def leave(self, request: gr.Request) -> None:
        """Delete the session of a page that was closed."""
        self._sessions.leave(request.session_hash)

    def delete(self, session_id: str | None, request: gr.Request) -> Updates:
        """Delete the session's files at once and start an empty one."""
        self._sessions.delete(session_id)
        session = self._sessions.open(request.session_hash)
        session.tell("Your video, the conversation and all files made of them are deleted.")
        return {self._layout.session_id: session.id, **self._redraw(session)}

    def upload(self, session_id: str | None, upload: str) -> Updates:
        """Take an uploaded file and have it opened."""

        def start(session: Session) -> Task:
            path = Path(upload)
            taken = opening.take_upload(session, path)
            return lambda: opening.open_upload(self._sparrow, session, taken, path.name)

        updates = self._start(session_id, start)
        Path(upload).unlink(missing_ok=True)  # refused uploads are not kept either
        return {**updates, self._layout.upload: None}

    def choose(self, session_id: str | None, event: gr.SelectData) -> Updates:
        """Have one of the example clips opened."""
        example = self._examples[int(event.index)]
        return self._start(
            session_id,
            lambda session: lambda: opening.open_example(self._sparrow, session, example),
        )

    def ask(self, session_id: str | None, question: str) -> Updates:
        """Put the question into the conversation and have it answered."""

        def start(session: Session) -> Task:
            exchange = asking.begin_question(session, question)
            return lambda: asking.answer_question(session, exchange)

        return self._start(session_id, start, {self._layout.question: ""})

    def suggest(self, index: int, session_id: str | None) -> Updates:
        """Ask the question that a button shows."""

        def start(session: Session) -> Task:
            exchange = asking.begin_question(session, view(session).suggestions[index])
            return lambda: asking.answer_question(session, exchange)

        return self._start(session_id, start)

    def track(self, session_id: str | None) -> Updates:
        """Have what the clicks point at followed."""
        return self._start(
            session_id,
            lambda session: lambda: asking.track_pointed(self._sparrow, session),
        )

    def work(self, session_id: str | None) -> Iterator[Updates]:
        """Do the session's pending work, showing each step."""
        try:
            session = self._sessions.get(session_id)
        except SessionError as error:
            yield self._refuse(None, error)
            return
        with session.lock:
            task, session.pending = session.pending, None
            if task is None:  # refused, or stopped while it waited
                return
            session.working = True
            try:
                for _ in task():
                    yield self._redraw(session)
            except Cancelled:
                session.tell("Stopped.")
            except SparrowError as error:
                session.tell(str(error), failed=True)
            except Exception:  # a defect of ours: say so, rather than have Gradio cover the chat
                logger.exception("work of a session broke")
                session.tell(_BROKEN, failed=True)
            finally:
                session.status, session.working = None, False
            # Within the lock: what `delete` sends must not be overtaken by this.
            yield self._redraw(session)

    def stop(self, session_id: str | None) -> Updates:
        """Stop the work within a word or a frame, or before it begins."""

        def stop(session: Session) -> None:
            session.stop.set()
            if session.pending is not None:
                asking.withdraw(session)
                session.tell("Stopped before it began.")

        return self._at_once(session_id, stop)

    def unfold(self, session_id: str | None) -> Updates:
        """Show a frame to point at when the visitor opens that part of the page."""

        def change(session: Session) -> None:
            if session.pointing is None:
                pointing.show_frame(session, 0)

        return self._change(session_id, change)

    def moment(self, session_id: str | None, seconds: float) -> Updates:
        """Show the frame that the player shows."""
        return self._change(session_id, lambda s: pointing.show_moment(s, float(seconds)))

    def frame(self, session_id: str | None, frame: float) -> Updates:
        """Show the frame of the slider."""
        return self._change(session_id, lambda s: pointing.show_frame(s, int(frame)))

    def click(self, session_id: str | None, event: gr.SelectData) -> Updates:
        """Add a click on the still frame."""
        x, y = event.index
        return self._change(session_id, lambda s: pointing.click(s, int(x), int(y)))

    def clear(self, session_id: str | None) -> Updates:
        """Forget the clicks."""
        return self._change(session_id, pointing.clear_clicks)

    def detach(self, session_id: str | None) -> Updates:
        """Send the next question without what was pointed at."""

        def change(session: Session) -> None:
            session.attached = ()

        return self._change(session_id, change)

    def _start(
        self,
        session_id: str | None,
        start: Callable[[Session], Task],
        also: Updates | None = None,
    ) -> Updates:
        """Leave long work with the session, unless some is going on; `also` is sent if it was left."""
        session = None
        try:
            session = self._sessions.get(session_id)
            if self._sessions.working() >= MAX_WORKING:
                raise SessionError(_FULL)
            with _resting(session):
                session.stop.clear()
                session.tell("")
                session.pending = start(session)
        except SparrowError as error:
            return self._refuse(session, error)
        return {**self._redraw(session), **(also or {})}

    def _change(self, session_id: str | None, change: Callable[[Session], None]) -> Updates:
        """Change the session in no time, unless long work is going on."""

        def locked(session: Session) -> None:
            with _resting(session):
                change(session)

        return self._at_once(session_id, locked)

    def _at_once(self, session_id: str | None, change: Callable[[Session], None]) -> Updates:
        """Change the session, whatever goes on in it."""
        session = None
        try:
            session = self._sessions.get(session_id)
            change(session)
        except SparrowError as error:
            return self._refuse(session, error)
        return self._redraw(session)

    def _refuse(self, session: Session | None, error: SparrowError) -> Updates:
        """Say why something was not done; in the status line: Gradio's own error covers the chat."""
        status = notice_html(str(error), failed=True)
        if session is not None and session in self._shown:
            self._shown[session] = replace(self._shown[session], status=status)
        return {self._layout.status: status}

    def _redraw(self, session: Session) -> Updates:
        after = view(session)
        updates = redraw(self._layout, self._shown.get(session), after)
        self._shown[session] = after
        return updates


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
