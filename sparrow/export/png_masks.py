"""Tracks -> one indexed PNG per frame: a pixel is the id of the referent above all others there, 0 is none.

`index_map` and `to_png` are what YouTube-VOS is made of too.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sparrow.export.files import ExportError, add, archive
from sparrow.export.shown import Shown
from sparrow.work import Work

STEP = "writing masks"
MAX_ID = 255  # an index is a byte


def write_png_masks(path: Path, shown: Shown, work: Work) -> None:
    """Write a ZIP of masks/00000.png and so on, and a README.txt that says what the numbers mean.

    Raises:
        ExportError: an id does not fit in a byte.
        Cancelled: between two frames.
    """
    palette = palette_of(shown)
    hidden: dict[tuple[int, int], int] = {}
    with archive(path) as opened:
        for number, frame in enumerate(shown.frames):
            work.step(STEP, number, len(shown.frames))
            masks = list(shown.masks(frame))
            ids = index_map(shown.video.size_hw, masks)
            add(opened, f"masks/{number:05d}.png", to_png(ids, palette))
            _count_overlaps(ids, masks, hidden)
        add(opened, "README.txt", _readme(shown, hidden))
        work.step(STEP, len(shown.frames), len(shown.frames))


def index_map(size_hw: tuple[int, int], masks: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
    """Give the ids that are seen in a frame, (H, W) uint8, from ids and masks (H, W); later ones lie above."""
    ids = np.zeros(size_hw, dtype=np.uint8)
    for number, mask in masks:
        ids[mask] = number
    return ids


def palette_of(shown: Shown) -> bytes:
    """Give the 256 RGB colours of the indices: black, and each referent's own at its id.

    Raises:
        ExportError: an id does not fit in a byte.
    """
    palette = bytearray(3 * 256)
    for referent in shown.referents:
        if referent.id > MAX_ID:
            raise ExportError(
                f"indexed PNG: expected ids up to {MAX_ID}, got {referent.id}; use COCO instead"
            )
        palette[3 * referent.id : 3 * referent.id + 3] = bytes.fromhex(referent.colour[1:])
    return bytes(palette)


def to_png(ids: np.ndarray, palette: bytes) -> bytes:
    """Encode indices (H, W) uint8 with their palette."""
    picture = Image.fromarray(ids)
    picture.putpalette(palette)
    held = io.BytesIO()
    picture.save(held, format="PNG")
    return held.getvalue()


def _count_overlaps(
    ids: np.ndarray, masks: Sequence[tuple[int, np.ndarray]], hidden: dict[tuple[int, int], int]
) -> None:
    """Count for each pair of ids, lower and upper, the frames in which one lies partly under the other."""
    if sum(np.count_nonzero(mask) for _, mask in masks) == np.count_nonzero(ids):
        return
    for place, (below, mask) in enumerate(masks):
        for above, other in masks[place + 1 :]:
            if (mask & other).any():
                hidden[below, above] = hidden.get((below, above), 0) + 1


def _readme(shown: Shown, hidden: dict[tuple[int, int], int]) -> str:
    lines = [
        "One PNG per frame with a palette: the value of a pixel is the id of a referent, 0 is none.",
        f"masks/00000.png is frame {shown.frames.start} of the video; {len(shown.frames)} frames.",
        "",
        *(
            f"{referent.id}  {referent.colour}  {shown.name_of(referent)}"
            for referent in shown.referents
        ),
        "",
    ]
    if hidden:
        lines.append("A pixel has one value only. Where masks overlap, the upper one is here:")
        lines += [
            f"{below} lies partly under {above} in {count} of {len(shown.frames)} frames"
            for (below, above), count in sorted(hidden.items())
        ]
        lines.append("The COCO and YouTube-VIS files keep every mask whole.")
    else:
        lines.append("No masks overlap: every mask is here whole.")
    return "\n".join([*lines, ""])
