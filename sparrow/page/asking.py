"""A question of the visitor -> the session's next exchange, and what its answer names; also anew, changed, taken back.

Knows the model only as a Backend, and no component of the page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from sparrow.backend import Backend
from sparrow.page import correcting
from sparrow.page.pointing import prompts_of
from sparrow.page.visit import Visit, key_of
from sparrow.sessions.record import Exchange, SessionError
from sparrow.sessions.session import Session
from sparrow.types import GroundedAnswer, Progress, TextDelta
from sparrow.work import Pulse

MAX_QUESTION = 400
"""Characters."""


def begin_question(session: Session, visit: Visit, question: str) -> Exchange:
    """Add a question to the conversation, with what is attached to it.

    Raises:
        SessionError: there is no video yet, or the question is empty or too long.
    """
    draft = visit.draft
    pointed = (draft.referent_id,) if draft is not None and draft.attached else ()
    attached = tuple(dict.fromkeys((*session.attached, *pointed)))
    prompts = prompts_of(session, visit, attached)
    exchange = Exchange(_checked(session, question), attached, prompts)
    session.exchanges.append(exchange)
    session.attached = ()
    if pointed and draft is not None:
        session.prompts = (*session.prompts, *draft.prompts)
        taken = max(session.history.next_id, draft.referent_id + 1)
        session.history = replace(session.history, next_id=taken)  # whatever comes of the question
        visit.draft = None
    session.save()
    return exchange


def retry(session: Session, turn: int) -> tuple[Exchange, set[int]]:
    """Ask the question of an exchange once more; see `reword`."""
    return reword(session, turn, _at(session, turn).question)


def reword(session: Session, turn: int, question: str) -> tuple[Exchange, set[int]]:
    """Ask in other words; the exchange and what came after it go, what was found keeps its id and colour.

    Returns:
        The new exchange, and the referents that may go as well if its answer does not speak of them.

    Raises:
        SessionError: there is no such exchange, or the question is empty or too long.
    """
    old, spoken = _at(session, turn), _spoken(session.exchanges[turn:])
    exchange = Exchange(_checked(session, question), old.attached, old.prompts)
    _cut(session, turn)
    session.exchanges.append(exchange)
    session.save()
    return exchange, spoken


def take_back(session: Session, turn: int) -> str:
    """Undo an exchange and what came after it, with the things that nothing else speaks of; give its question.

    Raises:
        SessionError: there is no such exchange.
    """
    question = _at(session, turn).question
    spoken = _spoken(session.exchanges[turn:])
    _cut(session, turn)
    forget_unspoken(session, spoken)
    session.save()
    return question


def answer_question(
    backend: Backend,
    session: Session,
    visit: Visit,
    exchange: Exchange,
    dropped: Collection[int] = (),
) -> Iterator[None]:
    """Stream the answer into the exchange, and the tracks of what it names or was pointed at into the history.

    When the session's stop event is set, what there is by then stays, marked as stopped.

    Args:
        backend: answers.
        session: whose question it is.
        visit: shows how it goes on.
        exchange: what `begin_question`, `retry` or `reword` added.
        dropped: referents of exchanges that are gone; they go too, unless something still speaks of them.

    Raises:
        SparrowError: the question cannot be answered.
    """
    video = session.video
    if video is None:
        raise SessionError("Choose a video first, then ask.")
    pulse = Pulse(correcting.SECONDS_BETWEEN_TRACKS)
    try:
        for event in backend.ask(
            key_of(session.id),
            video,
            session.history,
            exchange.question,
            exchange.prompts,
            cancel=session.stop,
        ):
            if isinstance(event, TextDelta):
                exchange.text += event.text
            elif isinstance(event, Progress):
                visit.note(session, event)
            elif isinstance(event, GroundedAnswer):
                _finish(session, visit, exchange, event)
            elif pulse.due():
                visit.growing = event
            yield
        yield from _follow_pointed(backend, session, visit, exchange)
    finally:
        if exchange.state == "working":  # there is no answer: stopped, refused, or the model broke
            exchange.state = "stopped" if session.stop.is_set() else "failed"
        forget_unspoken(session, dropped)
        known = session.history.tracks  # what was pointed at may not have been tracked
        session.prompts = tuple(p for p in session.prompts if p.referent_id in known)
        session.save()
    session.tell("Stopped: the result is partial." if exchange.state == "stopped" else "")
    yield


def forget_unspoken(session: Session, ids: Collection[int]) -> None:
    """Drop those of these referents that no exchange speaks of and that the visitor has not touched."""
    touched = {p.referent_id for p in session.prompts} | set(session.names) | set(session.colours)
    for i in set(ids) - touched - _spoken(session.exchanges):
        session.history = session.history.without(i)
        session.hidden.discard(i)
        session.attached = tuple(a for a in session.attached if a != i)


def _checked(session: Session, question: str) -> str:
    question = question.strip()
    if session.video is None:
        raise SessionError("Choose a video first, then ask.")
    if not question:
        raise SessionError("Write a question first.")
    if len(question) > MAX_QUESTION:
        raise SessionError(
            f"A question may have {MAX_QUESTION} characters, yours has {len(question)}; shorten it."
        )
    return question


def _at(session: Session, turn: int) -> Exchange:
    if not 0 <= turn < len(session.exchanges):
        raise SessionError("This question is gone already.")
    return session.exchanges[turn]


def _cut(session: Session, turn: int) -> None:
    """Take away the exchanges from this one on; only answered ones are turns of the history."""
    answered = sum(exchange.answer is not None for exchange in session.exchanges[:turn])
    session.exchanges = session.exchanges[:turn]
    session.history = session.history.before(2 * answered)


def _spoken(exchanges: Sequence[Exchange]) -> set[int]:
    """Collect the referents that exchanges speak of."""
    ids = {i for exchange in exchanges for i in exchange.attached}
    for exchange in exchanges:
        if exchange.answer is not None:
            ids |= {referent.id for referent in exchange.answer.referents}
    return ids


def _finish(session: Session, visit: Visit, exchange: Exchange, answer: GroundedAnswer) -> None:
    exchange.answer = answer
    exchange.text = answer.text
    if answer.complete:
        exchange.state = "done"
    else:
        exchange.state = "stopped" if session.stop.is_set() else "cut"
    before = set(session.history.tracks)
    session.history = session.history.after(exchange.question, exchange.prompts, answer)
    visit.growing = None
    new = [t.referent_id for t in answer.tracks if t.referent_id not in before]
    if new:
        visit.selected = None  # what was just found is not about to be corrected
    session.save()


def _follow_pointed(
    backend: Backend, session: Session, visit: Visit, exchange: Exchange
) -> Iterator[None]:
    """Track what was pointed at with the question, unless the answer's own tracks show it."""
    for i in exchange.attached:
        prompts = [p for p in exchange.prompts if p.referent_id == i]
        if prompts and i not in session.history.tracks and not session.stop.is_set():
            yield from correcting.follow(backend, session, visit, prompts)
