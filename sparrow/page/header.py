"""The words at the top of the page: what Sparrow is, what the model was trained on, how to go about it."""

from __future__ import annotations

from collections.abc import Mapping

from sparrow.page.inert import inert

_STEPS = (
    "Choose a video: your own, or one of the examples.",
    "Ask about it. What the answer names is marked in every frame, in the colour of the word.",
    "Or point: click a thing in the picture, or draw a box around it; then track it, or ask about it.",
    "Wrong somewhere? Choose the thing, go to a frame, click with + what belongs to it and with − what "
    "does not, then track it again.",
    "Choose how things look, trim, and download: video, GIF, masks, tracks, the conversation.",
)
_KEYS = (
    ("Space", "play"),
    ("← →", "a frame back or on (with Shift: ten)"),
    ("1 to 9", "choose an object"),
    ("+ −", "point at what belongs to it, or does not"),
    ("B", "draw a box"),
    ("Z", "undo"),
    ("Enter", "send the question"),
    ("Esc", "stop"),
)


def title_html() -> str:
    """Name the page and say what it is."""
    return "<h1>Sparrow</h1><p>Talk with a video, and point at what you mean.</p>"


def help_html() -> str:
    """Explain the page: the way through it and the keys; and offer light or dark."""
    steps = "".join(f"<li>{inert(step)}</li>" for step in _STEPS)
    keys = "".join(f"<dt>{inert(key)}</dt><dd>{inert(what)}</dd>" for key, what in _KEYS)
    return (
        '<button type="button" class="theme" aria-label="Light or dark" title="Light or dark">◐</button>'
        '<details><summary aria-label="Help" title="Help">?</summary>'
        f"<div><h2>How it works</h2><ol>{steps}</ol><h2>Keys</h2><dl>{keys}</dl></div></details>"
    )


def card_html(card: Mapping[str, object]) -> str:
    """Say which model runs, what it was trained on, what it cannot do, and what it has words for."""
    trained_on = str(card["trained_on"]).rstrip(".")
    words = f"was trained on {trained_on}. {card['limits']}" if trained_on else str(card["limits"])
    return f'<p class="card"><b>{inert(str(card["name"]))}</b> {inert(words)}</p>' + _nouns(card)


def _nouns(card: Mapping[str, object]) -> str:
    nouns = card["nouns"]
    if not isinstance(nouns, list | tuple):
        raise TypeError(f"model card nouns: expected a list, got {type(nouns).__name__}")
    if not nouns:  # a full checkpoint is not bound to a list of words
        return ""
    items = "".join(f"<li>{inert(str(noun))}</li>" for noun in sorted(nouns))
    return (
        f'<details class="nouns"><summary>The {len(nouns)} things it has words for</summary>'
        f'<ul aria-label="Things it has words for">{items}</ul></details>'
    )
