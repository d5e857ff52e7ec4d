"""Tracks -> a ZIP in the layout of YouTube-VOS: Annotations/<video>/00000.png and meta.json."""

from __future__ import annotations

import json
from pathlib import Path

from sparrow.export.files import add, archive
from sparrow.export.png_masks import STEP, index_map, palette_of, to_png
from sparrow.export.shown import VIDEO, Shown
from sparrow.work import Work


def write_youtube_vos(path: Path, shown: Shown, work: Work) -> None:
    """Write the annotations of every frame, and who is in which frames with the phrase as category.

    Raises:
        ExportError: an id does not fit in a byte.
        Cancelled: between two frames.
    """
    palette = palette_of(shown)
    seen: dict[int, list[str]] = {referent.id: [] for referent in shown.referents}
    with archive(path) as opened:
        for number, frame in enumerate(shown.frames):
            work.step(STEP, number, len(shown.frames))
            ids = index_map(shown.video.size_hw, shown.masks(frame))
            add(opened, f"Annotations/{VIDEO}/{number:05d}.png", to_png(ids, palette))
            for referent_id, frames in seen.items():
                if (ids == referent_id).any():
                    frames.append(f"{number:05d}")
        objects = {
            str(referent.id): {"category": shown.name_of(referent), "frames": seen[referent.id]}
            for referent in shown.referents
        }
        meta = {"videos": {VIDEO: {"objects": objects}}}
        add(opened, "meta.json", json.dumps(meta, ensure_ascii=False, indent=1))
        work.step(STEP, len(shown.frames), len(shown.frames))
