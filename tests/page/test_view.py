"""The view of a session: what the page says about progress, the video and the things found."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sparrow.page.session import Exchange, Pointing, Results, Session
from sparrow.page.view import POINTED_QUESTIONS, view
from sparrow.types import Progress, Referent, TrackBuilder, colour_of
from sparrow.video import Video


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session("id", tmp_path)


def text(markup: str) -> str:
    return re.sub(r"<[^>]*>", "", markup.replace("&#183;", "·").replace("&#46;", "."))


def test_an_empty_session_shows_nothing(session: Session) -> None:
    shown = view(session)
    assert (shown.ready, shown.busy, shown.stage, shown.messages) == (False, False, None, ())
    assert text(shown.status + shown.about + shown.objects + shown.attached) == ""


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("track", 12, 40, 1.23), "Tracking · 12 of 40 · 1.2 s"),
        (Progress("read", 0, 0, 0.0), "Reading the video · 0.0 s"),
        (Progress("drawing the video", 1, 2, 61.0), "Drawing the video · 1 of 2 · 61.0 s"),
    ],
)
def test_progress_says_step_count_and_time(
    session: Session, progress: Progress, words: str
) -> None:
    session.status = progress
    shown = view(session)
    assert text(shown.status).strip() == words
    assert ('value="' in shown.status) == bool(progress.total)


def test_errors_are_announced_and_inert(session: Session) -> None:
    session.tell("<img src=x>: expected a video", failed=True)
    shown = view(session)
    assert 'role="alert"' in shown.status
    assert "<img" not in shown.status


def test_waiting_and_working_are_busy(session: Session) -> None:
    session.pending = lambda: iter(())
    assert view(session).busy
    assert "Waiting" in view(session).status
    session.pending = None
    session.working = True
    assert view(session).busy
    session.working = False
    assert not view(session).busy


def test_the_video_is_described(session: Session, plain_video: Video) -> None:
    session.video, session.title = plain_video, "<b>.mp4"
    shown = view(session)
    assert text(shown.about).startswith("&#60;b&#62;.mp4 3.0 s · 96 &#215; 64 · 10 frames a second")
    assert "with sound" in shown.about
    assert shown.num_frames == 30
    assert shown.stage == plain_video.path


def test_things_are_listed_with_when_they_are_seen(session: Session) -> None:
    builder = TrackBuilder(2, (4, 4), 8)
    for frame in (2, 3, 6):
        builder.put(frame, np.ones((4, 4), dtype=bool), 0.5)
    session.tracks = {2: builder.build(complete=False)}
    session.referents = {
        1: Referent(1, "never tracked", None, colour_of(1)),
        2: Referent(2, "the fox", None, colour_of(2)),
    }
    shown = view(session).objects
    assert shown.count("<li>") == 1
    assert "in 3 of 8 frames&#44; 50&#37; sure&#44; partial" in shown
    bars = re.findall(r"left:([\d.]+)%;width:([\d.]+)%", shown)
    assert bars == [("25.00", "25.00"), ("75.00", "12.50")]


def test_results_replace_the_video_on_the_stage(session: Session, plain_video: Video) -> None:
    session.video = plain_video
    session.results = Results(Path("annotated.mp4"), Path("masks.json"))
    shown = view(session)
    assert (shown.stage, shown.masks) == (Path("annotated.mp4"), Path("masks.json"))


def test_what_is_attached_changes_the_suggestions(session: Session) -> None:
    session.suggestions = ("Where is the fox?",)
    assert view(session).suggestions == ("Where is the fox?",)
    session.referents = {1: Referent(1, "object 1", None, colour_of(1))}
    session.attached = (1,)
    shown = view(session)
    assert shown.suggestions == POINTED_QUESTIONS
    assert "ref-1" in shown.attached


def test_clicks_and_messages_are_counted(session: Session) -> None:
    session.pointing = Pointing(4, Path("frame.jpg"), ((1, 2),))
    session.exchanges = [Exchange("Where?")]
    shown = view(session)
    assert (shown.clicks, shown.frame, len(shown.messages)) == (1, 4, 2)
