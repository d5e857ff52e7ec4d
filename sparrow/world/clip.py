"""A scene -> a folder with clip.mp4 and annotation.json, and the annotation back from there.

The annotation holds masks, boxes, visibility and dialogues: all that a data set needs. Knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from sparrow.errors import SparrowError
from sparrow.mp4 import Colour, Mp4File
from sparrow.types import MaskTrack, TrackBuilder
from sparrow.whole import write_text
from sparrow.world.dialogue import dialogue
from sparrow.world.facts import Facts
from sparrow.world.phrasing import QA, Phrase
from sparrow.world.scene import Frame, Scene

CLIP, ANNOTATION = "clip.mp4", "annotation.json"
_WORDS = ("id", "noun", "group", "colour", "size", "motion", "kind", "picture_key")
_CRF = 18
_SOUND_RATE = 16000
_LIMITED, _BT601 = 1, 6  # ISO/IEC 23091-2: the range and matrix that RGB is turned into


@dataclass(frozen=True, slots=True, eq=False)
class ThingRecord:
    """What an annotation tells of one thing."""

    id: int
    noun: str
    group: str
    colour: str
    size: str
    motion: str
    kind: str
    picture_key: str
    spans: tuple[tuple[int, int], ...]
    """First and last frame of each of its appearances."""
    visibility: np.ndarray
    """(T,) float32 share of its own area that shows."""
    track: MaskTrack
    """Its mask in every frame, with score 1; the referent id is the thing's."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """All that is known of a clip."""

    seed: int
    difficulty: str
    size_hw: tuple[int, int]
    fps: float
    num_frames: int
    things: tuple[ThingRecord, ...]
    dialogues: tuple[tuple[QA, ...], ...]


