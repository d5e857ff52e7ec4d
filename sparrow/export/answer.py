"""An answer <-> answer.json: the words, what they name, what was looked at. The tracks go into another file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparrow.export.files import ExportError, read_json, write_json
from sparrow.types import GroundedAnswer, MaskTrack, Referent


def write_answer_json(
    path: str | Path, answer: GroundedAnswer, *, question: str = "", model: str = ""
) -> Path:
    """Write the words, the referents with phrase, span and colour, the frames seen, the seconds."""
    content = {
        "question": question,
        "text": answer.text,
        "referents": [
            {
                "id": referent.id,
                "phrase": referent.phrase,
                "span": None if referent.span is None else list(referent.span),
                "colour": referent.colour,
            }
            for referent in answer.referents
        ],
        "frames": list(answer.frames),
        "seconds": dict(answer.seconds),
        "complete": answer.complete,
        "model": model,
    }
    return write_json(Path(path), content)


def read_answer_json(path: str | Path, tracks: Sequence[MaskTrack] = ()) -> GroundedAnswer:
    """Read an answer back; its tracks come from masks.json.

    Raises:
        ExportError: missing, not JSON, or not in this layout.
    """
    path = Path(path)
    content = read_json(path)
    try:
        referents = tuple(
            Referent(
                int(entry["id"]),
                str(entry["phrase"]),
                None if entry["span"] is None else (int(entry["span"][0]), int(entry["span"][1])),
                str(entry["colour"]),
            )
            for entry in content["referents"]
        )
        return GroundedAnswer(
            text=str(content["text"]),
            referents=referents,
            tracks=tuple(tracks),
            frames=tuple(int(frame) for frame in content["frames"]),
            seconds={str(step): float(value) for step, value in content["seconds"].items()},
            complete=bool(content["complete"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExportError(
            f"{path.name}: expected an answer as Sparrow writes it, "
            f"got {type(error).__name__}: {error}"
        ) from error
