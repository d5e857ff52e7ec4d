"""Histories as they come back from a disk, and what answers are compared by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparrow.types import GroundedAnswer, History, MaskTrack, Prompt, Turn


def answers(history: History) -> list[GroundedAnswer]:
    return [turn.answer for turn in history.turns if turn.answer is not None]


def from_disk(history: History) -> History:
    """The same history in new objects, as one that was written and read back."""

    def track(found: MaskTrack) -> MaskTrack:
        return replace(found, boxes=found.boxes.copy(), scores=found.scores.copy())

    def answer(said: GroundedAnswer) -> GroundedAnswer:
        return replace(said, tracks=tuple(map(track, said.tracks)), said=tuple(said.said))

    def prompt(pointed: Prompt) -> Prompt:
        return replace(pointed, coordinates=pointed.coordinates.astype(np.float64))

    turns = tuple(
        Turn(
            turn.role,
            str(turn.text),
            tuple(map(prompt, turn.prompts)),
            turn.answer and answer(turn.answer),
        )
        for turn in history.turns
    )
    tracks = {i: track(found) for i, found in history.tracks.items()}
    return History(turns, dict(history.phrases), tracks, history.next_id)


def same(one: GroundedAnswer, other: GroundedAnswer) -> bool:
    return (one.text, one.said, one.referents, one.complete) == (
        other.text,
        other.said,
        other.referents,
        other.complete,
    )
