"""Exchanges -> the messages of the chat: coloured phrases, times to click, steps; all text made inert.

Knows no component of the page: chat.py shows what this writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sparrow.page.inert import inert
from sparrow.page.moments import spans_html, with_links
from sparrow.sessions.record import Exchange
from sparrow.types import GroundedAnswer, MaskTrack, Progress, Referent, colour_of
from sparrow.video import Video

Message = dict[str, object]

STEP_WORDS = {
    "wait": "waiting in line",
    "load": "loading the model",
    "read": "reading the video",
    "recall": "recalling the conversation",
    "answer": "answering",
    "track": "tracking",
    "adapt": "learning what it looks like",
}
"""What the backend calls its steps, in words for visitors; the other steps are called so already."""
_ENDINGS = {
    "stopped": "Stopped: this result is partial.",
    "cut": "This answer was cut off.",
    "failed": "This question could not be answered.",
}


@dataclass(frozen=True, eq=False)
class Scene:
    """What the conversation is about, as the user sees it."""

    video: Video | None = None
    referents: Mapping[int, Referent] = field(default_factory=dict)
    """By id, under the user's names and colours."""
    tracks: Mapping[int, MaskTrack] = field(default_factory=dict)

    @property
    def duration(self) -> float:
        """Seconds; 0 without a video."""
        return 0.0 if self.video is None else self.video.duration

    def colour(self, referent_id: int) -> str:
        """Give the colour that the user sees a referent in, also of one that is deleted."""
        known = self.referents.get(referent_id)
        return colour_of(referent_id) if known is None else known.colour

    def name(self, referent_id: int) -> str:
        """Give what the user calls a referent."""
        known = self.referents.get(referent_id)
        return f"object {referent_id}" if known is None else known.phrase


def ink_on(colour: str) -> str:
    """Choose black or white text for a background "#rrggbb", whichever contrasts more (WCAG luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def mark(phrase: str, referent_id: int, colour: str) -> str:
    """Colour a phrase like the mask of its referent; the id is shown behind it, not by colour alone."""
    style = f"background-color:{colour};color:{ink_on(colour)};--id:'{referent_id}'"
    return (
        f'<mark class="ref ref-{referent_id}" tabindex="0" style="{style}">{inert(phrase)}</mark>'
    )


def answer_html(answer: GroundedAnswer, scene: Scene) -> str:
    """Write an answer with the phrases of its referents coloured (of overlapping ones the first), and its times."""
    text, parts, position = answer.text, [], 0
    spoken = [(r.span, r) for r in answer.referents if r.span is not None]
    for (start, end), referent in sorted(spoken, key=lambda pair: pair[0]):
        if start < position or start == end:
            continue
        parts.append(with_links(text[position:start], scene.duration))
        parts.append(mark(text[start:end], referent.id, scene.colour(referent.id)))
        position = end
    parts.append(with_links(text[position:], scene.duration))
    return "".join(parts).strip()


def messages(
    exchanges: Sequence[Exchange],
    scene: Scene,
    steps: Sequence[Progress] = (),
    *,
    pace: float = 0.0,
) -> list[Message]:
    """Write the conversation as the chat shows it: for each exchange the question and the answer.

    Of a message, `html` is inert; `text` and the words of `steps` are plain and must be shown as such.

    Args:
        exchanges: the conversation.
        scene: what it is about.
        steps: of the exchange that is being worked on, so far.
        pace: see `step_words`.
    """
    result: list[Message] = []
    for turn, exchange in enumerate(exchanges):
        chips = "".join(f"{mark(scene.name(i), i, scene.colour(i))} " for i in exchange.attached)
        working = exchange.state == "working"
        result.append(
            {
                "role": "user",
                "turn": turn,
                "html": chips + inert(exchange.question),
                "text": exchange.question,
                "state": "done",
            }
        )
        result.append(
            {
                "role": "bot",
                "turn": turn,
                "html": _reply(exchange, scene),
                "steps": _live(steps, pace) if working else _past(exchange.answer),
                "text": exchange.text,
                "state": exchange.state,
            }
        )
    return result


def step_words(progress: Progress, *, pace: float = 0.0) -> str:
    """Say what is being done: which step, how far, or the place in the line.

    Args:
        progress: the step.
        pace: seconds that the work of one visitor takes, as far as known; 0 = unknown.
    """
    if progress.step == "wait":
        place = progress.done + 1
        wait = f", about {max(5, round(place * pace / 5) * 5)} s" if pace else ""
        return f"You are {_ordinal(place)} in line{wait}"
    name = STEP_WORDS.get(progress.step, progress.step)
    name = name[:1].upper() + name[1:]
    counted = f" {progress.done} of {progress.total}" if progress.total else ""
    return name + counted


def _reply(exchange: Exchange, scene: Scene) -> str:
    answer = exchange.answer
    text = inert(exchange.text) if answer is None else answer_html(answer, scene)
    parts = [f'<p class="words">{text}</p>'] if text else []
    if exchange.state in _ENDINGS:
        parts.append(f'<p class="partial">{inert(_ENDINGS[exchange.state])}</p>')
    if answer is not None:
        parts += _sightings(answer, scene)
    return "".join(parts)


def _sightings(answer: GroundedAnswer, scene: Scene) -> list[str]:
    """Say when each thing of an answer is to be seen."""
    rows = []
    for referent in answer.referents:
        track = scene.tracks.get(referent.id)
        if track is None or scene.video is None:
            continue
        name = mark(scene.name(referent.id), referent.id, scene.colour(referent.id))
        rows.append(f"<li>{name} {spans_html(track, scene.video)}</li>")
    return [f'<ul class="seen" aria-label="When it is to be seen">{"".join(rows)}</ul>'] * bool(
        rows
    )


def _live(steps: Sequence[Progress], pace: float) -> dict[str, object]:
    """Describe the steps of an answer that is being worked on; the last one goes on."""
    if not steps:
        return {"title": "Starting", "items": [], "seconds": 0.0, "share": None}
    last = steps[-1]
    return {
        "title": step_words(last, pace=pace),
        "items": [_item(step_words(step), step.seconds) for step in steps[:-1]],
        "seconds": last.seconds,
        "share": last.done / last.total if last.total and last.step != "wait" else None,
    }


def _past(answer: GroundedAnswer | None) -> dict[str, object] | None:
    if answer is None:
        return None
    frames = len(answer.frames)
    looked = f"Looked at {frames} frame{'s' if frames != 1 else ''}" if frames else "Answered"
    things = len(answer.tracks)
    tracked = f", tracked {things} thing{'s' if things != 1 else ''}" if things else ""
    seconds = sum(answer.seconds.values())
    return {
        "title": f"{looked}{tracked or ', nothing to show'} · {seconds:.1f} s",
        "items": [_item(STEP_WORDS.get(s, s).capitalize(), t) for s, t in answer.seconds.items()],
    }


def _item(words: str, seconds: float) -> str:
    return f"{words} · {seconds:.1f} s"


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if 10 <= number % 100 <= 20 else endings.get(number % 10, "th")
    return f"{number}{ending}"
