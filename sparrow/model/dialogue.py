"""What the pipeline asks of a model that talks about sampled frames, whichever VideoLLM it has.

A dialogue answers in words, and says for each phrase of an answer which thing it means: where that
thing is in the sampled frames, and how the PixelDecoder is told of it. It draws no masks.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from threading import Event
from typing import Protocol

import numpy as np
from torch import Tensor

from sparrow.model.tokenizer import MarkedPhrase
from sparrow.types import GroundedAnswer


@dataclass(frozen=True, eq=False)
class Reply:
    """A whole answer."""

    text: str
    """Without marks."""
    phrases: tuple[MarkedPhrase, ...]
    """The grounded ones, in their order."""
    complete: bool
    """False when the longest allowed answer was reached before its end."""
    said: tuple[int, ...] = ()
    """Its word ids, marks included; see `GroundedAnswer.said`."""


@dataclass(frozen=True, eq=False)
class Thing:
    """What a phrase means."""

    key: int
    """The same thing has the same key in every turn of a dialogue."""
    boxes_norm: np.ndarray
    """(T, 4) normalised xyxy in the sampled frames, NaN where it is not known."""
    anchor: int
    """Place among the sampled frames where tracking starts."""
    token: Tensor | None
    """(C,) projected [SEG] state for the anchor frame."""


class Dialogue(Protocol):
    """Turns about T sampled frames."""

    @property
    def tracks(self) -> np.ndarray:
        """Boxes of the things known so far, (N, T, 4) normalised xyxy, NaN where unseen; row = key."""

    @property
    def video_tokens(self) -> int:
        """Positions of the language model's input that the video takes."""

    def say(
        self, question: str, pointed: np.ndarray | None, cancel: Event | None
    ) -> Generator[str, None, Reply]:
        """Answer a question, yielding text as it comes.

        Args:
            question: what the user typed.
            pointed: (N, T, 4) normalised boxes of what the user points at, NaN where unseen (the TSF
                channel), None for nothing.
            cancel: checked between words.

        Raises:
            PromptError: the question is empty or longer than the model can read.
            Cancelled: `cancel` was set; the dialogue is as before the question.
            StaleError: this answer was left half-read, and something else was asked or recalled since.
        """

    def rewind(self, turns: int) -> None:
        """Forget what was said after the first `turns` turns; the video stays read and its things known."""

    def remember(
        self, question: str, pointed: np.ndarray | None, answer: GroundedAnswer
    ) -> tuple[MarkedPhrase, ...]:
        """Take over a turn that was said at another time, as the latest one.

        Returns:
            The grounded phrases of the answer, for `find`.

        Raises:
            PromptError: the model cannot read the question; nothing has changed.
        """

    def find(self, phrase: MarkedPhrase) -> Thing | None:
        """Say what a phrase of the latest answer means; None if nothing was found for it."""

    def settle(self, key: int, boxes_norm: np.ndarray) -> None:
        """Learn where a thing was in the sampled frames, (T, 4), NaN where unseen, once it was tracked."""


def phrase_spans(answer: GroundedAnswer) -> list[tuple[int, int]]:
    """Give the spans of an answer's phrases in their order, leaving out what lies in another."""
    spans: list[tuple[int, int]] = []
    for span in sorted(r.span for r in answer.referents if r.span is not None):
        if span[0] < span[1] and (not spans or spans[-1][1] <= span[0]):
            spans.append(span)
    return spans
