"""Exchanges -> chat messages: coloured phrases in text that can do nothing but be read.

The chat renders Markdown and HTML, so every character of a visitor, a model or a file that could mean
something there becomes a numeric entity. Knows no component of the page and no session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sparrow.page.session import Exchange
from sparrow.types import GroundedAnswer, Referent, colour_of

Message = dict[str, str]

STEP_WORDS = {"read": "reading the video", "answer": "answering", "track": "tracking"}
"""What the pipeline calls its steps, in words for visitors."""
_ENDINGS = {
    "stopped": "Stopped: this result is partial.",
    "cut": "This answer was cut off.",
    "failed": "This question could not be answered.",
}
_CURSOR = '<span class="cursor">&#9613;</span>'


def inert(text: str) -> str:
    """Make text that Markdown and HTML show literally: letters, digits and spaces stay, the rest is entities."""
    lines = (" ".join(line.split()) for line in text.strip().splitlines())
    return "<br>".join(
        "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in line) for line in lines
    )


def ink_on(colour: str) -> str:
    """Choose black or white text for a background "#rrggbb", whichever contrasts more (WCAG luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def mark(phrase: str, referent_id: int, colour: str) -> str:
    """Colour a phrase like the mask of its referent; the id is shown behind it, not by colour alone."""
    style = f"background-color:{colour};color:{ink_on(colour)};--id:'{referent_id}'"
    return f'<mark class="ref ref-{referent_id}" style="{style}">{inert(phrase)}</mark>'


def answer_html(text: str, referents: Sequence[Referent]) -> str:
    """Write an answer with the phrases of its referents coloured; of overlapping ones the first."""
    parts, position = [], 0
    spoken = [(r.span, r) for r in referents if r.span is not None]
    for (start, end), referent in sorted(spoken, key=lambda pair: pair[0]):
        if start < position or start == end:
            continue
        parts.append(_inert_between(text[position:start]))
        parts.append(mark(text[start:end], referent.id, referent.colour))
        position = end
    parts.append(_inert_between(text[position:]))
    return "".join(parts).strip()


def messages(exchanges: Sequence[Exchange], referents: Mapping[int, Referent]) -> list[Message]:
    """Write the conversation as the chat shows it: for each exchange the question and the answer."""
    result: list[Message] = []
    for exchange in exchanges:
        chips = "".join(
            mark(referents[i].phrase if i in referents else f"object {i}", i, colour_of(i)) + " "
            for i in exchange.attached
        )
        result.append({"role": "user", "content": chips + inert(exchange.question)})
        result.append({"role": "assistant", "content": _reply(exchange)})
    return result


def _reply(exchange: Exchange) -> str:
    answer = exchange.answer
    body = inert(exchange.text) if answer is None else answer_html(answer.text, answer.referents)
    if exchange.state == "working":
        return f"{body} {_CURSOR}".strip()
    lines = [body] if body else []
    if exchange.state in _ENDINGS:
        lines.append(f'<span class="partial">{inert(_ENDINGS[exchange.state])}</span>')
    if answer is not None:
        lines.append(f'<span class="steps">{inert(_steps(answer))}</span>')
    return "<br>".join(lines)


def _steps(answer: GroundedAnswer) -> str:
    frames = len(answer.frames)
    parts = [f"looked at {frames} frame{'s' if frames != 1 else ''}"] if frames else []
    parts += [
        f"{STEP_WORDS.get(step, step)} {seconds:.1f} s" for step, seconds in answer.seconds.items()
    ]
    if not answer.referents:
        parts.append("nothing to show")
    return " · ".join(parts)


def _inert_between(text: str) -> str:
    """Like `inert`, but keep one space at either end, where a coloured phrase touches it."""
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and text.strip() else ""
    return before + inert(text) + after
