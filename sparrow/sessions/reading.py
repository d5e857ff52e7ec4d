"""Small JSON documents by name -> the record that documents.py made them of, checked whoever wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import get_args

import numpy as np

from sparrow import masks, rle
from sparrow.errors import SparrowError
from sparrow.looks import MODES, Look
from sparrow.sessions import checked
from sparrow.sessions.documents import VideoFacts
from sparrow.sessions.record import (
    MAX_EDITS,
    MAX_EXCHANGES,
    MAX_NAME,
    Edit,
    Exchange,
    Record,
    State,
)
from sparrow.types import GroundedAnswer, History, MaskTrack, Prompt, Referent, Turn
from sparrow.video import Video

Documents = Mapping[str, object]

MAX_WORDS = 100_000
"""Characters of a question or an answer."""
MAX_TITLE = 2_000
"""Characters of a title, a model's name, a phrase or a suggestion."""


def video_facts(documents: Documents) -> VideoFacts | None:
    """Read what video a record is about; None for a record without one.

    Raises:
        ValueError: not what `to_documents` writes.
    """
    about = _document(documents, "about")
    video = checked.at(about, "video", "about")
    if video is None:
        return None
    facts = checked.entries(video, "about video")
    height, width, frames = (
        checked.whole(checked.at(facts, name, "about video"), f"video {name}", 1, 2**24)
        for name in ("height", "width", "frames")
    )
    fps = checked.number(checked.at(facts, "fps", "about video"), "video fps", 1e-3, 1e4)
    return VideoFacts(frames, (height, width), fps)


def from_documents(
    documents: Documents, tracks: Mapping[str, MaskTrack], video: Video | None
) -> Record:
    """Read a record, about a video that is open already.

    Raises:
        ValueError: not what `to_documents` writes, or not about this video.
    """
    try:
        return _Reader(documents, tracks, video).record()
    except SparrowError as error:  # of a Prompt or a Look
        raise ValueError(str(error)) from error


def check(
    documents: Documents,
    names: Iterable[str],
    tracks: Mapping[str, MaskTrack],
    video: Video | None,
) -> None:
    """Refuse what `from_documents` would refuse of the documents so named.

    Raises:
        ValueError: at least one.
    """
    try:
        reader = _Reader(documents, tracks, video)
        for name in names:
            reader.check(name)
    except SparrowError as error:  # of a Prompt or a Look
        raise ValueError(str(error)) from error


def heading(documents: Documents) -> tuple[str, str, int]:
    """Read title, model and number of questions, and nothing else.

    Raises:
        ValueError: not what `to_documents` writes.
    """
    about = _document(documents, "about")
    title, model = (_words(about, name, "about", MAX_TITLE) for name in ("title", "model"))
    return title, model, _count(about, "exchanges", MAX_EXCHANGES)


