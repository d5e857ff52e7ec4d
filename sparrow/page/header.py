"""The model's card -> the words at the top of the page: what it was trained on and what it can talk about."""

from __future__ import annotations

from collections.abc import Mapping

from sparrow.page.transcript import inert


def header_html(card: Mapping[str, object]) -> str:
    """Say what the page does, which model runs, what that was trained on and what it cannot do."""
    trained_on = str(card["trained_on"]).rstrip(".")
    words = f"was trained on {trained_on}. {card['limits']}" if trained_on else str(card["limits"])
    return (
        "<h1>Sparrow</h1>"
        "<p>Talk with a video. Whatever an answer names is marked in every frame, in the same colour.</p>"
        f'<p class="card"><b>{inert(str(card["name"]))}</b> {inert(words)}</p>'
    )


def nouns_html(card: Mapping[str, object]) -> str:
    """List the things that the model has words for."""
    nouns = card["nouns"]
    if not isinstance(nouns, list | tuple):
        raise TypeError(f"model card nouns: expected a list, got {type(nouns).__name__}")
    items = "".join(f"<li>{inert(str(noun))}</li>" for noun in sorted(nouns))
    return f'<ul class="nouns" aria-label="Things it has words for">{items}</ul>'
