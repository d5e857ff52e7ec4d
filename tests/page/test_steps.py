"""Long calls as generators: progress comes through, results and errors too, leaving stops the call."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sparrow.errors import VideoError
from sparrow.page.session import Session
from sparrow.page.steps import in_steps
from sparrow.types import Progress
from sparrow.work import ProgressSink


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session("id", tmp_path)


def test_a_silent_call_gives_its_result(session: Session) -> None:
    steps = in_steps(session, lambda report: 7)
    with pytest.raises(StopIteration) as over:
        next(steps)
    assert over.value.value == 7


def test_progress_is_shown_before_the_result(session: Session) -> None:
    go_on = threading.Event()

    def call(report: ProgressSink) -> str:
        report(Progress("drawing", 3, 9, 0.5))
        assert go_on.wait(10)
        return "done"

    steps = in_steps(session, call)
    next(steps)
    assert session.status == Progress("drawing", 3, 9, 0.5)
    go_on.set()
    with pytest.raises(StopIteration) as over:
        next(steps)
    assert over.value.value == "done"


def test_errors_come_through(session: Session) -> None:
    def call(report: ProgressSink) -> None:
        raise VideoError("not a video")

    with pytest.raises(VideoError, match="not a video"):
        list(in_steps(session, call))


def test_leaving_early_stops_the_call(session: Session) -> None:
    ended = []

    def call(report: ProgressSink) -> None:
        report(Progress("drawing"))
        ended.append(session.stop.wait(10))

    steps = in_steps(session, call)
    next(steps)
    steps.close()
    assert ended == [True]
