"""A session's exchanges <-> messages, so that what the page said in a session goes on as a conversation."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from sparrow.chat.messages import METADATA, Box, Known, Point, Pointing, write_question
from sparrow.chat.turn import grounding_for
from sparrow.sessions.record import Exchange, State
from sparrow.types import GroundedAnswer, History, Prompt, Turn

_REASONS: dict[State, str] = {"stopped": "stopped", "cut": "length"}
_STATES: dict[str, State] = {reason: state for state, reason in _REASONS.items()}


def told_anew(
    exchanges: Sequence[Exchange], known: History, session: str, video: str
) -> list[BaseMessage]:
    """Write messages for the exchanges that were answered.

    Args:
        exchanges: of a session.
        known: what was found in it.
        session: its id.
        video: names the content of its video.
    """
    messages: list[BaseMessage] = []
    for exchange in exchanges:
        answer = exchange.answer
        if answer is None or not answer.text:
            continue
        ids = [prompt.referent_id for prompt in exchange.prompts]
        here = GroundedAnswer(
            answer.text,
            tuple(referent for referent in answer.referents if referent.id in known.phrases),
            frames=answer.frames,
            seconds=answer.seconds,
            complete=answer.complete,
            said=answer.said,
        )
        grounding = grounding_for(
            session, video, here, [i for i in ids if i in known.phrases], known
        )
        question = write_question(
            exchange.question,
            [_pointing(p) for p in exchange.prompts if p.referent_id in known.phrases],
        )
        metadata = {
            METADATA: grounding.model_dump(mode="json"),
            "finish_reason": _REASONS.get(exchange.state, "stop"),
        }
        messages += [
            question.model_copy(update={"id": uuid.uuid4().hex}),
            AIMessage(answer.text, id=uuid.uuid4().hex, response_metadata=metadata),
        ]
    return messages


def exchanges_of(messages: Sequence[BaseMessage], turns: Sequence[Turn]) -> list[Exchange]:
    """Give a session's exchanges for finished messages; `turns` are those with words in the answer."""
    exchanges: list[Exchange] = []
    pairs = iter(zip(turns[::2], turns[1::2], strict=True))
    for message in messages:
        if isinstance(message, HumanMessage):
            exchanges.append(Exchange(message.text, state="stopped"))
        elif (
            isinstance(message, AIMessage)
            and message.text
            and not message.tool_calls
            and exchanges
            and exchanges[-1].answer is None
        ):
            question, answer = next(pairs)
            state = _STATES.get(message.response_metadata.get("finish_reason", ""), "done")
            attached = tuple(dict.fromkeys(prompt.referent_id for prompt in question.prompts))
            exchanges[-1] = Exchange(
                question.text, attached, question.prompts, answer.text, answer.answer, state
            )
    return exchanges


def _pointing(prompt: Prompt) -> Pointing:
    """Give what a prompt is in a message; a drawn mask is the thing that it became."""
    at = prompt.coordinates
    if prompt.kind == "box":
        x0, y0, x1, y1 = at.tolist()
        return Box(frame=prompt.frame, xyxy=(x0, y0, x1, y1), referent=prompt.referent_id)
    if prompt.kind == "mask":
        return Known(id=prompt.referent_id)
    x, y = at.tolist()
    return Point(type=prompt.kind, frame=prompt.frame, xy=(x, y), referent=prompt.referent_id)
