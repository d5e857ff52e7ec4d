"""A turn's events -> the chunks of LangChain's stream: words, and at the end what the answer speaks of and cost."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGenerationChunk

from sparrow.chat.messages import METADATA, count_words
from sparrow.chat.turn import Taken
from sparrow.types import Progress, StreamEvent, TextDelta, TracksSoFar


def chunks_of(
    events: Generator[StreamEvent, None, Taken],
    told: Callable[[Progress | TracksSoFar], None] | None,
) -> Generator[ChatGenerationChunk, None, Taken]:
    """Yield a chunk for each word, and an empty one for each other step, which `told` is told."""
    with closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                taken: Taken = end.value
                return taken
            if isinstance(event, Progress | TracksSoFar) and told is not None:
                told(event)
            text = event.text if isinstance(event, TextDelta) else ""
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))


def last_chunk(
    card: Mapping[str, Any], taken: Taken | None, *, stopped: bool
) -> ChatGenerationChunk:
    """Close an answer: what it speaks of, why it ended, and what it cost.

    Args:
        card: of the model.
        taken: the turn; None when it was stopped before it began.
        stopped: the user pressed Stop.
    """
    metadata: dict[str, Any] = {"model_name": str(card["name"]), "model_provider": "sparrow"}
    if taken is None:
        metadata["finish_reason"] = "stopped"
        usage = None
    else:
        complete = taken.answer.complete
        metadata["finish_reason"] = "stop" if complete else "stopped" if stopped else "length"
        metadata[METADATA] = taken.grounding.model_dump(mode="json")
        said = len(taken.answer.said) or count_words(taken.answer.text)
        video = taken.answer.video_tokens
        details: dict[str, int] = {"video": video}
        usage = UsageMetadata(
            input_tokens=video + taken.read,
            output_tokens=said,
            total_tokens=video + taken.read + said,
            input_token_details=cast(InputTokenDetails, details),  # which knows no "video"
        )
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            response_metadata=metadata,
            usage_metadata=usage,
            chunk_position="last",
        )
    )
