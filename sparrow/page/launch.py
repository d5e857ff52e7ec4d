"""A model -> the page, served. The one place that knows Gradio's launch options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from sparrow.page.api import add_api
from sparrow.page.events import LANE, MAX_WORKING, Events
from sparrow.page.examples import Example, load_examples
from sparrow.page.layout import build_layout
from sparrow.page.opening import PAGE_LIMITS
from sparrow.page.session import Sessions, sweep_regularly
from sparrow.paths import ASSETS, home

if TYPE_CHECKING:
    from sparrow.pipeline import Sparrow

MAX_QUEUE = 2 * MAX_WORKING
"""Requests that Gradio queues; above what the page admits, so only programs that call the API meet it."""

_STATIC = Path(__file__).parent / "static"
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
_MONO_FONTS = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def build(sparrow: Sparrow, sessions: Sessions, examples: Sequence[Example]) -> gr.Blocks:
    """Build the page for a model; its visitors' files go to `sessions`."""
    # Uploads that no session ever took are swept from Gradio's cache as well.
    with gr.Blocks(
        title="Sparrow", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)
    ) as page:
        layout = build_layout(sparrow.card, examples, PAGE_LIMITS)
        Events(sparrow, sessions, layout, examples).wire(page)
        add_api(sparrow, sessions, LANE)
    return page.queue(max_size=MAX_QUEUE)


def serve(
    *,
    model: str | None = None,
    device: str | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    share: bool = False,
) -> None:
    """Load a model (None: SPARROW_MODEL, else sparrow-mini) and serve the page until interrupted.

    Raises:
        ModelError: the model cannot be loaded.
        OSError: the port is taken.
    """
    from sparrow.pipeline import Sparrow  # torch: only who serves pays for it

    sessions = Sessions(home() / "sessions")
    over = sweep_regularly(sessions)
    page = build(Sparrow.from_pretrained(model, device=device), sessions, load_examples())
    # Served where they lie: a visitor's files must not be copied to a cache that we do not delete.
    gr.set_static_paths([sessions.root, ASSETS / "examples"])
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=share,
            max_file_size=PAGE_LIMITS.max_bytes,
            allowed_paths=[str(sessions.root), str(ASSETS / "examples")],
            theme=_theme(),
            css_paths=[_STATIC / "page.css"],
            js=(_STATIC / "page.js").read_text(encoding="utf-8"),
            footer_links=["api", "settings"],
            run_history=False,
            ssr_mode=False,
        )
    finally:
        over.set()
        page.close()
        sessions.close()


def _theme() -> gr.themes.Base:
    """Give a quiet theme with the system's fonts: the page asks no other server for anything."""
    return gr.themes.Soft(
        primary_hue="sky", neutral_hue="slate", font=_FONTS, font_mono=_MONO_FONTS
    )
