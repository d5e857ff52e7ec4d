"""Tracks over the wire: one side has some already, and only what is new of the others is sent.

A *thin* track says where its thing is without its masks, but for some frames; an *update* says what a track has
that another one had not. Both are JSON, numbers packed as base64 of their bytes. Knows no connection.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping

import numpy as np

from sparrow import masks, rle
from sparrow.sessions import checked
from sparrow.types import MaskTrack

UNSENT = b""
"""Stands for a mask that is there and was not sent; never decode it."""

_MAX_NUMBERS = 2**23
"""Characters of packed numbers: the boxes of more frames than any limit allows."""
_MAX_COUNTS = 2**21


def thin(track: MaskTrack, frames: Collection[int] = ()) -> dict[str, object]:
    """Describe a track, with its masks in these frames only."""
    there = [t for t in sorted(set(frames)) if track.rles[t] is not None]
    return {
        "complete": track.complete,
        "scores": _packed(track.scores),
        "boxes": _packed(track.boxes),
        "masks": {str(t): (track.rles[t] or b"").decode("ascii") for t in there},
    }


def read_thin(
    value: object, referent_id: int, num_frames: int, size_hw: tuple[int, int]
) -> MaskTrack:
    """Read what `thin` wrote; masks that were not sent are UNSENT.

    Raises:
        ValueError: not that, or not about such a video.
    """
    where = f"track {referent_id}"
    entry = checked.entries(value, where)
    scores = _numbers(checked.at(entry, "scores", where), where, num_frames)
    boxes = _numbers(checked.at(entry, "boxes", where), where, 4 * num_frames).reshape(-1, 4)
    rles: list[bytes | None] = [None if np.isnan(box[0]) else UNSENT for box in boxes]
    for name, counts in checked.entries(checked.at(entry, "masks", where), where).items():
        frame = checked.whole(_frame(name), where, 0, num_frames - 1)
        rles[frame] = _counts(counts, where, size_hw)
    complete = checked.flag(checked.at(entry, "complete", where), where)
    return MaskTrack(referent_id, size_hw, tuple(rles), boxes, scores, complete)


def update(track: MaskTrack, known: MaskTrack | None) -> dict[str, object]:
    """Say what of a track is not as in the one that the other side has."""
    base = known if known is not None else _empty(track)
    changed = [
        t
        for t in range(track.num_frames)
        if track.rles[t] != base.rles[t] or track.scores[t] != base.scores[t]
    ]
    return {
        "id": track.referent_id,
        "complete": track.complete,
        "frames": _packed(np.array(changed, dtype=np.int32)),
        "scores": _packed(track.scores[changed]),
        "masks": [
            None if (counts := track.rles[t]) is None else counts.decode("ascii") for t in changed
        ],
    }


def read_update(
    value: object, known: Mapping[int, MaskTrack], num_frames: int, size_hw: tuple[int, int]
) -> MaskTrack:
    """Read what `update` wrote, onto what is known under its id; the very same track where nothing is new.

    Raises:
        ValueError: not that, or not about such a video.
    """
    entry = checked.entries(value, "track")
    i = checked.whole(checked.at(entry, "id", "track"), "track id", 1)
    where = f"track {i}"
    counts = checked.items(checked.at(entry, "masks", where), where, num_frames)
    frames = _numbers(checked.at(entry, "frames", where), where, len(counts), np.int32)
    scores = _numbers(checked.at(entry, "scores", where), where, len(counts))
    complete = checked.flag(checked.at(entry, "complete", where), where)
    if not ((frames >= 0) & (frames < num_frames)).all():
        raise ValueError(f"{where}: expected frames 0 to {num_frames - 1}")
    base = known.get(i)
    if base is not None and not len(counts) and base.complete == complete:
        return base
    rles: list[bytes | None] = [None] * num_frames if base is None else list(base.rles)
    boxes = np.full((num_frames, 4), np.nan, np.float32) if base is None else base.boxes.copy()
    all_scores = np.zeros(num_frames, np.float32) if base is None else base.scores.copy()
    for t, text in zip(frames.tolist(), counts, strict=True):
        rles[t] = None if text is None else _counts(text, where, size_hw)
        mask = rles[t]
        boxes[t] = np.nan if mask is None else masks.box_of(masks.from_rle(mask, size_hw))
    all_scores[frames] = scores
    return MaskTrack(i, size_hw, tuple(rles), boxes, all_scores, complete)


def _empty(track: MaskTrack) -> MaskTrack:
    """Give the track that both sides begin with where nothing is known."""
    count = track.num_frames
    nowhere = np.full((count, 4), np.nan, np.float32)
    return MaskTrack(
        track.referent_id, track.size_hw, (None,) * count, nowhere, np.zeros(count, np.float32)
    )


def _packed(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")


def _numbers(
    value: object, where: str, count: int, kind: type[np.generic] = np.float32
) -> np.ndarray:
    """Unpack so many numbers."""
    text = checked.text(value, where, _MAX_NUMBERS)
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{where}: expected packed numbers ({error})") from error
    if len(content) != count * np.dtype(kind).itemsize:
        raise ValueError(f"{where}: expected {count} numbers, got {len(content)} bytes")
    return np.frombuffer(content, dtype=kind).copy()


def _counts(value: object, where: str, size_hw: tuple[int, int]) -> bytes:
    counts = checked.text(value, where, _MAX_COUNTS).encode("ascii")
    rle.check(counts, size_hw)
    return counts


def _frame(name: str) -> int:
    if not (name.isascii() and name.isdecimal() and len(name) <= 10):
        raise ValueError(f"track: expected a frame, got {name[:20]!r}")
    return int(name)
