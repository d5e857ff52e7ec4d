"""Asking and pointing with a real, untrained model: the flow, the files, Stop, and what is refused."""

from __future__ import annotations

import json

import pytest

from sparrow.ingest import open_video
from sparrow.page import asking, opening, pointing
from sparrow.page.examples import Example
from sparrow.page.session import Session, SessionError, Sessions
from sparrow.pipeline import Sparrow

ENDED = ("done", "cut")
"""An untrained model seldom finds the end of a sentence."""


@pytest.fixture
def session(sparrow: Sparrow, sessions: Sessions, examples: tuple[Example, ...]) -> Session:
    session = sessions.open()
    for _ in opening.open_example(sparrow, session, examples[0]):
        pass
    return session


@pytest.mark.parametrize(
    ("question", "words"),
    [("", "Write a question"), (" \n ", "Write a question"), ("a" * 401, "401")],
)
def test_questions_that_are_refused(session: Session, question: str, words: str) -> None:
    with pytest.raises(SessionError, match=words):
        asking.begin_question(session, question)
    assert session.exchanges == []


def test_no_question_without_a_video(sessions: Sessions) -> None:
    with pytest.raises(SessionError, match="video first"):
        asking.begin_question(sessions.open(), "Where is the fox?")


def test_a_question_is_streamed_and_ends(session: Session) -> None:
    exchange = asking.begin_question(session, "  Where is the fox?  ")
    assert exchange.question == "Where is the fox?"
    lengths = [len(exchange.text) for _ in asking.answer_question(session, exchange)]
    assert exchange.state in ENDED
    assert exchange.answer is not None
    assert exchange.text == exchange.answer.text
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 2  # it grew
    assert session.tracks.keys() == {t.referent_id for t in exchange.answer.tracks}
    assert (session.results is not None) == bool(session.tracks)


def test_stop_before_a_word_leaves_a_partial_answer(session: Session) -> None:
    exchange = asking.begin_question(session, "Where is the fox?")
    session.stop.set()
    for _ in asking.answer_question(session, exchange):
        pass
    assert exchange.state == "stopped"
    assert "partial" in session.notice


def test_leaving_in_the_middle_ends_the_exchange(session: Session) -> None:
    exchange = asking.begin_question(session, "Where is the fox?")
    work = asking.answer_question(session, exchange)
    next(work)
    work.close()
    assert exchange.state == "failed"


def test_pointing_makes_an_object_its_files_and_an_attachment(
    sparrow: Sparrow, session: Session, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pointing.show_frame(session, 5)
    for corner in ((10, 10), (40, 40)):
        pointing.click(session, corner[0] * 11, corner[1] * 11)
    for _ in asking.track_pointed(sparrow, session):
        pass
    assert session.referents[1].phrase == "object 1"
    assert session.attached == (1,)
    assert session.results is not None
    masks = json.loads(session.results.masks.read_text())
    assert [a["phrase"] for a in masks["annotations"]] == ["object 1"]
    assert masks["videos"][0]["length"] == 30
    drawn = open_video(session.results.annotated, workdir=tmp_path_factory.mktemp("again"))
    assert (drawn.num_frames, drawn.fps, drawn.has_audio) == (30, 10.0, True)
    exchange = asking.begin_question(session, "What is this?")
    assert exchange.attached == (1,)
    assert session.attached == ()
    for _ in asking.answer_question(session, exchange):
        pass
    assert exchange.state in ENDED


def test_pointing_needs_a_click(sparrow: Sparrow, session: Session) -> None:
    with pytest.raises(SessionError, match="frame"):
        list(asking.track_pointed(sparrow, session))
    pointing.show_frame(session, 0)
    with pytest.raises(SessionError, match="Click"):
        list(asking.track_pointed(sparrow, session))


def test_stop_while_tracking_keeps_the_frames_so_far(sparrow: Sparrow, session: Session) -> None:
    pointing.show_frame(session, 0)
    pointing.click(session, 20 * 11, 20 * 11)
    for _ in asking.track_pointed(sparrow, session):
        session.stop.set()
        break
    else:
        pytest.fail("nothing was reported")
    assert session.results is None


def test_stop_while_drawing_leaves_the_earlier_results(sparrow: Sparrow, session: Session) -> None:
    pointing.show_frame(session, 0)
    pointing.click(session, 20 * 11, 20 * 11)
    for _ in asking.track_pointed(sparrow, session):
        pass
    before = session.results
    drawing = asking.make_results(session)
    next(drawing)
    session.stop.set()
    with pytest.raises(StopIteration) as over:
        while True:
            next(drawing)
    assert over.value.value is False
    assert session.results is before
    assert len(list(session.folder.rglob("annotated.mp4"))) == 1


def test_results_are_replaced_not_piled_up(sparrow: Sparrow, session: Session) -> None:
    for x in (20, 40):
        pointing.show_frame(session, 0)
        pointing.click(session, x * 11, 20 * 11)
        for _ in asking.track_pointed(sparrow, session):
            pass
    assert sorted(session.tracks) == [1, 2]
    assert len(list(session.folder.rglob("annotated.mp4"))) == 1
    assert len(list(session.folder.rglob("masks.json"))) == 1


def test_withdrawn_work_is_marked(session: Session) -> None:
    exchange = asking.begin_question(session, "Where?")
    session.pending = lambda: asking.answer_question(session, exchange)
    asking.withdraw(session)
    assert not session.busy
    assert exchange.state == "stopped"
