"""Times that an answer names, and when a thing is to be seen -> links that take the stage there.

A link is `<a href="#t=2.5">` (seconds) or `<a href="#f=40">` (frame); the stage follows both.
"""

from __future__ import annotations

import re

import numpy as np

from sparrow.page.inert import inert_between
from sparrow.sessions.transcript import clock
from sparrow.types import MaskTrack
from sparrow.video import Video

MOST_SPANS = 4
"""Spans of a thing that are listed; of the rest only their number is told."""

_GAP = 0.2  # seconds; a shorter absence does not end a span
_NUMBER = r"\d{1,4}(?:\.\d+)?"
_TIME = re.compile(
    rf"(?<![\w.:])(?:(?P<clock>\d{{1,2}}:[0-5]\d(?:\.\d+)?)"
    rf"|(?P<first>{_NUMBER})(?=\s*(?:-|–|to|and)\s*{_NUMBER}\s*(?:s|secs?|seconds?)\b)"
    rf"|(?P<seconds>{_NUMBER})\s*(?:s|secs?|seconds?)\b)(?![\w:])"
)


def with_links(text: str, duration: float) -> str:
    """Write text as HTML in which every time within the video is a link."""
    parts, position = [], 0
    for found in _TIME.finditer(text):
        seconds = _seconds(found)
        if seconds > duration:
            continue
        parts.append(inert_between(text[position : found.start()]))
        parts.append(f'<a class="moment" href="#t={seconds:.10g}">{inert_between(found[0])}</a>')
        position = found.end()
    return "".join(parts) + inert_between(text[position:])


def spans_of(track: MaskTrack, video: Video) -> list[tuple[int, int]]:
    """List the runs of frames, first and last, in which a thing is to be seen; short gaps are bridged."""
    frames = np.flatnonzero(track.visible())
    if not frames.size:
        return []
    breaks = np.flatnonzero(np.diff(video.timestamps[frames]) > _GAP + 1 / video.fps)
    starts = frames[np.concatenate([[0], breaks + 1])]
    ends = frames[np.concatenate([breaks, [frames.size - 1]])]
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def spans_html(track: MaskTrack, video: Video) -> str:
    """Say when a thing is to be seen, as links to the frames where that begins and ends."""
    spans = spans_of(track, video)
    if not spans:
        return "not seen"
    if spans == [(0, video.num_frames - 1)]:
        return "the whole time"
    shown = ", ".join(
        f"{_link(start, video)}–{_link(end, video)}" for start, end in spans[:MOST_SPANS]
    )
    more = len(spans) - MOST_SPANS
    return f"{shown} and {more} more" if more > 0 else shown


def _link(frame: int, video: Video) -> str:
    return f'<a class="moment" href="#f={frame}">{clock(float(video.timestamps[frame]))}</a>'


def _seconds(found: re.Match[str]) -> float:
    if found["clock"]:
        minutes, seconds = found["clock"].split(":")
        return int(minutes) * 60 + float(seconds)
    return float(found["first"] or found["seconds"])
