"""The listeners without a browser: who may start what, what is sent, how Stop and errors reach the visitor."""

from __future__ import annotations

import html
from collections.abc import Iterator

import gradio as gr
import pytest

from sparrow.errors import VideoError
from sparrow.page.events import MAX_WORKING, Events
from sparrow.page.examples import Example
from sparrow.page.launch import build
from sparrow.page.layout import Layout, build_layout
from sparrow.page.opening import PAGE_LIMITS
from sparrow.page.session import Session, Sessions
from sparrow.pipeline import Sparrow


@pytest.fixture(scope="module")
def layout(sparrow: Sparrow, examples: tuple[Example, ...]) -> Layout:
    with gr.Blocks():
        return build_layout(sparrow.card, examples, PAGE_LIMITS)


@pytest.fixture
def events(
    sparrow: Sparrow, sessions: Sessions, layout: Layout, examples: tuple[Example, ...]
) -> Events:
    return Events(sparrow, sessions, layout, examples)


def failing() -> Iterator[None]:
    yield
    raise VideoError("<b>film</b>: expected at most 60 s")


@pytest.mark.parametrize("session_id", [None, "", "guess"])
def test_without_a_session_nothing_runs(
    events: Events, layout: Layout, session_id: str | None
) -> None:
    for updates in (events.ask(session_id, "Where is the fox?"), *events.work(session_id)):
        assert list(updates) == [layout.status]
        assert "reload the page" in updates[layout.status]


def test_a_question_without_a_video_is_refused_and_kept(
    events: Events, layout: Layout, sessions: Sessions
) -> None:
    session = sessions.open()
    updates = events.ask(session.id, "Where is the fox?")
    assert "Choose a video first" in updates[layout.status]
    assert layout.question not in updates
    assert not session.busy
    assert layout.status in events.clear(session.id)  # and the line is cleared later


def test_only_what_changed_is_sent(events: Events, layout: Layout, sessions: Sessions) -> None:
    session = sessions.open()
    assert layout.chat in events.clear(session.id)  # the first time everything
    session.tell("Hello.")
    assert list(events.clear(session.id)) == [layout.status]


def test_errors_reach_the_visitor_escaped_and_the_session_goes_on(
    events: Events, layout: Layout, sessions: Sessions
) -> None:
    session = sessions.open()
    session.pending = failing
    sent = list(events.work(session.id))
    status = sent[-1][layout.status]
    assert 'role="alert"' in status
    assert "<b>" not in status
    assert html.unescape(status).endswith("<b>film</b>: expected at most 60 s</div>")
    assert not session.busy


def test_a_defect_is_logged_and_said(
    events: Events, layout: Layout, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Iterator[None]:
        yield
        raise ZeroDivisionError

    session = sessions.open()
    session.pending = broken
    assert "on our side" in list(events.work(session.id))[-1][layout.status]
    assert "ZeroDivisionError" in caplog.text
    assert not session.busy


def test_one_thing_at_a_time(events: Events, layout: Layout, sessions: Sessions) -> None:
    session = sessions.open()
    session.pending = failing
    work = session.pending
    assert "Still working" in events.track(session.id)[layout.status]
    assert session.pending is work


def test_stop_before_the_turn_comes(events: Events, sessions: Sessions) -> None:
    session = sessions.open()
    session.pending = failing
    events.stop(session.id)
    assert session.stop.is_set()
    assert "before it began" in session.notice
    assert list(events.work(session.id)) == []


def test_who_comes_when_too_many_wait_is_asked_to_come_back(
    events: Events, layout: Layout, sessions: Sessions
) -> None:
    for _ in range(MAX_WORKING):
        sessions.open().pending = failing
    late = sessions.open()
    assert "too many people" in events.track(late.id)[layout.status]
    assert not late.busy


def test_a_page_that_goes_away_frees_the_session(events: Events, sessions: Sessions) -> None:
    session = sessions.open()

    def endless() -> Iterator[None]:
        while True:
            yield

    session.pending = endless
    work = events.work(session.id)
    next(work)
    assert session.busy
    work.close()
    assert not session.busy


def test_two_visitors_see_their_own(
    events: Events, sessions: Sessions, layout: Layout, examples: tuple[Example, ...]
) -> None:
    first, second = sessions.open(), sessions.open()
    run_example(events, first)
    events.ask(first.id, "Where is the fox?")
    for _ in events.work(first.id):
        pass
    updates = events.clear(second.id)
    assert updates[layout.chat] == []
    assert second.video is None
    assert first.exchanges[0].answer is not None


def run_example(events: Events, session: Session) -> None:
    class Chosen:
        index = 0

    events.choose(session.id, Chosen())  # type: ignore[arg-type]
    for _ in events.work(session.id):
        pass


def test_only_the_intended_endpoint_is_public(
    sparrow: Sparrow, sessions: Sessions, examples: tuple[Example, ...]
) -> None:
    page = build(sparrow, sessions, examples)
    info = page.get_api_info()
    assert list(info["named_endpoints"]) == ["/ask_video"]
    assert info["unnamed_endpoints"] == {}
