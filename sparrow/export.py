"""An answer and its tracks <-> masks.json in YouTube-VIS layout and answer.json.

Strict JSON (no NaN), each file there only when whole. Draws nothing and opens no video.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparrow import rle as runs
from sparrow.errors import SparrowError
from sparrow.types import GroundedAnswer, MaskTrack, Referent
from sparrow.video import Video

if TYPE_CHECKING:
    from supervision import Detections


class ExportError(SparrowError):
    """A masks.json or answer.json that cannot be read."""


def write_masks_json(
    path: str | Path,
    video: Video,
    tracks: Sequence[MaskTrack],
    referents: Sequence[Referent] = (),
) -> Path:
    """Write every track as one annotation: per frame a compressed COCO RLE, or null without a mask.

    `bboxes` are x, y, width, height as in YouTube-VIS.

    Raises:
        ValueError: a track does not fit the video, or an id stands twice.
    """
    height, width = video.size_hw
    ids = [track.referent_id for track in tracks]
    if len(set(ids)) != len(ids):
        raise ValueError(f"masks.json: expected one track for each referent, got ids {ids}")
    for track in tracks:
        if track.size_hw != video.size_hw or track.num_frames != video.num_frames:
            raise ValueError(
                f"track {track.referent_id}: expected {video.num_frames} frames "
                f"of {video.size_hw}, got {track.num_frames} of {track.size_hw}"
            )
    phrases = {referent.id: referent.phrase for referent in referents}
    content = {
        "info": {"description": "Masks by Sparrow, YouTube-VIS layout"},
        "videos": [
            {
                "id": 1,
                "width": width,
                "height": height,
                "length": video.num_frames,
                "fps": video.fps,
            }
        ],
        "categories": [{"id": 1, "name": "referent"}],
        "annotations": [_annotation(track, phrases.get(track.referent_id, "")) for track in tracks],
    }
    return _write(Path(path), content)


def read_masks_json(path: str | Path) -> list[MaskTrack]:
    """Read the tracks back, bit for bit what was written.

    Raises:
        ExportError: missing, not JSON, or not in this layout.
    """
    path = Path(path)
    content = _read(path)
    try:
        (video,) = content["videos"]
        size_hw, length = (int(video["height"]), int(video["width"])), int(video["length"])
        return [_track(annotation, size_hw, length) for annotation in content["annotations"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExportError(
            f"{path.name}: expected YouTube-VIS masks of one video as Sparrow writes them, "
            f"got {type(error).__name__}: {error}"
        ) from error


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
    return _write(Path(path), content)


def read_answer_json(path: str | Path, tracks: Sequence[MaskTrack] = ()) -> GroundedAnswer:
    """Read an answer back; its tracks come from masks.json.

    Raises:
        ExportError: missing, not JSON, or not in this layout.
    """
    path = Path(path)
    content = _read(path)
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


def to_detections(
    tracks: Sequence[MaskTrack], referents: Sequence[Referent], frame: int
) -> Detections:
    """Give what one frame shows as supervision's Detections, `phrase` and `colour` as data."""
    from supervision import Detections  # half a second to import: only for who exchanges

    by_id = {referent.id: referent for referent in referents}
    shown = [track for track in tracks if track.rles[frame] is not None]
    if not shown:
        return Detections.empty()
    known = [by_id.get(track.referent_id) for track in shown]
    return Detections(
        xyxy=np.stack([track.boxes[frame] for track in shown]),
        mask=np.stack([track.mask(frame) for track in shown]),
        confidence=np.array([track.scores[frame] for track in shown]),
        class_id=np.zeros(len(shown), dtype=int),
        tracker_id=np.array([track.referent_id for track in shown]),
        data={
            "phrase": np.array([referent.phrase if referent else "" for referent in known]),
            "colour": np.array([referent.colour if referent else "" for referent in known]),
        },
    )


def _annotation(track: MaskTrack, phrase: str) -> dict[str, object]:
    height, width = track.size_hw
    boxes = [
        None if rle is None else [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]
        for rle, (x0, y0, x1, y1) in zip(track.rles, track.boxes, strict=True)
    ]
    return {
        "id": track.referent_id,
        "video_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "phrase": phrase,
        "height": height,
        "width": width,
        "complete": track.complete,
        "segmentations": [
            None if rle is None else {"size": [height, width], "counts": rle.decode("ascii")}
            for rle in track.rles
        ],
        "bboxes": boxes,
        "areas": [None if rle is None else runs.area_of(rle) for rle in track.rles],
        "scores": [float(score) for score in track.scores],
    }


def _track(annotation: Mapping[str, Any], size_hw: tuple[int, int], length: int) -> MaskTrack:
    segmentations, boxes_xywh = annotation["segmentations"], annotation["bboxes"]
    scores = np.array(annotation["scores"], dtype=np.float32)
    if len(segmentations) != length or len(boxes_xywh) != length or scores.shape != (length,):
        raise ValueError(f"expected {length} segmentations, bboxes and scores")
    boxes = np.full((length, 4), np.nan, dtype=np.float32)
    rles: list[bytes | None] = []
    for index, (segmentation, box) in enumerate(zip(segmentations, boxes_xywh, strict=True)):
        if segmentation is None:
            rles.append(None)
            continue
        if tuple(segmentation["size"]) != size_hw:
            raise ValueError(f"expected masks of {size_hw}, got {segmentation['size']}")
        counts = segmentation["counts"].encode("ascii")
        runs.check(counts, size_hw)
        rles.append(counts)
        boxes[index] = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    return MaskTrack(
        int(annotation["id"]),
        size_hw,
        tuple(rles),
        boxes,
        scores,
        bool(annotation.get("complete", True)),
    )


def _write(path: Path, content: object) -> Path:
    part = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:12]}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(content, file, allow_nan=False, ensure_ascii=False)
        os.replace(part, path)  # noqa: PTH105 - says atomic more plainly
    finally:
        part.unlink(missing_ok=True)
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, ValueError) as error:
        raise ExportError(f"{path.name}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise ExportError(f"{path.name}: expected a JSON object, got {type(content).__name__}")
    return content


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
