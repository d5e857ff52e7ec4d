"""Ends an answer early: at a stop sequence, or when it is as long as is allowed. Knows no model."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from sparrow.types import GroundedAnswer, StreamEvent, TextDelta


def end_early(
    events: Iterator[StreamEvent], stop: Sequence[str], max_words: int | None
) -> Generator[StreamEvent, None, None]:
    """Pass an answer's events on, up to a stop sequence or the longest length.

    An answer that ends so holds the words until there and names nothing; the rest is never made.

    Args:
        events: what `Backend.ask` gives; closed at the end.
        stop: texts before which the answer ends.
        max_words: as many pieces of text are passed on at most.
    """
    stop = [sequence for sequence in stop if sequence]
    held = max(map(len, stop), default=1) - 1  # characters that may begin a stop sequence
    text, shown, count = "", 0, 0
    for event in events:
        if not isinstance(event, TextDelta):
            if shown < len(text):
                yield TextDelta(text[shown:])
                shown = len(text)
            yield event
            continue
        before, text, count = len(text), text + event.text, count + 1
        found = min((p for p in map(text.find, stop) if p >= 0), default=len(text))
        too_long = max_words is not None and count > max_words
        end = min(found, before) if too_long else found
        over = too_long or end < len(text)
        safe = end if over else max(shown, end - held)
        if shown < safe:
            yield TextDelta(text[shown:safe])
            shown = safe
        if over:
            if isinstance(events, Generator):
                events.close()
            yield GroundedAnswer(text[:end], complete=end == found)
            return
