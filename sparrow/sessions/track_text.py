"""A MaskTrack <-> lines of text: one header, then per frame the score, the box and the compressed COCO RLE.

    sparrow-track 1 ID HEIGHT WIDTH FRAMES COMPLETE
    SCORE X0 Y0 X1 Y1 COUNTS      (or SCORE alone, where the thing is absent)

Exact to the bit. Knows neither database nor zip.
"""

from __future__ import annotations

import math
from typing import IO

import numpy as np

from sparrow import rle
from sparrow.types import MaskTrack
from sparrow.work import Work

MAX_ID = 2**31 - 1
MAX_FRAMES = 1_000_000
MAX_SIDE = 65_536
"""Pixels."""
MAX_COUNTS = 2**21
"""Bytes of one frame's RLE; some ten thousand suffice for a ragged mask in 4K."""
MAX_BYTES = 2**28
"""Of one track."""

_KIND = ["sparrow-track", "1"]


def to_text(track: MaskTrack) -> bytes:
    """Write a track."""
    height, width = track.size_hw
    header = [*_KIND, track.referent_id, height, width, track.num_frames, int(track.complete)]
    lines = [" ".join(str(word) for word in header).encode("ascii")]
    rows = zip(track.rles, track.scores.tolist(), track.boxes.tolist(), strict=True)
    for counts, score, box in rows:
        if counts is None:
            lines.append(repr(score).encode("ascii"))
        else:
            numbers = " ".join(repr(value) for value in (score, *box))
            lines.append(numbers.encode("ascii") + b" " + counts)
    return b"\n".join(lines) + b"\n"


def from_text(file: IO[bytes]) -> MaskTrack:
    """Read a track, of whatever size, line by line; the masks themselves are checked by `check_masks`.

    Raises:
        ValueError: not such text, or beyond a limit.
    """
    header = file.readline(200)
    words = header.decode("ascii").rstrip("\n").split(" ")
    if len(words) != 7 or words[:2] != _KIND or not all(w.isdecimal() for w in words[2:]):
        raise ValueError(f"track: expected the header of a track, got {header[:60]!r}")
    referent, height, width, frames, complete = (int(word) for word in words[2:])
    possible = 0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and frames <= MAX_FRAMES
    if not (possible and 0 < referent <= MAX_ID and complete <= 1):
        raise ValueError(f"track: expected a possible size, got {header!r}")
    scores = np.zeros(frames, dtype=np.float32)
    boxes = np.full((frames, 4), np.nan, dtype=np.float32)
    rles: list[bytes | None] = []
    for index in range(frames):
        line = file.readline(MAX_COUNTS + 200)
        if not line.endswith(b"\n"):
            raise ValueError(
                f"track: expected {frames} lines, frame {index} is cut off or too long"
            )
        score, *rest = line[:-1].split(b" ")
        scores[index] = _within(score, 1)
        if not rest:
            rles.append(None)
            continue
        if len(rest) != 5 or not 0 < len(rest[4]) <= MAX_COUNTS:
            raise ValueError(f"track: expected score, box and RLE at frame {index}")
        x0, y0, x1, y1 = (_within(n, s) for n, s in zip(rest[:4], (width, height) * 2, strict=True))
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"track: expected x0 < x1 and y0 < y1 at frame {index}")
        boxes[index] = x0, y0, x1, y1
        rles.append(rest[4])
    if file.read(1):
        raise ValueError(f"track: expected {frames} lines, there are more")
    return MaskTrack(referent, (height, width), tuple(rles), boxes, scores, bool(complete))


def check_masks(track: MaskTrack, work: Work | None = None) -> None:
    """Refuse a track whose masks do not fill exactly its size, telling `work` of each frame.

    Raises:
        ValueError: at least one.
        Cancelled: it was stopped.
    """
    for index, counts in enumerate(track.rles):
        if work is not None:
            work.step("read", index, track.num_frames)
        if counts is not None:
            try:
                rle.check(counts, track.size_hw)
            except ValueError as error:
                raise ValueError(f"track {track.referent_id}, frame {index}: {error}") from error


def _within(word: bytes, high: float) -> float:
    value = float(word[:40])
    if not (math.isfinite(value) and 0 <= value <= high):
        raise ValueError(f"track: expected a number from 0 to {high:g}, got {word[:40]!r}")
    return value
