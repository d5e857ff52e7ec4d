"""Pages that come and go: a reload finds its session again, another tab gets its own, a link opens an example."""

from __future__ import annotations

import time

import gradio as gr
import pytest

from sparrow.backend import Backend
from sparrow.page.arriving import Arrivals
from sparrow.page.examples import Example
from sparrow.page.layout import Layout, build_layout
from sparrow.page.models import MINI, Models
from sparrow.page.opening import PAGE_LIMITS
from sparrow.page.running import Runner
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions


def page(name: str, **query: str) -> gr.Request:
    return gr.Request(session_hash=name, query_params=query)


class Door:
    """Lets pages in, and gives their sessions."""

    def __init__(self, arrivals: Arrivals, layout: Layout, sessions: Sessions) -> None:
        self.arrivals, self._layout, self._sessions = arrivals, layout, sessions

    def open(self, request: gr.Request, *kept_ids: str) -> Session:
        updates = self.arrivals.arrive(list(kept_ids) or None, request)
        session = self._sessions.get(updates[self._layout.session_id])
        until = time.monotonic() + 60
        while session.busy and time.monotonic() < until:
            time.sleep(0.01)
        return session


@pytest.fixture
def door(sessions: Sessions, backend: Backend, examples: tuple[Example, ...]) -> Door:
    models = Models([MINI], lambda _: backend)
    with gr.Blocks():
        layout = build_layout(models.get(MINI).card, models, examples, PAGE_LIMITS)
    return Door(Arrivals(Runner(sessions, models, layout), layout, examples), layout, sessions)


def test_a_new_page_has_a_new_session(door: Door) -> None:
    first, second = door.open(page("a")), door.open(page("b"))
    assert first is not second
    assert first.model == MINI


@pytest.mark.parametrize("kept", [None, 7, "x", {}, [None, 3], [["a"]], ["../../etc", "no"]])
def test_whatever_the_browser_says_it_kept(door: Door, kept: object) -> None:
    door.arrivals.arrive(kept, page("a"))


def test_a_reload_finds_its_session(door: Door) -> None:
    session = door.open(page("a"))
    door.arrivals.leave(page("a"))
    assert door.open(page("b"), session.id, session.id) is session
    assert (
        door.open(page("c"), session.id) is session
    )  # even before the old page is known to be gone


def test_another_tab_gets_its_own_but_a_closed_one_is_found_again(door: Door) -> None:
    session = door.open(page("a"))
    assert door.open(page("b"), "", session.id) is not session
    door.arrivals.leave(page("a"))
    assert door.open(page("c"), "", session.id) is session


def test_a_link_opens_an_example_in_a_new_session(door: Door) -> None:
    session = door.open(page("a"))
    door.arrivals.leave(page("a"))
    linked = door.open(page("b", example="plain"), "", session.id)
    assert linked is not session
    assert linked.title == "The plain.mp4"
    linked.title = "mine now"
    assert door.open(page("c", example="plain"), linked.id).title == "mine now"  # a reload
    assert door.open(page("d", example="../plain")).video is None


def test_leaving_starts_the_clock_and_coming_back_stops_it(door: Door) -> None:
    session = door.open(page("a"))
    visits = door.arrivals._run.visits
    door.arrivals.leave(page("a"))
    assert visits.of(session).left_at is not None
    door.open(page("b"), session.id)
    assert visits.of(session).left_at is None
    door.arrivals.leave(page("unknown"))


def test_delete_takes_everything_and_gives_a_new_session(door: Door, sessions: Sessions) -> None:
    session = door.open(page("a", example="plain"))
    folder = session.folder
    assert folder.is_dir()
    updates = door.arrivals.delete(session.id, page("a"))
    assert not folder.exists()
    new = sessions.get(updates[door._layout.session_id])
    assert new is not session
    assert "deleted" in new.notice
    assert door.open(page("b"), session.id) is not session
