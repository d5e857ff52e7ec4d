"""The view of a session: what the page says about progress, the video, the conversation and the things found."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

from sparrow.page.suggesting import POINTED
from sparrow.page.view import View, view
from sparrow.page.visit import Draft, Ready, Visit
from sparrow.sessions.record import Exchange
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.types import GroundedAnswer, Progress, Prompt, Referent, TracksSoFar, colour_of
from tests.page.conftest import Opened, square

CARD = {"name": "mini", "trained_on": "", "limits": "", "nouns": [], "learns": True}


def look(session: Session, visit: Visit | None = None) -> View:
    return view(session, visit or Visit(), CARD, model="mini")


def text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup)).split())


def test_an_empty_session_shows_the_chooser(sessions: Sessions) -> None:
    shown = look(sessions.open())
    assert (shown.ready, shown.busy, shown.choosing) == (False, False, True)
    assert shown.stage["video"] is None
    assert shown.chat["messages"] == shown.chat["suggestions"] == shown.chat["chips"] == []
    assert not any(offer["enabled"] for offer in shown.downloads["offers"])
    assert text(shown.status + shown.about) == ""


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("track", 12, 40, 1.23), "Tracking 12 of 40 1.2 s"),
        (Progress("read", 0, 0, 0.0), "Reading the video 0.0 s"),
        (Progress("wait", 1, 2, 61.0), "You are 2nd in line 61.0 s"),
    ],
)
def test_progress_says_step_count_and_time(
    sessions: Sessions, progress: Progress, words: str
) -> None:
    session = sessions.open()
    session.working, session.status = True, progress
    shown = look(session)
    assert text(shown.status) == words
    assert ('value="' in shown.status) == (progress.step == "track")
    session.working = False


def test_the_progress_of_an_answer_is_in_the_chat(opened: Opened) -> None:
    opened.session.exchanges = [Exchange("Where?")]
    opened.session.working, opened.session.status = True, Progress("answer")
    opened.visit.steps = {"read": Progress("read", 8, 8, 0.5), "answer": Progress("answer")}
    shown = look(opened.session, opened.visit)
    assert text(shown.status) == ""
    assert shown.chat["messages"][1]["steps"]["title"] == "Answering"
    opened.session.working = False


def test_errors_are_announced_and_inert(sessions: Sessions) -> None:
    session = sessions.open()
    session.tell("<img src=x>: expected a video", failed=True)
    shown = look(session)
    assert 'role="alert"' in shown.status
    assert "<img" not in shown.status


def test_the_video_is_described(opened: Opened) -> None:
    opened.session.title = "<b>.mp4"
    shown = look(opened.session)
    assert text(shown.about) == "<b>.mp4 3.0 s · 96 × 64 · 30 frames · 10 fps · with sound"
    assert "<b>.mp4" not in shown.about
    assert shown.stage["video"]["frames"] == 30
    assert not shown.choosing


def test_things_are_shown_as_the_user_wants(opened: Opened) -> None:
    opened.give(1, "the fox", range(6))
    opened.give(2, "the car")
    opened.session.names, opened.session.colours = {2: "my car"}, {2: "#123456"}
    opened.session.hidden = {1}
    things = look(opened.session, opened.visit).stage["objects"]
    assert [(t["id"], t["name"], t["colour"], t["shown"]) for t in things] == [
        (1, "the fox", colour_of(1), False),
        (2, "my car", "#123456", True),
    ]
    assert look(opened.session, opened.visit).downloads["found"]


def test_masks_are_written_once_for_each_track(opened: Opened) -> None:
    opened.give(1, "the fox")

    def masks() -> dict[str, object]:
        return look(opened.session, opened.visit).stage["objects"][0]["masks"]

    first = masks()
    assert masks() == first
    opened.give(1, "the fox", range(9))
    assert masks()["version"] > first["version"]
    opened.give(1, "the fox", range(8))
    masks()
    files = list(opened.session.folder.rglob("masks.json"))
    assert len(files) == 3  # the older ones stay for a while: a browser may be fetching them
    opened.session.history = opened.session.history.without(1)
    look(opened.session, opened.visit)
    assert not list(opened.session.folder.rglob("masks.json"))


def test_what_grows_is_shown_before_it_is_kept(opened: Opened) -> None:
    fox = Referent(1, "the fox", None, colour_of(1))
    opened.visit.growing = TracksSoFar((fox,), (square(opened.video, 1, range(3)),))
    things = look(opened.session, opened.visit).stage["objects"]
    assert [thing["name"] for thing in things] == ["the fox"]
    assert opened.session.history.tracks == {}


def test_what_goes_along_changes_the_suggestions(opened: Opened) -> None:
    assert look(opened.session).chat["suggestions"][:2] == ["Where is the fox?", "How many?"]
    opened.give(1, "the fox")
    opened.visit.selected = 1
    shown = look(opened.session, opened.visit)
    assert [(c["id"], c["on"]) for c in shown.chat["chips"]] == [(1, False)]  # only offered
    opened.session.attached = (1,)
    shown = look(opened.session, opened.visit)
    assert [(c["name"], c["on"]) for c in shown.chat["chips"]] == [("the fox", True)]
    assert tuple(shown.chat["suggestions"]) == POINTED


def test_a_pointing_becomes_a_chip(opened: Opened) -> None:
    prompt = Prompt(1, 12, "point+", np.array([5, 5], np.float32))
    opened.visit.draft = Draft((prompt,), square(opened.video, 1, range(12, 13)), attached=True)
    shown = look(opened.session, opened.visit)
    assert [(c["name"], c["where"], c["on"]) for c in shown.chat["chips"]] == [
        ("this", "at 0:01.2", True)
    ]
    assert shown.stage["preview"]["frame"] == 12
    assert shown.stage["can"]["apply"]
    assert shown.stage["can"]["undo"]
    assert len(shown.stage["prompts"]) == 1


@pytest.mark.parametrize(("prepared", "learns"), [((), True), (("Where?",), False)])
def test_learning_is_offered_on_the_visitors_own_video(
    opened: Opened, prepared: tuple[str, ...], learns: bool
) -> None:
    opened.session.suggestions = prepared
    assert look(opened.session).stage["can"]["learn"] is learns


def test_what_the_model_looked_at(opened: Opened) -> None:
    answer = GroundedAnswer("Yes.", (), (), (0, 8, 16))
    opened.session.exchanges = [Exchange("So?", (), (), "Yes.", answer, "done"), Exchange("And?")]
    assert look(opened.session).stage["looked_at"] == [0, 8, 16]


def test_a_download_is_told_once_by_its_number(opened: Opened) -> None:
    path = opened.session.new_path("a b.zip")
    opened.visit.download = Ready(path, 7)
    shown = look(opened.session, opened.visit).downloads["file"]
    assert (shown["name"], shown["nonce"]) == ("a b.zip", 7)
    assert shown["url"].endswith("/a%20b.zip")
