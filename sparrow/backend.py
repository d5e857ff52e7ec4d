"""What the page, the chat model and the API ask of the machine that runs the model, here or far away.

A backend keeps no truth: a conversation is its `History`, which the caller holds and hands over each time.
What a backend remembers under a key (a read video, keys and values of earlier turns) only saves time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from sparrow.types import (
    GroundedAnswer,
    History,
    MaskTrack,
    Progress,
    Prompt,
    StreamEvent,
    TracksSoFar,
)
from sparrow.video import Video


class Backend(Protocol):
    """Runs a model. Its methods may be called from several threads at once; heavy work takes turns."""

    @property
    def card(self) -> Mapping[str, Any]:
        """What the model is and can talk about: name, trained_on, nouns, limits; learns: adapting helps it."""

    def ask(
        self,
        key: str,
        video: Video,
        history: History,
        question: str,
        prompts: Sequence[Prompt] = (),
        *,
        cancel: threading.Event | None = None,
    ) -> Iterator[StreamEvent]:
        """Answer a question word by word, then track what the answer names.

        Args:
            key: names the conversation, the same in each of its turns.
            video: what it is about.
            history: what was said before; not changed, see `History.after`.
            question: what the user typed.
            prompts: what the user points at in this question.
            cancel: checked between words and between frames; what there is by then is the answer, marked as
                not complete.

        Returns:
            Events; the last is the GroundedAnswer. Closing the iterator ends the work likewise.

        Raises:
            PromptError: the question is empty or too long, or a prompt lies outside the video.
            Busy: too many wait already.
        """

    def track(
        self,
        video: Video,
        prompts: Sequence[Prompt],
        *,
        before: Mapping[int, MaskTrack] | None = None,
        span: tuple[int, int] | None = None,
        adapt_seconds: float = 0.0,
        cancel: threading.Event | None = None,
        key: str = "",
    ) -> Iterator[Progress | TracksSoFar]:
        """Track what points, boxes or masks point at, or correct tracks.

        Args:
            video: what to track in.
            prompts: of one or several referents, on any frames; clicks correct the mask in `before`.
            before: by referent id, the tracks to correct.
            span: first frame and the one after the last to change, None for all; outside it `before` stays,
                and is absent where there is none.
            adapt_seconds: above 0, learn what is pointed at first; see `Sparrow.track`.
            cancel: checked at each frame; what there is by then is the result: frames not reached keep
                `before`, and the track is marked as not complete.
            key: names the conversation that it is for, see `ask`; who waits, waits by turns of the keys.

        Returns:
            Events; the last is a TracksSoFar with one track per referent, in ascending order of id.

        Raises:
            PromptError: no prompt, or one outside the video or its span.
            Busy: too many wait already.
        """

    def preview(
        self,
        video: Video,
        prompts: Sequence[Prompt],
        before: MaskTrack | None = None,
        *,
        key: str = "",
    ) -> MaskTrack:
        """Draw the mask of one referent on one frame, that of all prompts; elsewhere the track is absent.

        Args:
            video: what to look at.
            prompts: of one referent, all on one frame.
            before: the track that clicks correct on that frame.
            key: names the conversation that it is for.
        """

    def forget(self, key: str) -> None:
        """Drop what is remembered under a key, and of its videos; an unknown one is no error."""


def answer_of(events: Iterator[StreamEvent]) -> GroundedAnswer:
    """Run `Backend.ask` to its end and give the answer."""
    answer = None
    for event in events:
        if isinstance(event, GroundedAnswer):
            answer = event
    assert answer is not None
    return answer
