"""The page's one public endpoint: a video and a question -> the answer and its files, without a session to keep."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from sparrow.errors import SparrowError
from sparrow.page import asking, opening
from sparrow.page.session import Session, Sessions

if TYPE_CHECKING:
    from sparrow.pipeline import Sparrow


def add_api(sparrow: Sparrow, sessions: Sessions, lane: str) -> None:
    """Add the endpoint /ask_video; call it inside the page's context."""

    def ask_video(video: str, question: str) -> tuple[str, str | None, str | None]:
        """Answer a question about a video and mark what the answer names in every frame.

        Args:
            video: The video file.
            question: The question, in English.

        Returns:
            The answer, the annotated MP4 and the masks as JSON (YouTube-VIS layout with COCO RLE); the two
            files are missing when the answer names nothing to show. They are deleted after an hour.
        """
        session = sessions.open()
        try:
            return _answer(sparrow, session, Path(video), question)
        except SparrowError as error:
            sessions.delete(session.id)
            raise gr.Error(html.escape(str(error))) from error

    video = gr.File(visible=False, label="video")
    question = gr.Textbox(visible=False, label="question")
    outputs = [
        gr.Textbox(visible=False, label="answer"),
        gr.File(visible=False, label="annotated video"),
        gr.File(visible=False, label="masks"),
    ]
    gr.Button(visible=False).click(
        ask_video,
        [video, question],
        outputs,
        api_name="ask_video",
        concurrency_id=lane,
        concurrency_limit=1,
    )


def _answer(
    sparrow: Sparrow, session: Session, upload: Path, question: str
) -> tuple[str, str | None, str | None]:
    with session.lock:
        taken = opening.take_upload(session, upload)
        for _ in opening.open_upload(sparrow, session, taken, upload.name):
            pass
        exchange = asking.begin_question(session, question)
        for _ in asking.answer_question(session, exchange):
            pass
    results = session.results
    if results is None:
        return exchange.text, None, None
    return exchange.text, str(results.annotated), str(results.masks)
