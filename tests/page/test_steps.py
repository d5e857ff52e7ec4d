"""Long calls as generators: progress comes through, results and errors too, leaving stops the call."""

from __future__ import annotations

import threading

import pytest

from sparrow.errors import VideoError
from sparrow.page.steps import in_steps
from sparrow.page.visit import Visit
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.types import Progress
from sparrow.work import ProgressSink


@pytest.fixture
def session(sessions: Sessions) -> Session:
    return sessions.open()


def test_a_silent_call_gives_its_result(session: Session) -> None:
    steps = in_steps(session, Visit(), lambda report: 7)
    with pytest.raises(StopIteration) as over:
        next(steps)
    assert over.value.value == 7


def test_progress_is_shown_before_the_result(session: Session) -> None:
    go_on, visit = threading.Event(), Visit()

    def call(report: ProgressSink) -> str:
        report(Progress("drawing", 3, 9, 0.5))
        assert go_on.wait(10)
        return "done"

    steps = in_steps(session, visit, call)
    next(steps)
    assert session.status == Progress("drawing", 3, 9, 0.5)
    assert visit.steps == {"drawing": Progress("drawing", 3, 9, 0.5)}
    go_on.set()
    with pytest.raises(StopIteration) as over:
        next(steps)
    assert over.value.value == "done"


def test_errors_come_through(session: Session) -> None:
    def call(report: ProgressSink) -> None:
        raise VideoError("not a video")

    with pytest.raises(VideoError, match="not a video"):
        list(in_steps(session, Visit(), call))


def test_leaving_early_stops_the_call(session: Session) -> None:
    ended = []

    def call(report: ProgressSink) -> None:
        report(Progress("drawing"))
        ended.append(session.stop.wait(10))

    steps = in_steps(session, Visit(), call)
    next(steps)
    steps.close()
    assert ended == [True]
