"""Answers that end at a stop sequence or at the longest length."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import pytest

from sparrow.chat.ending import end_early
from sparrow.types import GroundedAnswer, Progress, StreamEvent, TextDelta

WORDS = ["Here", " is", " the", " fox", "."]


def events(made: list[str]) -> Generator[StreamEvent, None, None]:
    """An answer in words; `made` tells which of them were asked for."""
    yield Progress("read")
    for word in WORDS:
        made.append(word)
        yield TextDelta(word)
    yield Progress("track", 1, 1)
    yield GroundedAnswer("".join(WORDS))


@pytest.mark.parametrize(
    ("stop", "max_words", "text", "complete", "made"),
    [
        ((), None, "Here is the fox.", True, 5),
        ((), 5, "Here is the fox.", True, 5),
        ((), 4, "Here is the fox", False, 5),
        ((), 1, "Here", False, 2),
        (("fox",), None, "Here is the ", True, 4),
        (("s the",), None, "Here i", True, 3),
        (("Here",), None, "", True, 1),
        (("cat",), None, "Here is the fox.", True, 5),
        (("fox", "the"), None, "Here is ", True, 3),
        (("fox",), 2, "Here is", False, 3),
        (("",), None, "Here is the fox.", True, 5),
    ],
)
def test_an_answer_ends_where_it_must_and_no_later_word_is_made(
    stop: Sequence[str], max_words: int | None, text: str, complete: bool, made: int
) -> None:
    asked_for: list[str] = []
    got = list(end_early(events(asked_for), stop, max_words))
    assert "".join(e.text for e in got if isinstance(e, TextDelta)) == text
    assert isinstance(got[-1], GroundedAnswer)
    assert (got[-1].text, got[-1].complete, len(asked_for)) == (text, complete, made)


def test_what_is_held_back_is_shown_before_tracking() -> None:
    got = list(end_early(events([]), ("fox.!",), None))
    shown = "".join(
        e.text for e in got[: got.index(Progress("track", 1, 1))] if isinstance(e, TextDelta)
    )
    assert shown == "Here is the fox."
