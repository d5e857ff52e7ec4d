"""The conversation as a component: messages, suggested questions, and chips of what the next question is about.

Its value is the JSON of `chat_value`; events come back: retry, undo {turn}, edit {turn, text}, suggest {text},
attach, detach {id}, save {}. Whatever arrives may be made up: check it. Knows no session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from sparrow.page.transcript import Message, ink_on

_FOLDER = Path(__file__).parent / "static" / "chat"


@dataclass(frozen=True)
class Chip:
    """A thing that goes along with the next question, or may."""

    id: int
    name: str
    colour: str
    where: str = ""
    """On which moment it was pointed at; empty for a thing that is known already."""
    on: bool = True
    """False: it is only offered."""


def chat() -> gr.HTML:
    """Build the component, empty; call it inside gr.Blocks."""
    return gr.HTML(
        chat_value(),
        html_template=(_FOLDER / "chat.html").read_text(encoding="utf-8"),
        js_on_load=(_FOLDER / "chat.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="chat",
    )


def chat_value(
    messages: Sequence[Message] = (),
    *,
    suggestions: Sequence[str] = (),
    chips: Sequence[Chip] = (),
    ready: bool = False,
    busy: bool = False,
) -> dict[str, object]:
    """Describe the conversation as JSON.

    Args:
        messages: what transcript.py wrote.
        suggestions: questions to choose among.
        chips: what the next question is about, and what it may be about.
        ready: there is a video to ask about.
        busy: work goes on; nothing can be asked.
    """
    return {
        "messages": list(messages),
        "suggestions": list(suggestions),
        "chips": [
            {
                "id": chip.id,
                "name": chip.name,
                "colour": chip.colour,
                "ink": ink_on(chip.colour),
                "where": chip.where,
                "on": chip.on,
            }
            for chip in chips
        ],
        "ready": ready,
        "busy": busy,
    }
