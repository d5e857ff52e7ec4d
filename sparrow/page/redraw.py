"""What changed between two views -> updates of the components that show it."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import Block

from sparrow.page.layout import Layout
from sparrow.page.view import View

Updates = dict[Block, Any]


def redraw(at: Layout, before: View | None, after: View, serial: int) -> Updates:
    """Give an update for each component whose part of the view is new; all if nothing was shown before.

    Stage, chat and downloads get the view's serial number along: they let what is older than what they show pass
    by, for requests overtake one another.
    """

    def new(*names: str) -> bool:
        return before is None or any(getattr(before, n) != getattr(after, n) for n in names)

    updates: Updates = {}
    for name in ("status", "about"):
        if new(name):
            updates[getattr(at, name)] = getattr(after, name)
    for name in ("stage", "chat", "downloads"):
        if new(name):
            updates[getattr(at, name)] = {**getattr(after, name), "serial": serial}
    if new("choosing", "busy"):
        updates[at.chooser] = gr.Column(visible=after.choosing and not after.busy)
    if new("choosing", "busy", "ready"):
        updates[at.another] = gr.Button(
            "Back to the video" if after.choosing else "Another video",
            visible=after.ready,
            interactive=not after.busy,
        )
    if new("ready"):
        hint = "Ask about the video" if after.ready else "Choose a video first"
        updates[at.question] = gr.Textbox(interactive=after.ready, placeholder=hint)
    if new("ready", "busy"):
        updates[at.send] = gr.Button(interactive=after.ready, visible=not after.busy)
        updates[at.stop] = gr.Button(visible=after.busy)
    if new("model", "busy"):  # no gr.Dropdown(...): it would want the choices again
        updates[at.model] = gr.update(value=after.model, interactive=not after.busy)
    if new("card"):
        updates[at.card] = after.card
    return updates or {at.status: gr.skip()}  # Gradio takes an empty dict for a missing output
