"""Tracks by which things are blurred -> where a thing may show all the same, to be told before a download.

A thing is blurred where its track has a mask. It may show where that is missing between the first frame and the
last one of the track, where nobody has tracked it, and where the tracker is not sure that the mask is the thing.
"""

from __future__ import annotations

import numpy as np

from sparrow.page.stage import UNSURE
from sparrow.sessions.transcript import clock
from sparrow.types import MaskTrack
from sparrow.video import Video

MOST_PLACES = 6
"""Of one thing that are listed; of the rest only their number is told."""


def bare_frames(track: MaskTrack, span: tuple[int, int] | None = None) -> np.ndarray:
    """List the frames (n,) of the trim range, None for all, in which a thing may show."""
    seen = track.visible()
    frames = np.arange(track.num_frames)
    known = frames[seen]
    between = (known.min() < frames) & (frames < known.max()) if known.size else np.zeros_like(seen)
    untracked = ~seen & (track.scores == 0) & (not track.complete)
    bare = (~seen & between) | untracked | (seen & (track.scores < UNSURE))
    start, stop = span or (0, track.num_frames)
    return frames[bare & (start <= frames) & (frames < stop)]


def may_show(
    track: MaskTrack, name: str, video: Video, span: tuple[int, int] | None
) -> dict[str, object] | None:
    """Say where a thing may show, as JSON: {name, frames, places: [{frame, words}], more}; None for nowhere."""
    bare = bare_frames(track, span)
    if not bare.size:
        return None
    runs = np.split(bare, np.flatnonzero(np.diff(bare) > 1) + 1)
    return {
        "name": name,
        "frames": int(bare.size),
        "places": [
            {"frame": int(run[0]), "words": _when(run, video)} for run in runs[:MOST_PLACES]
        ],
        "more": max(0, len(runs) - MOST_PLACES),
    }


def _when(run: np.ndarray, video: Video) -> str:
    first, last = (clock(float(video.timestamps[frame])) for frame in (run[0], run[-1]))
    return first if first == last else f"{first}–{last}"
