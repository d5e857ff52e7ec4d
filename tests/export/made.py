"""What the tests of exports share: two referents, strict JSON, and what a writer is given."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np

from sparrow.export.shown import Shown
from sparrow.types import MaskTrack, Referent
from sparrow.video import Video
from sparrow.work import Work

TEXT = "See the fox."
REFERENTS = (Referent(1, "the fox", (4, 11), "#e69f00"), Referent(4, '狐狸 "é"', None, "#56b4e9"))


def strict(path: Path) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    return content


def shown(video: Video, tracks: list[MaskTrack], *, span: tuple[int, int] | None = None) -> Shown:
    return Shown.of(video, tracks, REFERENTS, span=span)


def seen_by(shown: Shown, frame: int) -> np.ndarray:
    """Give the ids that are to be seen in a frame, (H, W): later tracks lie above."""
    ids = np.zeros(shown.video.size_hw, dtype=int)
    for track in shown.tracks:
        ids[track.mask(frame)] = track.referent_id
    return ids


def stopping(after: int) -> Work:
    """Give work that is stopped when so many frames are done."""
    cancel = threading.Event()
    return Work(lambda told: cancel.set() if told.done == after else None, cancel)
