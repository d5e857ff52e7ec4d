"""Asking with a real, untrained model: the flow, again, in other words, taken back, Stop, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.backend import Backend
from sparrow.page import asking
from sparrow.page.visit import Draft, key_of
from sparrow.sessions.record import Exchange, SessionError
from sparrow.sessions.sessions import Sessions
from sparrow.types import GroundedAnswer, Prompt, Referent, colour_of
from tests.page.conftest import Opened, run, square

ENDED = ("done", "cut")
"""An untrained model seldom finds the end of a sentence."""


def ask(backend: Backend, opened: Opened, question: str = "Where is the fox?") -> Exchange:
    exchange = asking.begin_question(opened.session, opened.visit, question)
    run(asking.answer_question(backend, opened.session, opened.visit, exchange))
    return exchange


def tell(opened: Opened, question: str, referent_id: int, phrase: str) -> None:
    """Add an exchange whose answer names a thing, as a trained model would."""
    referent = Referent(referent_id, phrase, (0, len(phrase)), colour_of(referent_id))
    answer = GroundedAnswer(phrase, (referent,), (square(opened.video, referent_id),))
    opened.session.exchanges.append(Exchange(question, (), (), phrase, answer, "done"))
    opened.session.history = opened.session.history.after(question, (), answer)


@pytest.mark.parametrize(
    ("question", "words"),
    [("", "Write a question"), (" \n ", "Write a question"), ("a" * 401, "401")],
)
def test_questions_that_are_refused(opened: Opened, question: str, words: str) -> None:
    with pytest.raises(SessionError, match=words):
        asking.begin_question(opened.session, opened.visit, question)
    assert opened.session.exchanges == []


def test_no_question_without_a_video(sessions: Sessions, opened: Opened) -> None:
    with pytest.raises(SessionError, match="video first"):
        asking.begin_question(sessions.open(), opened.visit, "Where is the fox?")


def test_a_question_is_streamed_and_ends(backend: Backend, opened: Opened) -> None:
    session = opened.session
    exchange = asking.begin_question(session, opened.visit, "  Where is the fox?  ")
    assert exchange.question == "Where is the fox?"
    work = asking.answer_question(backend, session, opened.visit, exchange)
    lengths = [len(exchange.text) for _ in work]
    assert exchange.state in ENDED
    assert exchange.answer is not None
    assert exchange.text == exchange.answer.text
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 2  # it grew
    assert [turn.role for turn in session.history.turns] == ["user", "assistant"]
    assert session.history.tracks.keys() == {t.referent_id for t in exchange.answer.tracks}


def test_stop_before_a_word_leaves_a_partial_answer(backend: Backend, opened: Opened) -> None:
    opened.session.stop.set()
    exchange = ask(backend, opened)
    assert exchange.state == "stopped"
    assert "partial" in opened.session.notice


def test_leaving_in_the_middle_ends_the_exchange(backend: Backend, opened: Opened) -> None:
    exchange = asking.begin_question(opened.session, opened.visit, "Where is the fox?")
    work = asking.answer_question(backend, opened.session, opened.visit, exchange)
    next(work)
    work.close()
    assert exchange.state == "failed"
    assert opened.session.history.turns == ()


def test_what_is_pointed_at_goes_along_and_is_tracked(backend: Backend, opened: Opened) -> None:
    session = opened.session
    drawn = Prompt(1, 9, "box", np.array([20, 10, 60, 50], np.float32))
    opened.visit.draft = Draft((drawn,), attached=True)
    exchange = asking.begin_question(session, opened.visit, "What is this?")
    assert (exchange.attached, exchange.prompts) == ((1,), (drawn,))
    assert opened.visit.draft is None
    assert session.prompts == (drawn,)
    run(asking.answer_question(backend, session, opened.visit, exchange))
    assert session.history.tracks[1].num_frames == 30
    assert session.attached == ()


def test_what_was_pointed_at_in_vain_leaves_no_mark_and_its_id_is_not_given_again(
    backend: Backend, opened: Opened
) -> None:
    session = opened.session
    drawn = Prompt(1, 9, "box", np.array([20, 10, 60, 50], np.float32))
    opened.visit.draft = Draft((drawn,), attached=True)
    exchange = asking.begin_question(session, opened.visit, "What is this?")
    session.stop.set()
    run(asking.answer_question(backend, session, opened.visit, exchange))
    assert exchange.state == "stopped"
    assert (session.prompts, session.history.next_id) == ((), 2)
    assert exchange.prompts == (drawn,)  # so that it can be asked again


def test_what_is_corrected_does_not_go_along(opened: Opened) -> None:
    opened.give(1, "the fox")
    drawn = Prompt(1, 9, "box", np.array([20, 10, 60, 50], np.float32))
    opened.visit.draft = Draft((drawn,))
    exchange = asking.begin_question(opened.session, opened.visit, "Where is it?")
    assert exchange.attached == ()
    assert opened.visit.draft is not None


def test_an_object_goes_along_once(opened: Opened) -> None:
    opened.give(1, "the fox")
    opened.session.attached = (1,)
    exchange = asking.begin_question(opened.session, opened.visit, "What is this doing?")
    assert [(p.referent_id, p.kind) for p in exchange.prompts] == [(1, "box")]
    assert opened.session.attached == ()


def test_asked_again_the_conversation_is_as_long_and_ids_stay(
    backend: Backend, opened: Opened
) -> None:
    tell(opened, "Segment the fox.", 1, "the fox")
    tell(opened, "And the car?", 2, "the car")
    exchange, dropped = asking.retry(opened.session, 1)
    assert (exchange.question, dropped) == ("And the car?", {2})
    assert len(opened.session.exchanges) == 2
    assert [turn.text for turn in opened.session.history.turns] == ["Segment the fox.", "the fox"]
    assert set(opened.session.history.tracks) == {1, 2}  # so that it keeps its id and colour
    run(asking.answer_question(backend, opened.session, opened.visit, exchange, dropped))
    assert len(opened.session.history.turns) == 4
    spoken = exchange.answer.referents if exchange.answer is not None else ()
    assert (2 in opened.session.history.tracks) == (2 in [r.id for r in spoken])
    assert opened.session.history.next_id >= 3  # an id is never given again


def test_in_other_words_what_came_after_goes(opened: Opened) -> None:
    tell(opened, "Segment the fox.", 1, "the fox")
    tell(opened, "And the car?", 2, "the car")
    exchange, dropped = asking.reword(opened.session, 0, " Segment the dog. ")
    assert (exchange.question, dropped) == ("Segment the dog.", {1, 2})
    assert opened.session.exchanges == [exchange]
    assert opened.session.history.turns == ()
    with pytest.raises(SessionError, match="Write a question"):
        asking.reword(opened.session, 0, "  ")
    assert opened.session.exchanges == [exchange]


def test_taken_back_its_things_go_too_unless_the_visitor_touched_them(opened: Opened) -> None:
    tell(opened, "Segment the fox.", 1, "the fox")
    tell(opened, "And the car?", 2, "the car")
    tell(opened, "And the bus?", 3, "the bus")
    opened.session.names[3] = "my bus"
    assert asking.take_back(opened.session, 1) == "And the car?"
    assert [e.question for e in opened.session.exchanges] == ["Segment the fox."]
    assert set(opened.session.history.tracks) == {1, 3}
    assert len(opened.session.history.turns) == 2
    with pytest.raises(SessionError, match="gone already"):
        asking.take_back(opened.session, 1)


def test_an_unanswered_question_is_no_turn(opened: Opened) -> None:
    opened.session.exchanges.append(Exchange("Hm?", state="failed"))
    tell(opened, "Segment the fox.", 1, "the fox")
    asking.take_back(opened.session, 1)
    assert len(opened.session.exchanges) == 1
    assert opened.session.history.turns == ()


def test_the_backend_does_not_learn_the_session_id(opened: Opened) -> None:
    key = key_of(opened.session.id)
    assert len(key) == 32
    assert opened.session.id not in key
