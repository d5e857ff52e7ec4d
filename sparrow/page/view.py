"""A session -> what the page shows of it, as plain values. Knows no component: events.py carries them there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparrow.page.session import Session
from sparrow.page.transcript import STEP_WORDS, Message, inert, mark, messages
from sparrow.types import MaskTrack, Progress, Referent

POINTED_QUESTIONS = ("What is this?", "What is this doing?")
"""Offered while a pointed-at thing goes along with the next question."""


@dataclass(frozen=True)
class View:
    """Everything of the page that changes; compared field by field to send only what is new."""

    status: str
    """HTML, as are `about`, `objects` and `attached`."""
    about: str
    objects: str
    attached: str
    messages: tuple[Message, ...]
    source: Path | None
    """The video without marks."""
    stage: Path | None
    """What the player shows."""
    annotated: Path | None
    masks: Path | None
    still: Path | None
    clicks: int
    frame: int
    num_frames: int
    suggestions: tuple[str, ...]
    ready: bool
    """There is a video."""
    busy: bool


def view(session: Session) -> View:
    """Describe what the page of a session shows."""
    video, results, pointing = session.video, session.results, session.pointing
    source = None if video is None else video.path
    return View(
        status=_status(session),
        about=_about(session),
        objects=_objects(session),
        attached=_attached(session),
        messages=tuple(messages(session.exchanges, session.referents)),
        source=source,
        stage=source if results is None else results.annotated,
        annotated=None if results is None else results.annotated,
        masks=None if results is None else results.masks,
        still=None if pointing is None else pointing.still,
        clicks=0 if pointing is None else len(pointing.clicks),
        frame=0 if pointing is None else pointing.frame,
        num_frames=1 if video is None else video.num_frames,
        suggestions=POINTED_QUESTIONS if session.attached else session.suggestions,
        ready=video is not None,
        busy=session.busy,
    )


def notice_html(notice: str, *, failed: bool) -> str:
    """Write the status line while nothing is being done; an error is announced to screen readers."""
    kind, role = ("error", "alert") if failed else ("idle", "status")
    return f'<div class="status {kind}" role="{role}">{inert(notice)}</div>'


def _status(session: Session) -> str:
    if session.status is not None:
        return _working(session.status)
    if session.pending is not None:
        return '<div class="status work" role="status">Waiting for a free place …</div>'
    return notice_html(session.notice, failed=session.failed)


def _working(progress: Progress) -> str:
    step = STEP_WORDS.get(progress.step, progress.step)
    words = [step[:1].upper() + step[1:]]
    bar = "<progress></progress>"
    if progress.total:
        words.append(f"{progress.done} of {progress.total}")
        bar = f'<progress value="{progress.done}" max="{progress.total}"></progress>'
    words.append(f"{progress.seconds:.1f} s")
    return f'<div class="status work" role="status">{inert(" · ".join(words))} {bar}</div>'


def _about(session: Session) -> str:
    video = session.video
    if video is None:
        return ""
    height, width = video.size_hw
    facts = f"{video.duration:.1f} s · {width} × {height} · {video.fps:.4g} frames a second · " + (
        "with sound" if video.has_audio else "no sound"
    )
    notes = "".join(f"<br>{inert(note)}" for note in video.notes)
    return f'<p class="about"><b>{inert(session.title)}</b> {inert(facts)}{notes}</p>'


def _objects(session: Session) -> str:
    rows = [
        _object(referent, session.tracks[referent.id])
        for referent in session.referents.values()
        if referent.id in session.tracks
    ]
    return (
        f'<ul class="objects" aria-label="Things found so far">{"".join(rows)}</ul>' if rows else ""
    )


def _object(referent: Referent, track: MaskTrack) -> str:
    visible = track.visible()
    seen = int(visible.sum())
    sure = f", {track.scores[visible].mean():.0%} sure" if seen else ""
    partial = "" if track.complete else ", partial"
    words = f"in {seen} of {track.num_frames} frames{sure}{partial}"
    name = mark(referent.phrase, referent.id, referent.colour)
    return f"<li>{name}<span class='lane'>{_lane(visible, referent.colour)}</span><small>{inert(words)}</small></li>"


def _lane(visible: np.ndarray, colour: str) -> str:
    """Draw when a thing is in the picture: a bar per run of frames of `visible` (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], visible, [False]]).astype(int)))
    bars = []
    for start, stop in edges.reshape(-1, 2):
        left, width = 100 * start / visible.size, 100 * (stop - start) / visible.size
        bars.append(f'<i style="left:{left:.2f}%;width:{width:.2f}%;background:{colour}"></i>')
    return "".join(bars)


def _attached(session: Session) -> str:
    chips = " ".join(
        mark(session.referents[i].phrase, i, session.referents[i].colour) for i in session.attached
    )
    return f'<p class="attached">Your next question is about {chips}</p>' if chips else ""
