"""The listeners without a browser: who may start what, what is sent, how Stop and errors reach the visitor."""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest

from sparrow.backend import Backend
from sparrow.errors import VideoError
from sparrow.page.events import Events
from sparrow.page.examples import Example
from sparrow.page.layout import Layout, build_layout
from sparrow.page.models import MINI, Models
from sparrow.page.opening import PAGE_LIMITS
from sparrow.page.running import MAX_FILES, MAX_WORKING, Runner
from sparrow.page.visit import Visit
from sparrow.sessions.session import Session, Task
from sparrow.sessions.sessions import Sessions

PAGE = gr.Request(session_hash="page", query_params={})
OTHER = gr.Request(session_hash="other", query_params={})


class Happened(gr.EventData):
    """What the browser sends with an event."""

    def __init__(self, **data: object) -> None:
        super().__init__(None, data)


@pytest.fixture
def models(backend: Backend) -> Models:
    made = Models([MINI], lambda _: backend)
    made.get(MINI)
    return made


@pytest.fixture(scope="module")
def layout(backend: Backend, examples: tuple[Example, ...]) -> Layout:
    with gr.Blocks():
        return build_layout(backend.card, Models([MINI], lambda _: backend), examples, PAGE_LIMITS)


@pytest.fixture
def runner(sessions: Sessions, models: Models, layout: Layout) -> Runner:
    return Runner(sessions, models, layout)


@pytest.fixture
def events(runner: Runner, layout: Layout, examples: tuple[Example, ...]) -> Events:
    return Events(runner, layout, examples)


def rest(session: Session) -> None:
    until = time.monotonic() + 60
    while session.busy:
        assert time.monotonic() < until
        time.sleep(0.01)


def failing(session: Session, visit: Visit) -> Task:
    def work() -> Iterator[None]:
        yield
        raise VideoError("<b>film</b>: expected at most 60 s")

    return work


class Held:
    """Work that goes on until it is told to stop."""

    def __init__(self) -> None:
        self.steps = 0
        self.session: Session | None = None

    def __call__(self, session: Session, visit: Visit) -> Task:
        self.session = session

        def work() -> Iterator[None]:
            while not session.stop.is_set():
                self.steps += 1
                yield
                time.sleep(0.005)
            session.tell("Stopped: partial.")

        return work


@pytest.mark.parametrize("session_id", ["", "guess", "../x", "0" * 32])
def test_without_a_session_nothing_runs(events: Events, layout: Layout, session_id: str) -> None:
    updates = events.ask(session_id, "Where is the fox?", PAGE)
    assert list(updates) == [layout.status]
    assert "reload the page" in updates[layout.status]


def test_a_question_without_a_video_is_refused_and_kept(
    events: Events, layout: Layout, sessions: Sessions
) -> None:
    session = sessions.open()
    updates = events.ask(session.id, "Where is the fox?", PAGE)
    assert "Choose a video first" in updates[layout.status]
    assert updates[layout.question] != ""
    assert not session.busy


def test_only_what_is_new_is_sent_to_each_page(
    runner: Runner, layout: Layout, sessions: Sessions
) -> None:
    session = sessions.open()
    assert layout.chat in runner.redraw(PAGE, session)  # the first time everything
    session.tell("Hello.")
    assert list(runner.redraw(PAGE, session)) == [layout.status]
    assert runner.redraw(PAGE, session)[layout.status]["__type__"] == "update"  # nothing new
    assert layout.chat in runner.redraw(OTHER, session)
    assert layout.chat in runner.redraw(PAGE, session, whole=True)


def test_a_later_view_has_a_higher_number(
    runner: Runner, layout: Layout, sessions: Sessions
) -> None:
    session, held = sessions.open(), Held()
    sent = [runner.redraw(PAGE, session)]
    runner.start(PAGE, session.id, held)
    watching = runner.watch(session.id, PAGE)
    sent.append(next(watching))
    runner.stop(session.id, OTHER)
    sent += watching
    assert len(sent[1]) == len(sent[-1]) == len(sent[0])  # whole
    for part in (layout.stage, layout.chat, layout.downloads):
        serials = [updates[part]["serial"] for updates in sent if part in updates]
        assert serials == sorted(set(serials))
        assert time.time() - 60 < serials[0] / 1000 <= time.time()


