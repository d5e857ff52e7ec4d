"""The components of the page and where they stand. Knows no session and wires no event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import gradio as gr
from gradio.blocks import Block

from sparrow.limits import Limits
from sparrow.page.asking import MAX_QUESTION
from sparrow.page.chat import chat
from sparrow.page.downloads import downloads
from sparrow.page.examples import Example
from sparrow.page.header import card_html, help_html, title_html
from sparrow.page.inert import inert
from sparrow.page.models import Models, is_remote, needs_text
from sparrow.page.opening import limits_text
from sparrow.page.stage import stage
from sparrow.video import load_video

_PRIVACY = (
    "Your video and this conversation stay on the machine that runs this page{elsewhere}, in a folder of their "
    "own. They are deleted soon after you close the page, an hour after you last used them, or right now."
)


@dataclass(frozen=True)
class Layout:
    """The components that events read or change."""

    session_id: gr.Textbox
    """Hidden: the browser keeps it, so that a reload finds the session again."""
    kept_ids: gr.JSON
    """Hidden: the ids that the browser kept, of this tab and of the last one."""
    model: gr.Dropdown
    card: gr.HTML
    status: gr.HTML
    chooser: gr.Column
    upload: gr.File
    examples: gr.Gallery
    stage: gr.HTML
    about: gr.HTML
    another: gr.Button
    chat: gr.HTML
    question: gr.Textbox
    send: gr.Button
    stop: gr.Button
    downloads: gr.HTML
    delete: gr.Button

    def components(self) -> list[Block]:
        """Give every component, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]


def build_layout(
    card: Mapping[str, object], models: Models, examples: Sequence[Example], limits: Limits
) -> Layout:
    """Place the components; call it inside gr.Blocks."""
    session_id = gr.Textbox(visible=False)
    kept_ids = gr.JSON(visible=False)
    with gr.Row(elem_id="top"):
        gr.HTML(title_html(), elem_id="title", apply_default_css=False)
        model = _model_picker(models)
        gr.HTML(help_html(), elem_id="help", apply_default_css=False)
    about_model = gr.HTML(card_html(card), elem_id="card", apply_default_css=False)
    status = gr.HTML(
        '<div class="status work" role="status">Connecting …</div>',
        elem_id="status",
        apply_default_css=False,
    )
    with gr.Row(elem_id="columns"):
        with gr.Column(elem_id="picture", min_width=280):
            with gr.Row(elem_id="above"):
                about = gr.HTML(elem_id="about", apply_default_css=False)
                another = gr.Button(
                    "Another video", size="sm", scale=0, min_width=120, elem_id="another"
                )
            chooser, upload, gallery = _chooser(examples, limits)
            view = stage()
        with gr.Column(elem_id="talk", min_width=280):
            conversation = chat()
            question, send, stop = _composer()
        with gr.Column(elem_id="take", min_width=280):
            panel = downloads()
    with gr.Row(elem_id="privacy"):
        elsewhere = " and on the one that runs the model" if is_remote(models.default) else ""
        words = _PRIVACY.format(elsewhere=elsewhere)
        gr.HTML(f"<p>{inert(words)}</p>", apply_default_css=False)
        delete = gr.Button(
            "Delete my data now",
            size="sm",
            variant="stop",
            elem_id="delete",
            scale=0,
            min_width=170,
        )
    return Layout(
        session_id, kept_ids, model, about_model, status, chooser, upload, gallery, view, about,
        another, conversation, question, send, stop, panel, delete,
    )  # fmt: skip


def _model_picker(models: Models) -> gr.Dropdown:
    return gr.Dropdown(
        [(f"{name} · {needs_text(name)}", name) for name in models.allowed],
        value=models.default,
        label="Model; a folder or hub id may be typed" if models.typed else "Model",
        show_label=False,
        container=False,
        allow_custom_value=models.typed,
        filterable=models.typed,
        visible=len(models.allowed) > 1 or models.typed,
        scale=0,
        min_width=260,
        elem_id="model",
    )


def _chooser(examples: Sequence[Example], limits: Limits) -> tuple[gr.Column, gr.File, gr.Gallery]:
    # Shown once the page has its session.
    with gr.Column(visible=False, elem_id="chooser") as chooser:
        gr.HTML("<h2>Choose a video</h2>", apply_default_css=False)
        upload = gr.File(
            label="Your video, or a session that you saved",
            file_types=["video", ".sparrow"],
            height=150,
            elem_id="upload",
            buttons=[],
        )
        gr.HTML(
            f'<p class="limits">{inert(limits_text(limits))}</p><h2>… or try one of these</h2>',
            apply_default_css=False,
        )
        gallery = gr.Gallery(
            [(_poster(example), example.title) for example in examples],
            label="Example clips",
            show_label=False,
            columns=4,
            height="auto",
            object_fit="cover",
            allow_preview=False,
            interactive=False,
            buttons=[],
            elem_id="examples",
        )
    return chooser, upload, gallery


def _composer() -> tuple[gr.Textbox, gr.Button, gr.Button]:
    with gr.Row(elem_id="composer"):
        question = gr.Textbox(
            label="Your question",
            show_label=False,
            container=False,
            placeholder="Choose a video first",
            lines=1,
            max_lines=4,
            max_length=MAX_QUESTION,
            interactive=False,
            scale=5,
            min_width=150,
            elem_id="question",
        )
        send = gr.Button(
            "Ask", variant="primary", interactive=False, scale=1, min_width=80, elem_id="send"
        )
        stop = gr.Button(
            "Stop", variant="stop", visible=False, scale=1, min_width=80, elem_id="stop"
        )
    return question, send, stop


def _poster(example: Example) -> object:
    """Give the clip's middle frame, (H, W, 3) uint8 RGB."""
    video = load_video(example.path)
    return video.read([video.num_frames // 2])[0]