class _Reader:
    """Reads the documents of one record."""

    def __init__(
        self, documents: Documents, tracks: Mapping[str, MaskTrack], video: Video | None
    ) -> None:
        self._documents, self._tracks, self._video = documents, tracks, video
        self._answers: dict[str, GroundedAnswer] = {}
        facts = video_facts(documents)
        if (facts is None) != (video is None):
            raise ValueError(f"video: expected {facts or 'none'}, got {video and 'one'}")
        if facts is not None and video is not None:
            if not facts.same_as(VideoFacts.of(video)):
                raise ValueError(f"video: expected {facts}, got {VideoFacts.of(video)}")
            if not all(t.size_hw == facts.size_hw for t in tracks.values()) or not all(
                t.num_frames == facts.frames for t in tracks.values()
            ):
                raise ValueError(f"tracks: expected masks for {facts}")
        elif tracks:
            raise ValueError("tracks: expected none without a video")

    def record(self) -> Record:
        about = _document(self._documents, "about")
        record = self._about()
        record.prompts = self._prompts(checked.at(self._documents, "prompts", "session"), "prompts")
        exchanges = _count(about, "exchanges", MAX_EXCHANGES)
        record.exchanges = [self._exchange(f"exchanges/{i}") for i in range(exchanges)]
        turns = _count(about, "turns", 2 * MAX_EXCHANGES)
        found = tuple(self._turn(f"turns/{i}") for i in range(turns))
        record.history = replace(record.history, turns=found)
        for name, stack in (("undo", record.undo_stack), ("redo", record.redo_stack)):
            stack += [self._edit(f"{name}/{i}") for i in range(_count(about, name, MAX_EDITS))]
        return record

    def check(self, name: str) -> None:
        """Read one document and what it refers to."""
        kind = name.partition("/")[0]
        if kind == "about":
            self._about()
        elif kind == "prompts":
            self._prompts(self._documents[name], name)
        elif kind == "exchanges":
            self._exchange(name)
        elif kind == "turns":
            self._turn(name)
        elif kind in ("undo", "redo"):
            self._edit(name)

    def _about(self) -> Record:
        about = _document(self._documents, "about")
        span = checked.at(about, "span", "about")
        return Record(
            model=_words(about, "model", "about", MAX_TITLE),
            title=_words(about, "title", "about", MAX_TITLE),
            video=self._video,
            suggestions=tuple(
                checked.text(item, "suggestions", MAX_TITLE)
                for item in _list(about, "suggestions", "about")
            ),
            history=History(
                (),
                _texts_by_id(about, "phrases", "about", MAX_TITLE),
                self._tracks_by_id(about, "about"),
                checked.whole(checked.at(about, "next_id", "about"), "next_id", 1),
            ),
            names=_texts_by_id(about, "names", "about", MAX_NAME),
            colours={i: _colour(c) for i, c in _by_id(about, "colours", "about").items()},
            hidden=set(checked.wholes(checked.at(about, "hidden", "about"), "hidden", 1)),
            attached=checked.wholes(checked.at(about, "attached", "about"), "attached", 1),
            span=None if span is None else self._span(span),
            look=_read_look(checked.at(about, "look", "about")),
        )

    def _exchange(self, name: str) -> Exchange:
        value = _document(self._documents, name)
        state = checked.at(value, "state", name)
        for known in get_args(State):
            if state == known:
                return Exchange(
                    _words(value, "question", name, MAX_WORDS),
                    checked.wholes(checked.at(value, "attached", name), name, 1),
                    self._prompts(checked.at(value, "prompts", name), name),
                    _words(value, "text", name, MAX_WORDS),
                    self._answer(checked.at(value, "answer", name), name),
                    known,
                )
        raise ValueError(f"{name}: expected a state, got {repr(state)[:60]}")

    def _turn(self, name: str) -> Turn:
        value = _document(self._documents, name)
        answer = self._answer(checked.at(value, "answer", name), name)
        if checked.at(value, "role", name) != ("user" if answer is None else "assistant"):
            raise ValueError(f"{name}: expected a question, or an answer of the assistant")
        return Turn(
            "user" if answer is None else "assistant",
            _words(value, "text", name, MAX_WORDS),
            self._prompts(checked.at(value, "prompts", name), name),
            answer,
        )

    def _answer(self, key: object, where: str) -> GroundedAnswer | None:
        if key is None:
            return None
        key = checked.text(key, where, 100)
        if key not in self._answers:
            self._answers[key] = self._read_answer(f"answers/{key}")
        return self._answers[key]

    def _read_answer(self, name: str) -> GroundedAnswer:
        value = _document(self._documents, name)
        frames = checked.wholes(checked.at(value, "frames", name), name, 0, self._frames - 1)
        seconds = checked.entries(checked.at(value, "seconds", name), name, 100)
        return GroundedAnswer(
            _words(value, "text", name, MAX_WORDS),
            tuple(read_referent(item, name) for item in _list(value, "referents", name)),
            tuple(self._track(item, name) for item in _list(value, "tracks", name)),
            frames,
            {
                checked.text(step, name, 100): checked.number(taken, name, 0, 1e9)
                for step, taken in seconds.items()
            },
            checked.flag(checked.at(value, "complete", name), name),
            checked.wholes(checked.at(value, "said", name), name),
        )

    def _edit(self, name: str) -> Edit:
        value = _document(self._documents, name)
        return Edit(
            checked.wholes(checked.at(value, "ids", name), name, 1),
            _texts_by_id(value, "phrases", name, MAX_TITLE),
            self._tracks_by_id(value, name),
            self._prompts(checked.at(value, "prompts", name), name),
        )

    def _tracks_by_id(self, value: Mapping[str, object], where: str) -> dict[int, MaskTrack]:
        found = {i: self._track(key, where) for i, key in _by_id(value, "tracks", where).items()}
        for i, track in found.items():
            if track.referent_id != i:
                raise ValueError(f"{where}: expected the track of {i}, got {track.referent_id}'s")
        return found

    def _track(self, key: object, where: str) -> MaskTrack:
        key = checked.text(key, where, 100)
        if key not in self._tracks:
            raise ValueError(f"{where}: track {key!r} is missing")
        return self._tracks[key]

    def _span(self, value: object) -> tuple[int, int]:
        ends = checked.wholes(value, "span", 0, self._frames)
        if len(ends) != 2 or ends[0] >= ends[1]:
            raise ValueError(f"span: expected two frames, start < stop, got {ends[:5]}")
        return ends[0], ends[1]

    def _prompts(self, value: object, where: str) -> tuple[Prompt, ...]:
        return tuple(self._read_prompt(item, where) for item in checked.items(value, where))

    def _read_prompt(self, value: object, where: str) -> Prompt:
        entry = checked.entries(value, where)
        kind = checked.at(entry, "kind", where)
        i = checked.whole(checked.at(entry, "referent", where), where, 1)
        frame = checked.whole(checked.at(entry, "frame", where), where, 0, self._frames - 1)
        coordinates = checked.at(entry, "coordinates", where)
        height, width = self._size_hw
        if kind == "mask":
            counts = checked.text(coordinates, where, 2**21).encode()
            rle.check(counts, self._size_hw)
            return Prompt(i, frame, "mask", masks.from_rle(counts, self._size_hw))
        numbers = [
            checked.number(item, where, 0, (width, height)[place % 2])
            for place, item in enumerate(checked.items(coordinates, where, 4))
        ]
        for known in ("point+", "point-", "box"):
            if kind == known:
                return Prompt(i, frame, known, np.array(numbers, dtype=np.float32))
        raise ValueError(f"{where}: expected a kind of prompt, got {repr(kind)[:60]}")

    @property
    def _frames(self) -> int:
        return 0 if self._video is None else self._video.num_frames

    @property
    def _size_hw(self) -> tuple[int, int]:
        return (0, 0) if self._video is None else self._video.size_hw


