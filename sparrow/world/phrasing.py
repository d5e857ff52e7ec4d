"""Sentences of the world: how questions are put, the one form of each answer, and marked phrases.

Turns names and words into text with spans. Knows no scene.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter

import numpy as np

from sparrow.world.questions import NTH_WAYS, ORDER_WAYS, QUESTIONS


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of an answer that stand for a thing."""

    text: str
    span: tuple[int, int]
    """Start and end in the answer."""
    thing_id: int


@dataclass(frozen=True, slots=True)
class QA:
    """A question about a clip and its one right answer."""

    family: str
    question: str
    answer: str
    phrases: tuple[Phrase, ...] = ()
    targets: tuple[int, ...] = ()
    """Ids of the things that the turn is about."""
    pointed: tuple[int, ...] = ()
    """Ids of the things that the user points at."""


@dataclass(frozen=True, slots=True)
class Named:
    """Words that name a thing, to be marked in an answer."""

    text: str
    thing_id: int


Pieces = Sequence[str | Named]

MOTIONS = {
    "still": "staying still",
    "left": "moving to the left",
    "right": "moving to the right",
    "up": "moving up",
    "down": "moving down",
    "circle": "moving in a circle",
}
"""What follows "the fox is"."""
RETURNING = "leaves and comes back"
RELATIONS = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
}
PLACES = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "middle": "in the middle",
    "top left": "at the top left",
    "top right": "at the top right",
    "bottom left": "at the bottom left",
    "bottom right": "at the bottom right",
}
TIMES = {
    "whole": "the whole time",
    "beginning": "at the beginning",
    "middle": "in the middle",
    "end": "at the end",
    "ends": "at the beginning and at the end",
}

ORDERS = {
    "largest": "the largest thing",
    "smallest": "the smallest thing",
    "left": "the leftmost thing",
    "right": "the rightmost thing",
    "above": "the highest thing",
    "below": "the lowest thing",
}
NTH = "the {nth} thing from the {side}"

ANSWERS = {
    "here": "Here is {thing}.",
    "here_are": "Here are {things}.",
    "colour": "{thing} is {colour}.",
    "clause": "{clause}.",
    "relation": "{thing} is {relation} {other}.",
    "order": "{thing} is {order}.",
    "enters": "{thing} enters later.",
    "leaves": "{thing} leaves.",
    "behind": "{thing} passes behind {other}.",
    "absent": "There is no {noun} in this video.",
    "one": "There is {thing}.",
    "listed_one": "There is {count}, {things}.",
    "listed": "There are {count}, {things}.",
    "count_one": "There is {count}.",
    "count": "There are {count}.",
    "place": "{thing} is {place}.",
    "way": "{thing} goes from the {start} to the {end}.",
    "when": "{thing} is visible {time}.",
    "yes_there": "Yes, there is {thing}.",
    "no_there": "No, there is no {noun}.",
    "yes": "Yes, {thing} is {what}.",
    "no": "No, {thing} is {what}.",
    "no_not": "No, {thing} is not {what}.",
    "this": "This is {thing}.",
    "these": "These are {things}.",
}

_SLOT_WORDS = (
    "is are not and a an the thing things object objects moving it this larger smaller than large"
    " small left right other one of piece pieces first second third fourth fifth sixth no grey"
)
_DROPS_MARK = 0.12  # share of questions that end without a full stop or question mark
_OTHER_SPELLING = 0.3
_TERSE = 0.1  # share of requests without articles, like "Segment fox."
_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[.,?!]")


def put(rng: np.random.Generator, kind: str, /, *, must: str = "", **slots: str) -> str:
    """Put a question of a kind in one of its ways, as people type it: not always with all marks.

    Args:
        rng: chooses the way.
        kind: key of QUESTIONS.
        must: only ways that hold this text, e.g. "{kind}".
        **slots: what fills the ways' slots.
    """
    ways = [way for way in QUESTIONS[kind] if must in way]
    if kind == "segment" and rng.random() < _TERSE:
        slots["x"] = slots["x"].replace("the ", "")
    text = capitalised(ways[int(rng.integers(len(ways)))].format(**slots))
    if rng.random() < _OTHER_SPELLING:
        text = text.replace("gray", "grey")
    return text[:-1] if rng.random() < _DROPS_MARK else text


def put_plainly(kind: str, /, *, must: str = "", **slots: str) -> str:
    """Put a question of a kind in its first way."""
    ways = [way for way in QUESTIONS[kind] if must in way]
    return capitalised(ways[0].format(**slots))


def tell(kind: str, /, **slots: str | Named | Pieces) -> tuple[str, tuple[Phrase, ...]]:
    """Write an answer, and give the phrases that name things."""
    pieces: list[str | Named] = []
    for literal, slot, _, _ in Formatter().parse(ANSWERS[kind]):
        pieces.append(literal)
        if slot is not None:
            value = slots[slot]
            pieces += [value] if isinstance(value, str | Named) else value
    text, marks = "", []
    for piece in pieces:
        words = piece if isinstance(piece, str) else piece.text
        if isinstance(piece, Named):
            marks.append((len(text), len(text) + len(words), piece.thing_id))
        text += words
    text = capitalised(text)
    return text, tuple(Phrase(text[a:b], (a, b), thing_id) for a, b, thing_id in marks)


def listed(items: Sequence[Pieces]) -> Pieces:
    """Join items with commas and a last "and"."""
    pieces: list[str | Named] = []
    for index, item in enumerate(items):
        if index:
            pieces.append(" and " if index == len(items) - 1 else ", ")
        pieces += item
    return pieces


def capitalised(text: str) -> str:
    """Make the first letter a capital and leave the rest."""
    return text[:1].upper() + text[1:]


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words and punctuation marks."""
    return _WORD.findall(text.lower())


def fixed_words() -> set[str]:
    """Collect the words of all sentences, without those that fill their slots with nouns and colours."""
    texts = [_SLOT_WORDS, RETURNING, *ANSWERS.values(), *NTH_WAYS]
    for table in (MOTIONS, RELATIONS, PLACES, TIMES, ORDERS):
        texts += table.values()
    for ways in (*QUESTIONS.values(), *ORDER_WAYS.values()):
        texts += ways
    return {word for text in texts for word in words_of(re.sub(r"\{\w+\}", " ", text))}
