"""A conversation about one video: questions in, words, referents and tracks out, as a stream.

What was said and found is a History; everything else here only saves time, and is brought into line with the
history before a question is answered. Frames are sampled and read once, a referent is tracked once, and later turns
add only their own words.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np

from sparrow.errors import Cancelled, PromptError, StaleError
from sparrow.grounding import Grounded, Grounding, Pointed
from sparrow.model.alone import alone_steps
from sparrow.model.dialogue import Reply
from sparrow.model.sparrow import SparrowModel
from sparrow.model.tracking import Reached, track_steps
from sparrow.prompts import check_prompts
from sparrow.types import (
    GroundedAnswer,
    History,
    MaskTrack,
    Progress,
    Prompt,
    Referent,
    StreamEvent,
    TextDelta,
    TracksSoFar,
    Turn,
    colour_of,
)
from sparrow.video import Video

logger = logging.getLogger(__name__)

_Exchange = tuple[Turn, GroundedAnswer]


class Chat:
    """A conversation about one video. Referents keep their ids and colours over its turns."""

    def __init__(self, model: SparrowModel, video: Video, history: History | None = None) -> None:
        """Begin, or go on with a history that was made at another time."""
        self.video = video
        self.history = history or History()
        self._model = model
        self._grounding: Grounding | None = None
        self._told: list[tuple[object, ...]] = []  # keys of the exchanges that the dialogue knows
        self._newest = object()  # stands for the latest question
        self._unread: set[tuple[object, ...]] = set()  # of those that it cannot read

    @property
    def turns(self) -> list[Turn]:
        """Questions and answers by turns."""
        return list(self.history.turns)

    @property
    def tracks(self) -> dict[int, MaskTrack]:
        """By referent id: everything grounded so far."""
        return dict(self.history.tracks)

    @property
    def referents(self) -> list[Referent]:
        """Everything spoken of or pointed at so far, with its latest phrase."""
        return list(self.history.referents)

    @property
    def next_id(self) -> int:
        """The id that the next new referent gets."""
        return self.history.next_id

    def catch_up(self, history: History) -> None:
        """Go on from a history, of this conversation or of another about the same video.

        What is said there and not known yet is read when the next question comes, what is known stays read.
        """
        self.history = history

    def ask(
        self,
        question: str,
        prompts: Sequence[Prompt] = (),
        *,
        progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> GroundedAnswer:
        """Answer a question and track what the answer speaks of; see `stream`."""
        answer = None
        for event in self.stream(question, prompts, cancel=cancel):
            if isinstance(event, Progress) and progress is not None:
                progress(event)
            if isinstance(event, GroundedAnswer):
                answer = event
        assert answer is not None
        return answer

    def stream(
        self,
        question: str,
        prompts: Sequence[Prompt] = (),
        *,
        cancel: threading.Event | None = None,
    ) -> Generator[StreamEvent, None, None]:
        """Answer a question word by word, then track; the last event is the GroundedAnswer.

        When `cancel` is set, what there is by then is the answer, marked as not complete.

        Args:
            question: what the user typed.
            prompts: what the user points at in this question.
            cancel: checked between words and between frames.

        Raises:
            PromptError: the question is empty or too long, or a prompt lies outside the video.
            StaleError: this stream was left, and another question was asked since.
        """
        check_prompts(self.video, prompts)
        seconds: dict[str, float] = {}
        history, mine = self.history, object()
        self._newest = mine
        reply, pointed = yield from self._reply(question, prompts, seconds, cancel)
        grounded, new = Grounded(), []
        if self._grounding is not None and reply.phrases:
            grounded = self._grounding.ground(reply.phrases, pointed, history)
            if grounded.targets and reply.complete:
                tracking = time.monotonic()
                new = yield from self._track(grounded, history, cancel)
                seconds["track"] = time.monotonic() - tracking
                if self._newest is mine:
                    self._grounding.settle(new)
        if self._newest is not mine:
            raise StaleError
        answer = GroundedAnswer(
            reply.text,
            grounded.referents,
            _tracks(grounded, history, new),
            self._looked_at(),
            seconds,
            reply.complete and all(found.complete for found in new),
            reply.said,
            0 if self._grounding is None else self._grounding.dialogue.video_tokens,
        )
        self.history = history.after(question, prompts, answer)
        self._told += [_key(exchange) for exchange in _exchanges(self.history, len(history.turns))]
        yield answer

    def meant(self, referent_id: int) -> dict[int, np.ndarray]:
        """Give the boxes (4,), pixel xyxy, that an answer meant by a referent, by frame looked at; empty for none."""
        return {} if self._grounding is None else self._grounding.meant(referent_id)

    def add(self, found: MaskTrack, phrase: str) -> Referent:
        """Take over a track that the user pointed out, under its referent id."""
        self.history = self.history.with_track(found, phrase)
        return Referent(found.referent_id, phrase, None, colour_of(found.referent_id))

    def _looked_at(self) -> tuple[int, ...]:
        return () if self._grounding is None else tuple(dict.fromkeys(self._grounding.indices))

    def _reply(
        self,
        question: str,
        prompts: Sequence[Prompt],
        seconds: dict[str, float],
        cancel: threading.Event | None,
    ) -> Generator[StreamEvent, None, tuple[Reply, Pointed]]:
        """Stream the words of an answer; a stopped one is what was shown so far."""
        shown = ""
        try:
            grounding = yield from self._catch_up(seconds, cancel)
            pointed = grounding.point(prompts, self.history, cancel)
            started = time.monotonic()
            words = grounding.dialogue.say(question, pointed.boxes_norm, cancel)
            while True:
                try:
                    delta = next(words)
                except StopIteration as end:
                    seconds["answer"] = time.monotonic() - started
                    reply: Reply = end.value
                    return reply, pointed
                shown += delta
                yield TextDelta(delta)
        except Cancelled:
            return Reply(shown, (), complete=False), Pointed()

    def _track(
        self, grounded: Grounded, history: History, cancel: threading.Event | None
    ) -> Generator[StreamEvent, None, list[MaskTrack]]:
        """Track what is new in an answer, showing all of it."""
        model = self._model
        if not model.config.grounding.memory:
            alone: list[MaskTrack] = yield from alone_steps(
                model.pixel_decoder, self.video, grounded.targets, cancel=cancel
            )
            return alone
        steps = track_steps(
            model.pixel_decoder,
            self.video,
            list(grounded.targets),
            propose=model.snapping,
            cancel=cancel,
        )
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                found: list[MaskTrack] = end.value
                return found
            if isinstance(step, Reached):
                yield TracksSoFar(grounded.referents, _tracks(grounded, history, step.tracks))
            else:
                yield step

    def _catch_up(
        self, seconds: dict[str, float], cancel: threading.Event | None
    ) -> Generator[Progress, None, Grounding]:
        """Look at the video if that was not done, and make the dialogue know the history and no more.

        Raises:
            Cancelled: `cancel` was set.
        """
        started = time.monotonic()
        if self._grounding is None:
            _check(cancel)
            yield Progress("read")
            self._grounding = Grounding(self._model, self.video)
            count = self._model.num_frames
            seconds["read"] = time.monotonic() - started
            yield Progress("read", count, count, seconds["read"])
        grounding = self._grounding
        wanted = [
            (key, e) for e in _exchanges(self.history) if (key := _key(e)) not in self._unread
        ]
        same = 0
        while same < min(len(wanted), len(self._told)) and wanted[same][0] == self._told[same]:
            same += 1
        grounding.dialogue.rewind(same)
        del self._told[same:]
        grounding.keep(self.history.phrases)
        for number, (key, exchange) in enumerate(wanted[same:], same):
            _check(cancel)
            yield Progress("recall", number, len(wanted), time.monotonic() - started)
            self._recall(grounding, key, exchange, cancel)
            seconds["recall"] = time.monotonic() - started
        return grounding

    def _recall(
        self,
        grounding: Grounding,
        key: tuple[object, ...],
        exchange: _Exchange,
        cancel: threading.Event | None,
    ) -> None:
        """Let the dialogue take over an exchange; one that it cannot read is left out."""
        turn, answer = exchange
        try:
            pointed = grounding.point(turn.prompts, self.history, cancel)
            phrases = grounding.dialogue.remember(turn.text, pointed.boxes_norm, answer)
        except PromptError as error:  # of another model's, or of a file's making
            logger.info("left out of what is remembered: %s", error)
            self._unread.add(key)
            return
        self._told.append(key)
        grounding.recognise(answer.referents, phrases, pointed, self.history)


def _tracks(
    grounded: Grounded, history: History, new: Sequence[MaskTrack]
) -> tuple[MaskTrack, ...]:
    """Give the tracks of an answer's referents, known and new ones."""
    tracks = {**history.tracks, **{found.referent_id: found for found in new}}
    return tuple(tracks[r.id] for r in grounded.referents if r.id in tracks)


def _exchanges(history: History, first: int = 0) -> Iterator[_Exchange]:
    """Yield the questions and answers that a model remembers, from a turn on: not those stopped as it spoke."""
    turns = history.turns[first:]
    for question, reply in zip(turns[::2], turns[1::2], strict=True):
        answer = reply.answer
        if answer is not None and (answer.complete or answer.said):
            yield question, answer


def _key(exchange: _Exchange) -> tuple[object, ...]:
    """Give what an exchange is told apart by, for the model."""
    turn, answer = exchange
    pointed = tuple(
        (p.referent_id, p.frame, p.kind, p.coordinates.shape, p.coordinates.astype(float).tobytes())
        for p in turn.prompts
    )
    return turn.text, pointed, answer.text, answer.said


def _check(cancel: threading.Event | None) -> None:
    if cancel is not None and cancel.is_set():
        raise Cancelled("the answer was stopped")