def _document(documents: Documents, name: str) -> Mapping[str, object]:
    return checked.entries(checked.at(documents, name, "session"), name)


def _count(about: Mapping[str, object], name: str, most: int) -> int:
    return checked.whole(checked.at(about, name, "about"), name, 0, most)


def _words(value: Mapping[str, object], key: str, where: str, longest: int) -> str:
    return checked.text(checked.at(value, key, where), f"{where} {key}", longest)


def _list(value: Mapping[str, object], key: str, where: str) -> list[object]:
    return checked.items(checked.at(value, key, where), f"{where} {key}")


def _by_id(value: Mapping[str, object], key: str, where: str) -> dict[int, object]:
    return checked.by_id(checked.at(value, key, where), f"{where} {key}")


def _texts_by_id(value: Mapping[str, object], key: str, where: str, longest: int) -> dict[int, str]:
    return {i: checked.text(t, where, longest) for i, t in _by_id(value, key, where).items()}


def _colour(value: object) -> str:
    colour = checked.text(value, "colour", 7)
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise ValueError(f"colour: expected #rrggbb, got {colour!r}")
    return colour


def read_referent(value: object, where: str) -> Referent:
    """Read a referent.

    Raises:
        ValueError: not what `to_documents` writes of one.
    """
    entry = checked.entries(value, where)
    span = checked.at(entry, "span", where)
    ends = None if span is None else checked.wholes(span, where)
    if ends is not None and len(ends) != 2:
        raise ValueError(f"{where}: expected start and end of a phrase, got {ends[:5]}")
    return Referent(
        checked.whole(checked.at(entry, "id", where), where, 1),
        _words(entry, "phrase", where, MAX_TITLE),
        None if ends is None else (ends[0], ends[1]),
        _colour(checked.at(entry, "colour", where)),
    )


def _read_look(value: object) -> Look:
    entry = checked.entries(value, "look")
    mode = checked.at(entry, "mode", "look")
    for known in MODES:
        if mode == known:
            return Look(
                known,
                checked.number(checked.at(entry, "opacity", "look"), "look", 0, 1),
                checked.flag(checked.at(entry, "label", "look"), "look"),
            )
    raise ValueError(f"look: expected one of {', '.join(MODES)}, got {repr(mode)[:60]}")
