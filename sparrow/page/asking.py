"""A question or a pointing of the visitor -> the session's next exchange, its referents and its result files.

Knows the model only through `Chat` and `Sparrow.track`, and no component of the page.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from sparrow.errors import Cancelled, SparrowError
from sparrow.export import write_masks_json
from sparrow.page.pointing import prompt_of
from sparrow.page.session import Exchange, Results, Session, SessionError
from sparrow.page.steps import in_steps
from sparrow.render import render
from sparrow.types import GroundedAnswer, Progress, TextDelta

if TYPE_CHECKING:
    from sparrow.pipeline import Sparrow

MAX_QUESTION = 400
"""Characters."""


def begin_question(session: Session, question: str) -> Exchange:
    """Add a question to the conversation, with what is attached to it.

    Raises:
        SessionError: there is no video yet, or the question is empty or too long.
    """
    question = question.strip()
    if session.chat is None:
        raise SessionError("Choose a video first, then ask.")
    if not question:
        raise SessionError("Write a question first.")
    if len(question) > MAX_QUESTION:
        raise SessionError(
            f"A question may have {MAX_QUESTION} characters, yours has {len(question)}; shorten it."
        )
    exchange = Exchange(question, session.attached)
    session.exchanges.append(exchange)
    session.attached = ()
    return exchange


def answer_question(session: Session, exchange: Exchange) -> Iterator[None]:
    """Stream the answer into the exchange, then make the result files.

    When the session's stop event is set, what there is by then stays, marked as stopped.

    Raises:
        SparrowError: the question cannot be answered.
    """
    chat = session.chat
    if chat is None:
        raise SessionError("Choose a video first, then ask.")
    prompts = [session.prompts[i] for i in exchange.attached]
    known = set(session.tracks)
    try:
        for event in chat.stream(exchange.question, prompts, cancel=session.stop):
            if isinstance(event, TextDelta):
                exchange.text += event.text
            elif isinstance(event, Progress):
                session.status = event
            else:
                _finish(session, exchange, event)
            yield
    except SparrowError:
        exchange.state = "failed"
        raise
    finally:
        if exchange.state == "working":  # the visitor is gone, or the model broke
            exchange.state = "failed"
    if set(session.tracks) != known:
        yield from make_results(session)
    session.tell("Stopped: the result is partial." if exchange.state == "stopped" else "")
    yield


def withdraw(session: Session) -> None:
    """Take back work that has not begun; its question is marked as stopped."""
    session.pending = None
    if session.exchanges and session.exchanges[-1].state == "working":
        session.exchanges[-1].state = "stopped"


def track_pointed(sparrow: Sparrow, session: Session) -> Iterator[None]:
    """Follow what the clicks point at through the video; it goes along with the next question.

    When the session's stop event is set, the frames reached by then stay.

    Raises:
        SparrowError: nothing was clicked, or it cannot be tracked.
    """
    video, chat, pointing = session.video, session.chat, session.pointing
    if video is None or chat is None or pointing is None:
        raise SessionError("Choose a frame and click on the thing first.")
    prompt = prompt_of(pointing, chat.next_id)
    tracks = yield from in_steps(
        session,
        lambda report: sparrow.track(video, [prompt], progress=report, cancel=session.stop),
    )
    chat.add(tracks[0], f"object {prompt.referent_id}")
    session.prompts[prompt.referent_id] = prompt
    session.attached = (*session.attached, prompt.referent_id)
    _know(session)
    drawn = yield from make_results(session)
    stopped = "" if tracks[0].complete else "Stopped: the track is partial. "
    marked = "is marked in the video" if drawn else "is known, but not drawn"
    session.tell(f"{stopped}Object {prompt.referent_id} {marked}; you can ask about it.")
    yield


def make_results(session: Session) -> Generator[None, None, bool]:
    """Write the annotated video and the masks of all referents so far; the earlier ones are deleted.

    Returns:
        False if Stop was pressed again: the earlier results stay as they are.
    """
    video, before = session.video, session.results
    if video is None:
        return False
    session.stop.clear()  # it has done its work, the partial result is to be seen
    referents = [session.referents[i] for i in session.tracks]
    tracks = list(session.tracks.values())
    annotated, masks = session.new_path("annotated.mp4"), session.new_path("masks.json")
    try:
        yield from in_steps(
            session,
            lambda report: render(
                video, tracks, referents, annotated, progress=report, cancel=session.stop
            ),
        )
        write_masks_json(masks, video, tracks, referents)
    except Cancelled:
        session.discard(annotated)
        session.discard(masks)
        return False
    session.results = Results(annotated, masks)
    if before is not None:
        session.discard(before.annotated)
        session.discard(before.masks)
    return True


def _finish(session: Session, exchange: Exchange, answer: GroundedAnswer) -> None:
    exchange.answer = answer
    exchange.text = answer.text
    if answer.complete:
        exchange.state = "done"
    else:
        exchange.state = "stopped" if session.stop.is_set() else "cut"
    _know(session)


def _know(session: Session) -> None:
    """Take over what the chat has grounded so far."""
    chat = session.chat
    if chat is not None:
        session.referents = {referent.id: referent for referent in chat.referents}
        session.tracks = {i: chat.tracks[i] for i in sorted(chat.tracks)}