def test_errors_reach_the_visitor_escaped_and_the_session_goes_on(
    runner: Runner, layout: Layout, sessions: Sessions
) -> None:
    session = sessions.open()
    runner.start(PAGE, session.id, failing)
    sent = list(runner.watch(session.id, PAGE))
    status = sent[-1][layout.status]
    assert 'role="alert"' in status
    assert "<b>" not in status
    assert html.unescape(status).endswith("<b>film</b>: expected at most 60 s</div>")
    assert not session.busy


def test_a_defect_is_logged_and_said(
    runner: Runner, layout: Layout, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(session: Session, visit: Visit) -> Task:
        def work() -> Iterator[None]:
            yield
            raise ZeroDivisionError

        return work

    session = sessions.open()
    runner.start(PAGE, session.id, broken)
    assert "on our side" in list(runner.watch(session.id, PAGE))[-1][layout.status]
    assert "ZeroDivisionError" in caplog.text
    assert not session.busy


def test_one_thing_at_a_time_and_stop(runner: Runner, layout: Layout, sessions: Sessions) -> None:
    session, held = sessions.open(), Held()
    assert runner.start(PAGE, session.id, held)[layout.send].visible is False
    assert "Still working" in runner.start(PAGE, session.id, failing)[layout.status]
    runner.change(PAGE, session.id, lambda s, v: pytest.fail("it must not be changed"))
    runner.stop(session.id, PAGE)
    rest(session)
    steps = held.steps
    assert "Stopped" in session.notice
    time.sleep(0.05)
    assert held.steps == steps  # it really ended


def test_work_goes_on_when_its_page_is_gone_but_not_for_ever(
    runner: Runner, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, held = sessions.open(), Held()
    runner.start(PAGE, session.id, held)
    watching = runner.watch(session.id, PAGE)
    next(watching)
    watching.close()
    assert session.busy  # a page that is reloaded finds it going on
    monkeypatch.setattr("sparrow.page.running.SECONDS_ALONE", 0.0)
    runner.visits.of(session).left_at = time.monotonic() - 1
    rest(session)


def test_light_changes_are_made_while_work_goes_on(runner: Runner, sessions: Sessions) -> None:
    session, held = sessions.open(), Held()
    runner.start(PAGE, session.id, held)
    threads: list[str] = []

    def change(session: Session, visit: Visit) -> None:
        threads.append(threading.current_thread().name)

    runner.lightly(PAGE, session.id, change)
    until = time.monotonic() + 30
    while not threads and time.monotonic() < until:
        time.sleep(0.01)
    assert threads[0].startswith("sparrow-work")  # by who holds the session
    runner.stop(session.id, PAGE)
    rest(session)
    runner.lightly(PAGE, session.id, change)
    assert threads[1] == threading.current_thread().name


def test_a_light_change_that_fails_is_said(
    runner: Runner, sessions: Sessions, layout: Layout
) -> None:
    def change(session: Session, visit: Visit) -> None:
        raise VideoError("no such <thing>")

    session = sessions.open()
    updates = runner.lightly(PAGE, session.id, change)
    assert "no such &#60;thing&#62;" in updates[layout.status]


def test_who_comes_when_too_many_wait_is_asked_to_come_back(
    runner: Runner, layout: Layout, sessions: Sessions
) -> None:
    helds = [Held() for _ in range(MAX_WORKING)]
    ids = [sessions.open().id for _ in helds]
    for session_id, held in zip(ids, helds, strict=True):
        runner.start(PAGE, session_id, held)
    late = sessions.open()
    assert "too many people" in runner.start(PAGE, late.id, failing)[layout.status]
    assert not late.busy
    for session_id in ids:
        runner.stop(session_id, PAGE)
    for held in helds:
        assert held.session is not None
        rest(held.session)


def test_files_wait_for_room_and_clean_up_when_stopped(runner: Runner, sessions: Sessions) -> None:
    session, visit, cleaned = sessions.open(), Visit(), []

    def work() -> Iterator[None]:
        try:
            yield
            yield
        finally:
            cleaned.append(session.stop.is_set())

    others = [runner.in_line(session, visit, work()) for _ in range(MAX_FILES)]
    for other in others:
        next(other)
    late = runner.in_line(session, visit, work())
    next(late)
    assert session.status is not None
    assert session.status.step == "waiting for others"
    others.pop().close()
    next(late)
    assert cleaned == [False]
    stopped = runner.in_line(session, visit, work())
    next(stopped)
    session.stop.set()
    assert list(stopped) == [None, None]
    assert cleaned == [False, True]


def choose(events: Events, session: Session) -> None:
    events.choose(session.id, gr.SelectData(None, {"index": 0, "value": None}), PAGE)
    rest(session)


def test_a_whole_conversation(events: Events, sessions: Sessions, layout: Layout) -> None:
    session, other = sessions.open(), sessions.open()
    choose(events, session)
    assert session.video is not None
    updates = events.ask(session.id, "Where is the fox?", PAGE)
    assert updates[layout.question] == ""
    rest(session)
    events.suggest(session.id, Happened(text="And the car?"), PAGE)
    rest(session)
    events.retry(session.id, Happened(turn=0), PAGE)
    rest(session)
    assert [e.question for e in session.exchanges] == ["Where is the fox?"]
    events.reword(session.id, Happened(turn=0, text="Where is the dog?"), PAGE)
    rest(session)
    updates = events.undo(session.id, Happened(turn=0), PAGE)
    assert updates[layout.question] == "Where is the dog?"
    assert session.exchanges == []
    assert other.video is None


def test_a_whole_pointing(events: Events, sessions: Sessions) -> None:
    session = sessions.open()
    choose(events, session)
    events.point(session.id, Happened(frame=3, kind="point+", at=[0.3, 0.4], object=None), PAGE)
    visit = events._run.visits.of(session)
    assert visit.draft is not None
    events.correct(session.id, Happened(action="undo"), PAGE)
    assert visit.draft is None
    events.point(session.id, Happened(frame=3, kind="point+", at=[0.3, 0.4], object=None), PAGE)
    events.correct(session.id, Happened(action="apply", direction="both"), PAGE)
    rest(session)
    assert list(session.history.tracks) == [1]
    events.touch(session.id, Happened(action="hide", id=1), PAGE)
    assert session.hidden == {1}
    events.touch(session.id, Happened(action="delete", id=1), PAGE)
    assert list(session.history.tracks) == []
    events.correct(session.id, Happened(action="undo"), PAGE)
    assert list(session.history.tracks) == [1]
    events.make(session.id, Happened(format="coco"), PAGE)
    rest(session)
    assert visit.download is not None
    assert visit.download.path.name == "the-plain-coco.json"


@pytest.mark.parametrize("data", [{}, {"action": "x"}, {"turn": -1}, {"turn": 10**9}, {"id": "1"}])
def test_made_up_events_change_nothing(
    events: Events, sessions: Sessions, layout: Layout, data: dict[str, object]
) -> None:
    event = Happened(**data)
    for listener in (
        events.suggest,
        events.retry,
        events.reword,
        events.undo,
        events.point,
        events.touch,
        events.correct,
        events.make,
    ):
        session = sessions.open()
        updates = listener(session.id, event, gr.Request(session_hash=session.id, query_params={}))
        assert 'role="alert"' in updates[layout.status]
        assert not session.busy
        assert session.exchanges == []


def test_an_upload_that_is_refused_is_not_kept(
    events: Events, sessions: Sessions, tmp_path: Path, layout: Layout
) -> None:
    session, held = sessions.open(), Held()
    events._run.start(PAGE, session.id, held)
    sent = tmp_path / "film.mp4"
    sent.write_text("no film")
    updates = events.upload(session.id, str(sent), PAGE)
    assert "Still working" in updates[layout.status]
    assert not sent.exists()
    events._run.stop(session.id, PAGE)
    rest(session)


def test_another_model_must_be_allowed(events: Events, sessions: Sessions, layout: Layout) -> None:
    session = sessions.open()
    assert "Choose one of these" in events.pick(session.id, "/etc", PAGE)[layout.status]
    events.pick(session.id, MINI, PAGE)
    rest(session)
    assert session.model == MINI
