"""The downloads as a component: a button per format; a file is made when asked for, then the browser fetches it.

Its value is the JSON of `downloads_value`; back comes the event `make` {format}. Knows no session.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from sparrow.page.exporting import OFFERS
from sparrow.page.stage import file_url
from sparrow.page.visit import Ready

_FOLDER = Path(__file__).parent / "static" / "downloads"


def downloads() -> gr.HTML:
    """Build the component, empty; call it inside gr.Blocks."""
    return gr.HTML(
        downloads_value(),
        html_template=(_FOLDER / "downloads.html").read_text(encoding="utf-8"),
        js_on_load=(_FOLDER / "downloads.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="downloads",
    )


def downloads_value(
    *,
    ready: bool = False,
    found: bool = False,
    busy: bool = False,
    file: Ready | None = None,
    blurs: bool = False,
    may_show: Sequence[dict[str, object]] = (),
) -> dict[str, object]:
    """Describe the panel as JSON.

    Args:
        ready: there is a video.
        found: there is an object in it.
        busy: work goes on; nothing can be made.
        file: what the browser is to download, once for each nonce.
        blurs: the look hides the things; the panel says how far that can be relied on.
        may_show: where it may fail, see `blurring.may_show`.
    """
    return {
        "offers": [
            {
                "id": offer.key,
                "group": offer.group,
                "label": offer.title,
                "hint": offer.purpose,
                "enabled": ready and not busy and (found or not offer.needs_objects),
            }
            for offer in OFFERS
        ],
        "ready": ready,
        "found": found,
        "blurs": blurs and found,
        "may_show": list(may_show),
        "file": None
        if file is None
        else {"url": file_url(file.path), "name": file.path.name, "nonce": file.nonce},
    }
