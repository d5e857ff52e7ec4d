"""Tracks -> COCO instances: one image per frame, one annotation per mask as compressed RLE, whole also in overlaps.

Written frame by frame: memory stays flat however long the video.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparrow import rle as runs
from sparrow.export.shown import Shown
from sparrow.whole import whole
from sparrow.work import Work

STEP = "writing COCO"


def write_coco(path: Path, shown: Shown, work: Work) -> None:
    """Write the instances; a referent is a category of its own, its id is also each annotation's `track_id`.

    Raises:
        Cancelled: between two frames.
    """
    description = f"Masks by Sparrow, {shown.video.fps:g} frames per second"
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write('{"info": %s, "licenses": [],\n' % _text({"description": description}))  # noqa: UP031
        for name, entries in (
            ("categories", _categories(shown)),
            ("images", _images(shown)),
            ("annotations", _annotations(shown, work)),
        ):
            file.write(f'"{name}": [')
            for number, entry in enumerate(entries):
                file.write((",\n" if number else "\n") + _text(entry))
            file.write("]}" if name == "annotations" else "],\n")


def _categories(shown: Shown) -> Iterator[dict[str, Any]]:
    names = [shown.name_of(referent) for referent in shown.referents]
    for referent, name in zip(shown.referents, names, strict=True):
        unique = name if names.count(name) == 1 else f"{name} ({referent.id})"
        yield {
            "id": referent.id,
            "name": unique,
            "supercategory": "referent",
            "color": referent.colour,
        }


def _images(shown: Shown) -> Iterator[dict[str, Any]]:
    height, width = shown.video.size_hw
    for number, frame in enumerate(shown.frames):
        yield {
            "id": number + 1,
            "file_name": f"{number:05d}.jpg",
            "width": width,
            "height": height,
            "video_frame": frame,
        }


def _annotations(shown: Shown, work: Work) -> Iterator[dict[str, Any]]:
    size, given = list(shown.video.size_hw), 0
    for number, frame in enumerate(shown.frames):
        work.step(STEP, number, len(shown.frames))
        for track in shown.tracks:
            rle = track.rles[frame]
            if rle is None:
                continue
            given += 1
            x0, y0, x1, y1 = (float(value) for value in track.boxes[frame])
            yield {
                "id": given,
                "image_id": number + 1,
                "category_id": track.referent_id,
                "track_id": track.referent_id,
                "segmentation": {"size": size, "counts": rle.decode("ascii")},
                "area": runs.area_of(rle),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": 0,
                "score": float(track.scores[frame]),
            }
    work.step(STEP, len(shown.frames), len(shown.frames))


def _text(content: object) -> str:
    return json.dumps(content, allow_nan=False, ensure_ascii=False)
