"""One turn of a conversation that comes as messages: what is known of it, what is pointed at, the answer.

Works on a backend; knows nothing of LangChain's chunks. Ids keep their meaning from turn to turn, and in every
branch that a program makes by leaving messages out or writing them anew.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from sparrow.backend import Backend
from sparrow.chat.ending import end_early
from sparrow.chat.memory import Kept, Memory
from sparrow.chat.messages import Asked, Box, Grounding, Known, Point, Spoken, count_words
from sparrow.chat.pointing import drawn, ids_of
from sparrow.chat.recollection import (
    drawn_in,
    known_from,
    latest,
    places_in,
    pointed_by,
    turns_of,
)
from sparrow.types import (
    GroundedAnswer,
    History,
    MaskTrack,
    Prompt,
    Referent,
    StreamEvent,
    TracksSoFar,
    colour_of,
)
from sparrow.video import Video

_SHOWN = 8  # frames in which a thing that was only pointed at is shown in messages


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is read and said."""

    max_history_words: int = 1000
    """Words of finished turns that the model reads again; of older ones only what was found stays known."""
    max_words: int | None = None
    """Longest answer."""
    stop: tuple[str, ...] = ()
    """Texts before which an answer ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A turn that was made."""

    answer: GroundedAnswer
    grounding: Grounding
    read: int
    """Words that the model read: finished turns and the question."""


@dataclass(frozen=True, slots=True, eq=False)
class TurnTaker:
    """Makes turns on a backend out of messages, and of what a memory kept of those before."""

    backend: Backend
    memory: Memory
    bounds: Bounds = Bounds()

    def take(
        self, asked: Asked, key: str, name: str, video: Video, cancel: threading.Event
    ) -> Generator[StreamEvent, None, Taken]:
        """Answer what is asked; yields the events of the work, the words of the answer among them.

        Args:
            asked: what the messages say.
            key: names the conversation, where the messages do not.
            name: names the content of the video.
            video: what it is about.
            cancel: checked between words and between frames.

        Raises:
            PromptError: the question cannot be used, or what it points at is not there.
            Busy: too many wait already.
        """
        here = [
            turn for turn in asked.said if turn.grounding is None or turn.grounding.video == name
        ]
        with self.memory.turn(asked.conversation or key, name) as held:
            if held.kept is None:
                known = known_from(here)
                known = yield from self._track(held.key, known, video, drawn_in(here), cancel)
            else:
                known = held.kept.history
            turns = turns_of(here, known)
            ids = ids_of(asked.pointings, known)
            new = [
                drawn(pointing, i)
                for pointing, i in zip(asked.pointings, ids, strict=True)
                if not isinstance(pointing, Known)
            ]
            known = yield from self._track(held.key, known, video, new, cancel)
            prompts = pointed_by(asked.pointings, ids, known, here)
            read = latest(turns, self.bounds.max_history_words)
            answer = yield from self._answer(
                held.key, video, replace(known, turns=read), asked.question, prompts, cancel
            )
            after = replace(known, turns=turns)
            if answer.text:
                after = after.after(asked.question, prompts, answer)
            grounding = grounding_for(held.key, name, answer, ids, after)
            self.memory.keep(held.key, Kept(name, after))
        words = sum(count_words(turn.text) for turn in read) + count_words(asked.question)
        return Taken(answer, grounding, words)

    def follow(
        self,
        pointings: Sequence[Box | Point],
        phrase: str,
        key: str,
        name: str,
        video: Video,
        cancel: threading.Event,
    ) -> Generator[StreamEvent, None, tuple[Spoken, ...]]:
        """Track what is pointed at, without words about it; gives it under its ids.

        Args:
            pointings: new things, or corrections of known ones.
            phrase: what to call them; empty: "object 1" and so on, or as before.
            key: as for `take`.
            name: likewise.
            video: likewise.
            cancel: likewise.

        Raises:
            PromptError: what is pointed at is not there.
            Busy: too many wait already.
        """
        with self.memory.turn(key, name) as held:
            known = held.kept.history if held.kept is not None else History()
            ids = ids_of(pointings, known)
            prompts = list(map(drawn, pointings, ids))
            known = yield from self._track(held.key, known, video, prompts, cancel)
            if phrase:
                known = replace(known, phrases={**known.phrases, **dict.fromkeys(ids, phrase)})
            self.memory.keep(held.key, Kept(name, known))
        return tuple(spoken_of(i, known, video.sample(_SHOWN)) for i in dict.fromkeys(ids))

    def _answer(
        self,
        key: str,
        video: Video,
        history: History,
        question: str,
        prompts: Sequence[Prompt],
        cancel: threading.Event,
    ) -> Generator[StreamEvent, None, GroundedAnswer]:
        """Pass on all events but the answer, which is returned."""
        events = self.backend.ask(key, video, history, question, prompts, cancel=cancel)
        if self.bounds.stop or self.bounds.max_words is not None:
            events = end_early(events, self.bounds.stop, self.bounds.max_words)
        answer = None
        try:
            for event in events:
                if isinstance(event, GroundedAnswer):
                    answer = event
                else:
                    yield event
        finally:
            close(events)
        assert answer is not None  # a backend's last event
        return answer

    def _track(
        self,
        key: str,
        known: History,
        video: Video,
        prompts: Sequence[Prompt],
        cancel: threading.Event,
    ) -> Generator[StreamEvent, None, History]:
        """Track what prompts show, correcting what is known; gives what is known then."""
        if not prompts:
            return known
        ids = {prompt.referent_id for prompt in prompts}
        before = {i: known.tracks[i] for i in sorted(ids) if i in known.tracks}
        events = self.backend.track(video, prompts, before=before, cancel=cancel, key=key)
        found: tuple[MaskTrack, ...] = ()
        try:
            for event in events:
                if isinstance(event, TracksSoFar):
                    found = event.tracks
                yield event
        finally:
            close(events)
        for track in found:
            i = track.referent_id
            known = known.with_track(track, known.phrases.get(i, f"object {i}"))
        return known


def grounding_for(
    key: str, name: str, answer: GroundedAnswer, pointed: Sequence[int], known: History
) -> Grounding:
    """Say what an answer speaks of, for its message.

    Args:
        key: names the conversation.
        name: names the content of the video.
        answer: the answer.
        pointed: for each pointing of the question, the id of what it is about.
        known: what is known, the answer included.
    """
    named = {r.id: spoken_of(r.id, known, answer.frames, r) for r in answer.referents}
    others = [i for i in dict.fromkeys(pointed) if i not in named]
    return Grounding(
        conversation=key,
        answer=uuid.uuid4().hex,
        video=name,
        referents=(*named.values(), *(spoken_of(i, known, answer.frames) for i in others)),
        pointed=tuple(pointed),
        frames=answer.frames,
        said=answer.said,
        seconds={step: round(seconds, 3) for step, seconds in answer.seconds.items()},
        complete=answer.complete,
    )


def spoken_of(
    referent_id: int, known: History, frames: Sequence[int], named: Referent | None = None
) -> Spoken:
    """Say what is told of a referent in messages, with the words of the answer that names it, if one does."""
    track = known.tracks.get(referent_id)
    return Spoken(
        id=referent_id,
        phrase=known.phrases[referent_id] if named is None else named.phrase,
        span=None if named is None else named.span,
        colour=colour_of(referent_id) if named is None else named.colour,
        seen=() if track is None else places_in(track, frames),
    )


def close(events: Iterator[object]) -> None:
    """End the work behind an iterator now, and not when it is forgotten."""
    if isinstance(events, Generator):
        events.close()
