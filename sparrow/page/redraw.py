"""What changed between two views -> updates of the components that show it; a player is not disturbed by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block

from sparrow.page.layout import Layout
from sparrow.page.view import View

Updates = dict[Block, Any]


def redraw(at: Layout, before: View | None, after: View) -> Updates:
    """Give an update for each component whose part of the view is new; all if nothing was shown before."""

    def new(*names: str) -> bool:
        return before is None or any(getattr(before, n) != getattr(after, n) for n in names)

    updates: Updates = {}
    for name in ("status", "about", "objects", "attached"):
        if new(name):
            updates[getattr(at, name)] = getattr(after, name)
    if new("messages"):
        updates[at.chat] = list(after.messages)
    if new("stage"):
        updates[at.stage] = gr.Video(_text(after.stage), visible=after.stage is not None)
    if new("annotated", "masks"):
        updates[at.annotated] = _download(after.annotated)
        updates[at.masks] = _download(after.masks)
    if new("source"):
        hint = "Ask about the video" if after.ready else "Choose a video first"
        updates[at.question] = gr.Textbox(interactive=after.ready, placeholder=hint)
        updates[at.chooser] = gr.Accordion(open=not after.ready, visible=True)
        updates[at.pointer] = gr.Accordion(visible=after.ready, open=False)
    if new("ready", "busy"):
        updates[at.send] = gr.Button(interactive=after.ready, visible=not after.busy)
        updates[at.stop] = gr.Button(visible=after.busy)
    if new("suggestions", "ready", "busy"):
        updates |= _suggestions(at, after)
    if new("attached", "busy"):
        updates[at.detach] = gr.Button(visible=bool(after.attached) and not after.busy)
    if new("num_frames", "frame"):
        updates[at.frame] = gr.Slider(value=after.frame, maximum=max(1, after.num_frames - 1))
    if new("still"):
        updates[at.still] = _text(after.still)
    if new("clicks", "busy"):
        clickable = after.clicks > 0 and not after.busy
        updates[at.track] = gr.Button(interactive=clickable)
        updates[at.clear] = gr.Button(interactive=clickable)
    return updates or {at.status: gr.skip()}  # Gradio takes an empty dict for a missing output


def _suggestions(at: Layout, after: View) -> Updates:
    updates: Updates = {}
    for index, button in enumerate(at.suggestions):
        there = index < len(after.suggestions) and after.ready
        text = after.suggestions[index] if there else ""
        updates[button] = gr.Button(text, visible=there, interactive=not after.busy)
    return updates


def _download(path: Path | None) -> gr.DownloadButton:
    return gr.DownloadButton(value=_text(path), visible=path is not None)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
