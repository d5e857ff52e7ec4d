"""A record -> its conversation as Markdown to keep: questions, answers, what was pointed at, when things are seen.

Words of users, models and files show literally in any Markdown viewer, and stay readable in a text editor.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparrow.sessions.record import Exchange, Record
from sparrow.types import GroundedAnswer, MaskTrack, Prompt, Referent
from sparrow.video import Video
from sparrow.whole import write_text

_ENDINGS = {
    "working": "Not finished yet.",
    "stopped": "Stopped: this answer is partial.",
    "cut": "This answer was cut off.",
    "failed": "This question could not be answered.",
}
_DONE_TO = {
    "point+": "pointed at",
    "point-": "pointed beside",
    "box": "drew a box around",
    "mask": "marked",
}
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, and those that turn the direction of reading: text could look like another."""
_MAX_STRETCHES = 8
"""Of one referent, that are told one by one."""


def transcript(record: Record) -> str:
    """Write the conversation; a referent's id stands behind each phrase that names it, as in "the fox [2]"."""
    names = {referent.id: referent.phrase for referent in record.referents()}
    title = escaped(" ".join(record.title.split())) or "A conversation"
    parts = [f"# {title}", *_facts(record)]
    for exchange in record.exchanges:
        parts += _exchange(exchange, names, record.video)
    parts += _objects(record)
    return "\n\n".join(parts) + "\n"


def write_transcript(path: str | Path, record: Record) -> Path:
    """Write the conversation to a file, there only when whole."""
    path = Path(path)
    write_text(path, transcript(record))
    return path


def escaped(text: str) -> str:
    """Make text that Markdown shows literally: no markup, no HTML, no link, one line break per line."""
    lines = (" ".join(line.split()) for line in _UNSEEN.sub("", text).split("\n"))
    return "\\\n".join(_escaped_line(line) for line in lines if line)


def clock(seconds: float) -> str:
    """Write a time in a video, e.g. "1:05.2"."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"


def _escaped_line(line: str) -> str:
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_\[\]{}()#|~@$^])", r"\\\1", line)
    line = line.replace("://", r":\//")
    line = re.sub(r"(?i)\bwww\.", lambda match: match[0][:-1] + r"\.", line)
    return re.sub(r"^(\d*)([-+=.])", r"\1\\\2", line)


def _facts(record: Record) -> list[str]:
    lines = []
    if record.video is not None:
        video, (height, width) = record.video, record.video.size_hw
        lines.append(
            f"Video: {clock(video.duration)}, {width} x {height}, {video.num_frames} frames "
            f"at {video.fps:.4g} a second"
        )
        lines += [f"Note: {escaped(note)}" for note in video.notes]
    if record.model:
        lines.append(f"Model: {escaped(record.model)}")
    return ["\n".join(f"- {line}" for line in lines)] if lines else []


def _exchange(exchange: Exchange, names: dict[int, str], video: Video | None) -> list[str]:
    pointed = [_pointed(prompt, names, video) for prompt in exchange.prompts]
    sent = dict.fromkeys([*pointed, *(_named(i, names) for i in exchange.attached if not pointed)])
    about = f" *({'; '.join(sent)})*" if sent else ""
    lines = [f"**You:** {escaped(exchange.question)}{about}"]
    answer = exchange.answer
    said = escaped(exchange.text) if answer is None else _answer(answer)
    ending = _ENDINGS.get(exchange.state, "")
    lines.append(" ".join(("**Sparrow:**", said, f"*{ending}*" if ending else "")).strip())
    if answer is not None and answer.frames and video is not None:
        times = ", ".join(_moment(frame, video) for frame in answer.frames)
        lines.append(f"*Looked at {times}.*")
    return lines


def _answer(answer: GroundedAnswer) -> str:
    """Write the words with each spoken referent's id behind its phrase; of overlapping ones the first."""
    parts, position = [], 0
    for start, end, referent in _spoken(answer.referents):
        if start < position:
            continue
        before = answer.text[position:start]
        parts.append(
            _between(before) + f"**{escaped(answer.text[start:end])}** \\[{referent.id}\\]"
        )
        position = end
    parts.append(_between(answer.text[position:]))
    return "".join(parts).strip()


def _spoken(referents: Sequence[Referent]) -> list[tuple[int, int, Referent]]:
    spoken = [(*r.span, r) for r in referents if r.span is not None and r.span[0] < r.span[1]]
    return sorted(spoken, key=lambda item: item[:2])


def _between(text: str) -> str:
    """Escape, but keep one space at either end, where a phrase touches it."""
    inside = escaped(text)
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and inside else ""
    return before + inside + after


def _named(referent_id: int, names: dict[int, str]) -> str:
    name = escaped(names.get(referent_id, f"object {referent_id}"))
    return f"{name} \\[{referent_id}\\]"


def _pointed(prompt: Prompt, names: dict[int, str], video: Video | None) -> str:
    at = "" if video is None else f" at {_moment(prompt.frame, video)}"
    where = ""
    if prompt.kind != "mask":
        where = f", {' '.join(f'{value:.4g}' for value in prompt.coordinates.tolist())} px"
    return f"{_DONE_TO[prompt.kind]} {_named(prompt.referent_id, names)}{at}{where}"


def _objects(record: Record) -> list[str]:
    rows = []
    for referent in record.referents():
        row = f"- \\[{referent.id}\\] {escaped(referent.phrase)}"
        track = record.history.tracks.get(referent.id)
        if track is not None and record.video is not None:
            partial = "" if track.complete else " (partial)"
            row += f": {_seen(track, record.video)}{partial}"
        rows.append(row)
    corrections = [
        f"- {_pointed(p, {r.id: r.phrase for r in record.referents()}, record.video)}"
        for p in record.prompts
    ]
    parts = ["## Objects", "\n".join(rows)] if rows else []
    return [*parts, "## Pointed at", "\n".join(corrections)] if corrections else parts


def _seen(track: MaskTrack, video: Video) -> str:
    visible = track.visible()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], visible, [False]]).astype(int)))
    stretches = [
        f"{_moment(start, video)} to {_moment(stop - 1, video)}"
        for start, stop in edges.reshape(-1, 2).tolist()
    ]
    if not stretches:
        return "never seen"
    more = len(stretches) - _MAX_STRETCHES
    told = ", ".join(stretches[:_MAX_STRETCHES]) + (f" and {more} more times" if more > 0 else "")
    return f"seen {told}; {visible.sum()} of {track.num_frames} frames"


def _moment(frame: int, video: Video) -> str:
    return f"{clock(float(video.timestamps[frame]))} (frame {frame})"
