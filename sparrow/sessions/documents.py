"""A record -> small JSON documents by name, e.g. "exchanges/3": what session.db and session files are made of.

Tracks stay outside, each under the key that the caller gives; so does the video, of which only the facts that
tell it from another are written. reading.py is the way back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from sparrow import masks
from sparrow.sessions import checked
from sparrow.sessions.record import Record
from sparrow.types import GroundedAnswer, MaskTrack, Prompt
from sparrow.video import Video

TrackKey = Callable[[MaskTrack], str]


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What tells a video from another one."""

    frames: int
    size_hw: tuple[int, int]
    fps: float

    @classmethod
    def of(cls, video: Video) -> VideoFacts:
        """Take them from a video."""
        return cls(video.num_frames, video.size_hw, video.fps)

    def same_as(self, other: VideoFacts) -> bool:
        """Say whether they can be the same video's: the frame rate may differ by rounding."""
        close = abs(self.fps - other.fps) <= 1e-3 * self.fps
        return close and (self.frames, self.size_hw) == (other.frames, other.size_hw)

    def __str__(self) -> str:
        height, width = self.size_hw
        return f"{self.frames} frames of {width} x {height} at {self.fps:.4g} a second"


def to_documents(record: Record, key: TrackKey) -> dict[str, object]:
    """Write a record; `key` is asked for the name of each track that it refers to."""
    found: dict[str, object] = {
        "about": _about(record, key),
        "prompts": [_prompt(prompt) for prompt in record.prompts],
    }
    answers: dict[int, str] = {}

    def answer_key(answer: GroundedAnswer | None) -> str | None:
        if answer is None:
            return None
        if id(answer) not in answers:
            content = _answer(answer, key)
            digest = hashlib.blake2b(checked.dump(content).encode(), digest_size=16).hexdigest()
            answers[id(answer)] = digest
            found[f"answers/{digest}"] = content
        return answers[id(answer)]

    for place, exchange in enumerate(record.exchanges):
        found[f"exchanges/{place}"] = {
            "question": _whole_characters(exchange.question),
            "attached": [int(i) for i in exchange.attached],
            "prompts": [_prompt(prompt) for prompt in exchange.prompts],
            "text": _whole_characters(exchange.text),
            "answer": answer_key(exchange.answer),
            "state": exchange.state,
        }
    for place, turn in enumerate(record.history.turns):
        found[f"turns/{place}"] = {
            "role": turn.role,
            "text": _whole_characters(turn.text),
            "prompts": [_prompt(prompt) for prompt in turn.prompts],
            "answer": answer_key(turn.answer),
        }
    for name, stack in (("undo", record.undo_stack), ("redo", record.redo_stack)):
        for place, edit in enumerate(stack):
            found[f"{name}/{place}"] = {
                "ids": [int(i) for i in edit.ids],
                "phrases": {str(i): _whole_characters(p) for i, p in edit.phrases.items()},
                "tracks": {str(i): key(track) for i, track in edit.tracks.items()},
                "prompts": [_prompt(prompt) for prompt in edit.prompts],
            }
    return found


def _about(record: Record, key: TrackKey) -> dict[str, object]:
    history, video = record.history, record.video
    facts = None
    if video is not None:
        (height, width), frames, fps = video.size_hw, video.num_frames, video.fps
        facts = {"height": height, "width": width, "frames": frames, "fps": fps}
    return {
        "model": _whole_characters(record.model),
        "title": _whole_characters(record.title),
        "video": facts,
        "suggestions": [_whole_characters(question) for question in record.suggestions],
        "exchanges": len(record.exchanges),
        "turns": len(history.turns),
        "undo": len(record.undo_stack),
        "redo": len(record.redo_stack),
        "names": {str(i): _whole_characters(name) for i, name in record.names.items()},
        "colours": {str(i): colour for i, colour in record.colours.items()},
        "hidden": sorted(int(i) for i in record.hidden),
        "attached": [int(i) for i in record.attached],
        "span": None if record.span is None else [int(frame) for frame in record.span],
        "look": record.look.to_json(),
        "phrases": {str(i): _whole_characters(phrase) for i, phrase in history.phrases.items()},
        "tracks": {str(i): key(track) for i, track in history.tracks.items()},
        "next_id": history.next_id,
    }


def _answer(answer: GroundedAnswer, key: TrackKey) -> dict[str, object]:
    return {
        "text": _whole_characters(answer.text),
        "referents": [
            {
                "id": referent.id,
                "phrase": _whole_characters(referent.phrase),
                "span": None if referent.span is None else [int(end) for end in referent.span],
                "colour": referent.colour,
            }
            for referent in answer.referents
        ],
        "tracks": [key(track) for track in answer.tracks],
        "frames": [int(frame) for frame in answer.frames],
        "seconds": {step: float(taken) for step, taken in answer.seconds.items()},
        "complete": answer.complete,
        "said": [int(word) for word in answer.said],
    }


def _prompt(prompt: Prompt) -> dict[str, object]:
    coordinates: object = prompt.coordinates.tolist()
    if prompt.kind == "mask":
        coordinates = masks.to_rle(prompt.coordinates).decode("ascii")
    return {
        "referent": int(prompt.referent_id),
        "frame": int(prompt.frame),
        "kind": prompt.kind,
        "coordinates": coordinates,
    }


def _whole_characters(text: str) -> str:
    """Replace halves of surrogate pairs, which a browser can send but no file can hold, one for one."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)
