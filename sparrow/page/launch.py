"""Models -> the page, served. The one place that knows Gradio's launch options."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import gradio as gr

from sparrow.backend import Backend
from sparrow.errors import SparrowError
from sparrow.lane import Lane
from sparrow.page.api import Api, refuse_links
from sparrow.page.events import Events
from sparrow.page.examples import Example, load_examples
from sparrow.page.layout import build_layout
from sparrow.page.models import MINI, Models
from sparrow.page.opening import PAGE_LIMITS
from sparrow.page.running import MAX_WORKING, Runner
from sparrow.page.serving import Serving
from sparrow.page.visit import key_of
from sparrow.paths import ASSETS, home
from sparrow.remote_backend import RemoteBackend
from sparrow.sessions.sessions import Sessions, sweep_regularly

MAX_QUEUE = 8 * MAX_WORKING
"""Requests that Gradio queues; above what the page admits, so only programs that call the API meet it."""

MAX_THREADS = 128
"""For Gradio's listeners; each page that watches work holds one."""

_LOCAL = ("127.0.0.1", "localhost", "::1")
_STATIC = Path(__file__).parent / "static"
_STYLES = ("page.css", "header.css", "chat/chat.css", "downloads/downloads.css")
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
_MONO_FONTS = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def build(models: Models, sessions: Sessions, examples: Sequence[Example]) -> gr.Blocks:
    """Build the page for these models, of which the default is loaded; its visitors' files go to `sessions`."""
    # Uploads that no session ever took are swept from Gradio's cache as well.
    with gr.Blocks(
        title="Sparrow", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)
    ) as page:
        card = models.get(models.default).card
        layout = build_layout(card, models, examples, PAGE_LIMITS)
        Events(Runner(sessions, models, layout), layout, examples).wire(page)
        Api(models, sessions).wire()
        Serving(lambda: models.get(models.default), sessions).wire()
    return page.queue(max_size=MAX_QUEUE)


def serve(
    *,
    models: Sequence[str] = (),
    device: str | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    share: bool = False,
    mcp: bool = False,
) -> None:
    """Load the first model and serve the page until interrupted.

    Args:
        models: folders or hub ids that visitors may choose among, sparrow-mini besides; the first is the
            default. None named: SPARROW_MODEL. Where SPARROW_BACKEND is the address of another Sparrow, that
            one's model answers, and no other.
        device: cpu, cuda or mps; None takes the best there is.
        host: the address to listen on. On this machine alone, visitors may name any other model.
        port: to listen on.
        share: also through Gradio's tunnel.
        mcp: also as an MCP server, which lends the public endpoints to agents as tools.

    Raises:
        ModelError: the first model cannot be loaded.
        SparrowError: what an MCP server needs is not installed.
        OSError: the port is taken.
    """
    if mcp and find_spec("mcp") is None:
        raise SparrowError(
            'MCP: expected the package mcp, it is missing; pip install "gradio[mcp]"'
        )
    refuse_links()
    remote = os.environ.get("SPARROW_BACKEND")
    named = list(models) or [os.environ.get("SPARROW_MODEL") or MINI]
    offered = (
        Models([remote], _reach)
        if remote
        else Models([*named, MINI], _loader(device), typed=host in _LOCAL and not share)
    )
    sessions = Sessions(home() / "sessions", gone=lambda i: offered.forget(key_of(i)))
    over = sweep_regularly(sessions)
    page = build(offered, sessions, load_examples())
    # Served where they lie: a visitor's files must not be copied to a cache that we do not delete.
    gr.set_static_paths([sessions.root, ASSETS / "examples"])
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=share,
            max_threads=MAX_THREADS,
            max_file_size=PAGE_LIMITS.max_bytes,
            allowed_paths=[str(sessions.root), str(ASSETS / "examples")],
            theme=_theme(),
            css_paths=[_STATIC / name for name in _STYLES],
            js=(_STATIC / "page.js").read_text(encoding="utf-8"),
            footer_links=["api", "settings"],
            run_history=False,
            mcp_server=mcp,
            ssr_mode=False,
        )
    finally:
        over.set()
        page.close()
        sessions.close()


def _reach(address: str) -> Backend:
    """Use the model that another machine runs."""
    return RemoteBackend(address)


def _loader(device: str | None) -> Callable[[str], Backend]:
    """Say how a model is loaded by its name; all share the one accelerator."""
    lane = Lane()

    def load(name: str) -> Backend:
        # torch: only who serves pays for it.
        from sparrow.local_backend import LocalBackend
        from sparrow.pipeline import Sparrow

        path = ASSETS / MINI if name == MINI else name
        return LocalBackend(Sparrow.from_pretrained(path, device=device), lane=lane)

    return load


def _theme() -> gr.themes.Base:
    """Give a quiet theme with the system's fonts: the page asks no other server for anything."""
    theme = gr.themes.Soft(
        primary_hue="sky",
        secondary_hue="sky",
        neutral_hue="slate",
        font=_FONTS,
        font_mono=_MONO_FONTS,
    )
    # As the theme has them, these are too pale to read (WCAG AA).
    return theme.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        link_text_color="*secondary_700",
        link_text_color_dark="*secondary_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
    )
