"""The components of the page and where they stand. Knows no session and wires no event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import gradio as gr
from gradio.blocks import Block

from sparrow.limits import Limits
from sparrow.page.examples import Example
from sparrow.page.header import header_html, nouns_html
from sparrow.page.opening import limits_text
from sparrow.page.transcript import inert
from sparrow.video import load_video

MAX_SUGGESTIONS = 5

_EMPTY_CHAT = (
    "**Ask about the video.** Things named in an answer get the colour of their mask in the video."
)
_PRIVACY = (
    "Your video is stored only on the machine that runs this page, in a folder of your own. It is deleted "
    "when you close or reload the page, an hour after you last used it, or right now:"
)


@dataclass(frozen=True)
class Layout:
    """The components that events read or change."""

    session_id: gr.State
    status: gr.HTML
    chooser: gr.Accordion
    upload: gr.File
    examples: gr.Gallery
    stage: gr.Video
    about: gr.HTML
    objects: gr.HTML
    annotated: gr.DownloadButton
    masks: gr.DownloadButton
    pointer: gr.Accordion
    moment: gr.Button
    seconds: gr.Number
    """Hidden: where the player is, filled in by the browser."""
    frame: gr.Slider
    still: gr.Image
    track: gr.Button
    clear: gr.Button
    chat: gr.Chatbot
    suggestions: tuple[gr.Button, ...]
    attached: gr.HTML
    detach: gr.Button
    question: gr.Textbox
    send: gr.Button
    stop: gr.Button
    delete: gr.Button

    def components(self) -> list[Block]:
        """Give every component, in the order of the fields."""
        values = [getattr(self, field.name) for field in fields(self)]
        return [c for value in values for c in (value if isinstance(value, tuple) else (value,))]


def build_layout(card: Mapping[str, object], examples: Sequence[Example], limits: Limits) -> Layout:
    """Place the components; call it inside gr.Blocks."""
    session_id = gr.State()
    gr.HTML(header_html(card), elem_id="header")
    limited = bool(card["nouns"])  # a full checkpoint is not bound to a list of words
    with gr.Accordion("What it can talk about", open=False, elem_id="nouns", visible=limited):
        gr.HTML(nouns_html(card))
    status = gr.HTML('<div class="status work" role="status">Connecting …</div>', elem_id="status")
    with gr.Row(elem_id="columns"):
        with gr.Column(scale=3, min_width=320):
            chooser, upload, gallery = _chooser(examples, limits)
            stage = gr.Video(
                label="Video",
                show_label=False,
                elem_id="stage",
                interactive=False,
                autoplay=True,
                loop=True,
                buttons=[],
                visible=False,
            )
            about = gr.HTML(elem_id="about")
            objects = gr.HTML(elem_id="objects")
            with gr.Row(elem_id="downloads"):
                annotated = gr.DownloadButton(
                    "Annotated video (MP4)", elem_id="get-annotated", visible=False
                )
                masks = gr.DownloadButton("Masks (JSON)", elem_id="get-masks", visible=False)
            pointer, moment, seconds, frame, still, track, clear = _pointer()
        with gr.Column(scale=2, min_width=320):
            chat, suggestions, attached, detach, question, send, stop = _conversation()
    with gr.Row(elem_id="privacy"):
        gr.HTML(f"<p>{_PRIVACY}</p>")
        delete = gr.Button("Delete my data", size="sm", variant="stop", elem_id="delete", scale=0)
    return Layout(
        session_id, status, chooser, upload, gallery, stage, about, objects, annotated, masks, pointer,
        moment, seconds, frame, still, track, clear, chat, suggestions, attached, detach, question, send, stop,
        delete,
    )  # fmt: skip


def _chooser(
    examples: Sequence[Example], limits: Limits
) -> tuple[gr.Accordion, gr.File, gr.Gallery]:
    # Shown once the page has its session.
    with gr.Accordion("Choose a video", visible=False, elem_id="chooser") as chooser:
        upload = gr.File(
            label="Your video", file_types=["video"], height=130, elem_id="upload", buttons=[]
        )
        gr.HTML(f'<p class="limits">{inert(limits_text(limits))}</p>')
        gr.HTML("<p>… or try one of these:</p>")
        gallery = gr.Gallery(
            [(_poster(example), example.title) for example in examples],
            label="Example clips",
            show_label=False,
            columns=5,
            height="auto",
            object_fit="cover",
            allow_preview=False,
            interactive=False,
            buttons=[],
            elem_id="examples",
        )
    return chooser, upload, gallery


def _pointer() -> tuple[
    gr.Accordion, gr.Button, gr.Number, gr.Slider, gr.Image, gr.Button, gr.Button
]:
    with gr.Accordion(
        "Point at something", open=False, visible=False, elem_id="pointer"
    ) as pointer:
        gr.HTML(
            "<p>Pause the video where the thing is well seen. Then click on the thing, or on two "
            "opposite corners around it. This works on any video.</p>"
        )
        with gr.Row():
            moment = gr.Button("Take the moment shown in the player", size="sm", elem_id="moment")
            seconds = gr.Number(visible=False)
        frame = gr.Slider(0, 1, value=0, step=1, label="Frame", elem_id="frame")
        still = gr.Image(
            label="Frame to click on",
            show_label=False,
            interactive=False,
            buttons=[],
            elem_id="still",
            type="filepath",
        )
        with gr.Row():
            track = gr.Button("Track this", variant="primary", interactive=False, elem_id="track")
            clear = gr.Button("Clear clicks", interactive=False, elem_id="clear")
    return pointer, moment, seconds, frame, still, track, clear


def _conversation() -> tuple[
    gr.Chatbot, tuple[gr.Button, ...], gr.HTML, gr.Button, gr.Textbox, gr.Button, gr.Button
]:
    chat = gr.Chatbot(
        label="Conversation",
        show_label=False,
        elem_id="chat",
        height=440,
        buttons=[],
        feedback_options=None,
        latex_delimiters=[],
        layout="bubble",
        placeholder=_EMPTY_CHAT,
    )
    with gr.Row(elem_id="suggestions"):
        suggestions = tuple(
            gr.Button(size="sm", visible=False, elem_id=f"suggestion-{i}", min_width=120)
            for i in range(MAX_SUGGESTIONS)
        )
    with gr.Row(elem_id="attachment"):
        attached = gr.HTML(elem_id="attached")
        detach = gr.Button("Leave it out", size="sm", visible=False, scale=0, elem_id="detach")
    with gr.Row(elem_id="composer"):
        question = gr.Textbox(
            label="Your question",
            show_label=False,
            placeholder="Choose a video first",
            lines=1,
            max_lines=4,
            max_length=400,
            interactive=False,
            scale=5,
            min_width=160,
            elem_id="question",
        )
        send = gr.Button(
            "Ask", variant="primary", interactive=False, scale=1, min_width=80, elem_id="send"
        )
        stop = gr.Button(
            "Stop", variant="stop", visible=False, scale=1, min_width=80, elem_id="stop"
        )
    return chat, suggestions, attached, detach, question, send, stop


def _poster(example: Example) -> object:
    """Give the clip's middle frame, (H, W, 3) uint8 RGB."""
    video = load_video(example.path)
    return video.read([video.num_frames // 2])[0]
