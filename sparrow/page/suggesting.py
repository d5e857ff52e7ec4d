"""What the model can talk about and what was found so far -> questions that a visitor may ask next.

Only the words of its own tables and inert names are put together here; no model writes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sparrow.sessions.record import Exchange
from sparrow.types import Referent

MOST = 4

POINTED = ("What is this?", "What is this doing?", "What color is this?")
"""Offered while something that is pointed at goes along with the question."""

_ABOUT_VIDEO = ("Describe the video.", "How many things are there?", "Segment everything.")
_ABOUT_ONE = ("What is {x} doing?", "Where is {x}?", "When is {x} visible?", "What color is {x}?")
_ABOUT_IT = ("What is it doing?", "When is it visible?")
_ABOUT_TWO = ("Is {x} larger than {y}?",)

_NAMELESS = re.compile(r"object \d+")
"""What a thing is called that was only pointed at."""


def suggestions(
    card: Mapping[str, object],
    prepared: Sequence[str],
    exchanges: Sequence[Exchange],
    referents: Sequence[Referent],
    *,
    pointed: bool,
) -> tuple[str, ...]:
    """Choose a few questions that were not asked yet.

    Args:
        card: the model's; with a list of nouns it answers questions of its world.
        prepared: for this very video.
        exchanges: what was asked.
        referents: the things at hand, by the names that the model knows them by.
        pointed: something goes along with the question.
    """
    if pointed:
        return POINTED
    asked = {_plain(exchange.question) for exchange in exchanges}
    last = exchanges[-1].answer if exchanges else None
    spoken = last.referents if last is not None else ()
    found: list[str] = []
    if len(spoken) == 1:
        found += _ABOUT_IT
    if len(spoken) == 2 and card["nouns"]:
        x, y = (referent.phrase for referent in spoken)
        found += [text.format(x=x.lower(), y=y.lower()) for text in _ABOUT_TWO]
    following = [*prepared, *found] if not exchanges else [*found[:2], *prepared, *found[2:]]
    for referent in spoken[:2] or [r for r in referents if not _NAMELESS.fullmatch(r.phrase)][-2:]:
        following += [text.format(x=referent.phrase.lower()) for text in _ABOUT_ONE]
    following += _ABOUT_VIDEO
    fresh = [text for text in dict.fromkeys(following) if _plain(text) not in asked]
    return tuple(fresh[: max(MOST, len(prepared) if not exchanges else 0)])


def _plain(question: str) -> str:
    return question.lower().rstrip(".?! ")
