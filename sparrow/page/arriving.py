"""A page that is loaded -> its session: the one that the browser remembers, or a new one; and what becomes of it.

A link like `?example=sloth` opens that clip in a new session. Two tabs never share a session, unless one was
made of the other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import gradio as gr

from sparrow.page import opening
from sparrow.page.examples import Example, named
from sparrow.page.layout import Layout
from sparrow.page.redraw import Updates
from sparrow.page.running import Runner
from sparrow.page.visit import Visit
from sparrow.sessions.record import SessionError
from sparrow.sessions.session import Session, Task


class Arrivals:
    """Opens sessions for pages, and ends them."""

    def __init__(self, runner: Runner, layout: Layout, examples: Sequence[Example]) -> None:
        self._run = runner
        self._at = layout
        self._examples = examples

    def arrive(self, kept_ids: object, request: gr.Request) -> Updates:
        """Find the session of a page that was loaded, or open one; a link may name an example to begin with.

        Args:
            kept_ids: what the browser remembers: the session of this tab, and the last one of any tab.
            request: of the page.
        """
        example = named(self._examples, request.query_params.get("example"))
        ids = [i for i in kept_ids if isinstance(i, str)] if isinstance(kept_ids, list) else []
        tab, last = (*ids, "", "")[:2]
        session = self._again(tab, request)
        if session is None and example is None and not self._run.sessions.shows(last):
            session = self._again(last, request)
        if session is None:
            session = self._run.sessions.open(request.session_hash)
            session.model = self._run.models.default
        visit = self._run.visits.of(session)
        visit.left_at = None
        if not session.busy:
            self._run.visits.over(session)
        known: Updates = {self._at.session_id: session.id}
        if example is not None and session.video is None:

            def begin(session: Session, visit: Visit) -> Task:
                work = opening.open_example(session, visit, example)
                return lambda: self._run.in_line(session, visit, work)

            return self._run.start(request, session.id, begin, known)
        return {**self._run.redraw(request, session), **known}

    def leave(self, request: gr.Request) -> None:
        """Note that a page was closed: its session goes some time later, unless the page comes back."""
        sessions = self._run.sessions
        session_id = sessions.shown_to(request.session_hash)
        self._run.closed(request)
        sessions.leave(request.session_hash)
        if session_id is not None and not sessions.shows(session_id):
            with suppress(SessionError):  # deleted meanwhile
                self._run.visits.of(sessions.get(session_id)).left_at = time.monotonic()

    def delete(self, session_id: str | None, request: gr.Request) -> Updates:
        """Delete the session's files at once and start an empty one."""
        self._run.sessions.delete(session_id)
        session = self._run.sessions.open(request.session_hash)
        session.model = self._run.models.default
        session.tell("Your video, the conversation and all files made of them are deleted.")
        return {self._at.session_id: session.id, **self._run.redraw(request, session)}

    def _again(self, session_id: str, request: gr.Request) -> Session | None:
        """Open a session that was there before, if it still is."""
        if not session_id:
            return None
        try:
            return self._run.sessions.get(session_id, request.session_hash)
        except SessionError:
            return None
