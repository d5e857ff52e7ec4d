"""Tracks <-> masks.json in YouTube-VIS layout: every referent one annotation, every mask kept bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparrow import rle as runs
from sparrow.export.files import ExportError, read_json, write_json
from sparrow.export.shown import check
from sparrow.types import MaskTrack, Referent
from sparrow.video import Video
from sparrow.work import Work

STEP = "writing YouTube-VIS"


def write_masks_json(
    path: str | Path,
    video: Video,
    tracks: Sequence[MaskTrack],
    referents: Sequence[Referent] = (),
    *,
    span: tuple[int, int] | None = None,
    work: Work | None = None,
) -> Path:
    """Write every track as one annotation: per frame a compressed COCO RLE, or null without a mask.

    `bboxes` are x, y, width, height as in YouTube-VIS.

    Args:
        path: The file to write.
        video: What the tracks belong to.
        tracks: One per referent.
        referents: Their phrases; a track without one gets "".
        span: The frames start..stop-1 that are written; None: all.
        work: Told after every track.

    Raises:
        ExportError: the span lies outside the video.
        ValueError: a track does not fit the video, or an id stands twice.
        Cancelled: between two tracks.
    """
    height, width = video.size_hw
    frames = check(video, tracks, span)
    phrases = {referent.id: referent.phrase for referent in referents}
    work, annotations = work or Work(), []
    for number, track in enumerate(tracks):
        work.step(STEP, number, len(tracks))
        annotations.append(_annotation(track, phrases.get(track.referent_id, ""), frames))
    work.step(STEP, len(tracks), len(tracks))
    content = {
        "info": {"description": "Masks by Sparrow, YouTube-VIS layout"},
        "videos": [
            {
                "id": 1,
                "width": width,
                "height": height,
                "length": len(frames),
                "fps": video.fps,
                "first_frame": frames.start,
            }
        ],
        "categories": [{"id": 1, "name": "referent"}],
        "annotations": annotations,
    }
    return write_json(Path(path), content)


def read_masks_json(path: str | Path) -> list[MaskTrack]:
    """Read the tracks back, bit for bit what was written.

    Raises:
        ExportError: missing, not JSON, or not in this layout.
    """
    path = Path(path)
    content = read_json(path)
    try:
        (video,) = content["videos"]
        size_hw, length = (int(video["height"]), int(video["width"])), int(video["length"])
        return [_track(annotation, size_hw, length) for annotation in content["annotations"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExportError(
            f"{path.name}: expected YouTube-VIS masks of one video as Sparrow writes them, "
            f"got {type(error).__name__}: {error}"
        ) from error


def _annotation(track: MaskTrack, phrase: str, frames: range) -> dict[str, object]:
    height, width = track.size_hw
    span = slice(frames.start, frames.stop)
    rles = track.rles[span]
    boxes = [
        None if rle is None else [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]
        for rle, (x0, y0, x1, y1) in zip(rles, track.boxes[span], strict=True)
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
            for rle in rles
        ],
        "bboxes": boxes,
        "areas": [None if rle is None else runs.area_of(rle) for rle in rles],
        "scores": [float(score) for score in track.scores[span]],
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