def write_clip(
    scene: Scene,
    folder: Path,
    *,
    size_hw: tuple[int, int] | None = None,
    dialogues: int = 2,
    turns: int = 6,
    tone: bool = False,
) -> Annotation:
    """Write a scene's clip.mp4 and annotation.json; each appears whole or not at all.

    Args:
        scene: what to draw.
        folder: made where it does not exist.
        size_hw: even sides of the picture in pixels, by default the scene's own.
        dialogues: how many conversations to annotate; they depend on the scene's seed alone.
        turns: of each conversation.
        tone: add a soft tone as sound, mono AAC.

    Raises:
        ValueError: a side of the picture is odd.
    """
    size = scene.size_hw if size_hw is None else size_hw
    folder.mkdir(parents=True, exist_ok=True)
    builders = [TrackBuilder(thing.id, size, scene.num_frames) for thing in scene.things]
    visibility = np.zeros((scene.num_frames, len(scene.things)), np.float32)
    with Mp4File(folder / CLIP) as file:
        rate = Fraction(scene.fps).limit_denominator(1001)
        picture = file.add_h264(rate, size, Colour(_LIMITED, _BT601), crf=_CRF)
        sound = file.add_aac(_SOUND_RATE, "mono") if tone else None
        for index in range(scene.num_frames):
            drawn = scene.render(index, size)
            _put(builders, index, drawn)
            visibility[index] = drawn.visibility
            frame = av.VideoFrame.from_ndarray(drawn.rgb, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            file.mux(picture.encode(frame))
        file.mux(picture.encode(None))
        if sound is not None:
            for piece in _tone(scene.num_frames / scene.fps):
                file.mux(sound.encode(piece))
            file.mux(sound.encode(None))
    facts = Facts.of(scene)
    things = tuple(
        ThingRecord(
            **{name: getattr(thing, name) for name in _WORDS},
            spans=tuple(facts.spans(thing)),
            visibility=np.round(visibility[:, index], 4),
            track=builders[index].build(),
        )
        for index, thing in enumerate(scene.things)
    )
    talks = tuple(
        dialogue(scene, np.random.Generator(np.random.PCG64([scene.seed, 2, number])), turns)
        for number in range(dialogues)
    )
    annotation = Annotation(
        scene.seed, scene.difficulty, size, scene.fps, scene.num_frames, things, talks
    )
    write_text(folder / ANNOTATION, json.dumps(_to_json(annotation), indent=1) + "\n")
    return annotation


def read_annotation(folder: Path) -> Annotation:
    """Read a folder's annotation.json.

    Raises:
        SparrowError: the file is missing or is not such an annotation.
    """
    path = folder / ANNOTATION
    try:
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SparrowError(f"annotation: expected a readable {path} ({error.strerror})") from error
    except (ValueError, TypeError, KeyError) as error:
        raise SparrowError(f"annotation {path}: not a clip's annotation ({error!r})") from error


def _put(builders: Sequence[TrackBuilder], index: int, frame: Frame) -> None:
    for builder, mask in zip(builders, frame.masks, strict=True):
        builder.put(index, mask, 1.0)


def _tone(seconds: float) -> list[av.AudioFrame]:
    """Make a quiet 220 Hz tone that swells and fades, in AAC-sized pieces."""
    times = np.arange(round(seconds * _SOUND_RATE)) / _SOUND_RATE
    wave = 0.1 * np.sin(2 * np.pi * 220.0 * times) * np.sin(np.pi * times / max(seconds, 1e-6))
    pieces = []
    for start in range(0, len(wave), 1024):
        samples = wave[None, start : start + 1024].astype(np.float32)
        piece = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        piece.sample_rate, piece.time_base = _SOUND_RATE, Fraction(1, _SOUND_RATE)
        piece.pts = start
        pieces.append(piece)
    return pieces


def _to_json(annotation: Annotation) -> dict[str, object]:
    return {
        "seed": annotation.seed,
        "difficulty": annotation.difficulty,
        "size_hw": list(annotation.size_hw),
        "fps": annotation.fps,
        "num_frames": annotation.num_frames,
        "things": [_thing_to_json(thing) for thing in annotation.things],
        "dialogues": [[asdict(turn) for turn in talk] for talk in annotation.dialogues],
    }


def _thing_to_json(thing: ThingRecord) -> dict[str, object]:
    track = thing.track
    seen = track.visible()
    return {
        **{name: getattr(thing, name) for name in _WORDS},
        "spans": [list(span) for span in thing.spans],
        "visibility": [round(float(share), 4) for share in thing.visibility],
        "boxes": [
            box.tolist() if there else None for box, there in zip(track.boxes, seen, strict=True)
        ],
        "rles": [None if rle is None else rle.decode("ascii") for rle in track.rles],
    }


def _from_json(row: dict[str, Any]) -> Annotation:
    height, width = row["size_hw"]
    size_hw = (int(height), int(width))
    return Annotation(
        int(row["seed"]),
        str(row["difficulty"]),
        size_hw,
        float(row["fps"]),
        int(row["num_frames"]),
        tuple(_thing_from_json(thing, size_hw) for thing in row["things"]),
        tuple(tuple(_turn_from_json(turn) for turn in talk) for talk in row["dialogues"]),
    )


def _thing_from_json(row: dict[str, Any], size_hw: tuple[int, int]) -> ThingRecord:
    absent = [np.nan] * 4
    boxes = np.array([absent if box is None else box for box in row["boxes"]], np.float32)
    rles = tuple(None if rle is None else str(rle).encode("ascii") for rle in row["rles"])
    scores = np.ones(len(rles), np.float32)
    return ThingRecord(
        **{name: row[name] for name in _WORDS},
        spans=tuple((int(first), int(last)) for first, last in row["spans"]),
        visibility=np.array(row["visibility"], np.float32),
        track=MaskTrack(int(row["id"]), size_hw, rles, boxes.reshape(-1, 4), scores),
    )


def _turn_from_json(row: dict[str, Any]) -> QA:
    phrases = []
    for phrase in row["phrases"]:
        start, end = phrase["span"]
        phrases.append(Phrase(str(phrase["text"]), (int(start), int(end)), int(phrase["thing_id"])))
    return QA(
        str(row["family"]),
        str(row["question"]),
        str(row["answer"]),
        tuple(phrases),
        tuple(int(thing) for thing in row["targets"]),
        tuple(int(thing) for thing in row["pointed"]),
    )
