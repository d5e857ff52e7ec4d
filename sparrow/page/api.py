"""What programs and agents can call, over Gradio's API or MCP: ask about a video, track a thing in it, export files.

The first call brings a video; each answers with the key of a conversation, with which later calls go on. Everything
else on the page is private. Knows no component that is seen.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
from gradio import processing_utils

from sparrow.errors import PromptError, SparrowError
from sparrow.export.formats import export
from sparrow.looks import MODES, Mode
from sparrow.page import asking, correcting, exporting, opening
from sparrow.page.models import Models
from sparrow.page.running import MAX_WORKING
from sparrow.page.visit import Draft, Visit
from sparrow.sessions.record import SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.types import Prompt, PromptKind

Thing = dict[str, object]
"""What is told of a referent: id, name, colour, phrase's place in the answer, when it is to be seen."""

_BUSY = "This conversation is busy with another request; wait for its end."
_FULL = "Sparrow is busy: too many are waiting just now. Please try again in a minute."
_MOST_POINTS = 64


class Api:
    """The public endpoints."""

    def __init__(self, models: Models, sessions: Sessions) -> None:
        self._models = models
        self._sessions = sessions

    def wire(self) -> None:
        """Add the endpoints; call it inside the page's context."""

        # A value that a component begins with is what a program need not give.
        def words(label: str, value: str | None = "") -> gr.Textbox:
            return gr.Textbox(value, visible=False, label=label)

        def number(label: str) -> gr.Number:
            return gr.Number(0, visible=False, label=label, precision=0)

        video = gr.File(visible=False, label="video")
        key, answer = words("conversation"), words("answer", None)
        things = gr.JSON(visible=False, label="things")
        masks, made = (gr.File(visible=False, label=label) for label in ("masks", "file"))
        marks = [words(label) for label in ("box", "points", "not_points")]
        pointing = [video, number("frame"), *marks, number("thing"), key]
        asking_for = [video, words("question", None), key]
        kind = [words("conversation", None), words("format", "mp4"), words("look")]
        for name, handler, inputs, outputs in (
            ("ask_video", self.ask_video, asking_for, [answer, things, masks, key]),
            ("track", self.track, pointing, [things, masks, key]),
            ("export", self.export, kind, [made]),
        ):
            # Outside Gradio's queue: only there do MCP's tools give each output on its own.
            gr.Button(visible=False).click(handler, inputs, outputs, api_name=name, queue=False)

    def ask_video(
        self, video: str | None = None, question: str = "", conversation: str = ""
    ) -> tuple[str, list[Thing], str | None, str]:
        """Answer a question about a video, and find in every frame what the answer names.

        Args:
            video: The video file; needed in the first call, left out in later ones.
            question: The question, in English, e.g. "Where is the dog?" or "How many cups are there?".
            conversation: Empty for a new conversation; else what an earlier call gave, to go on with it.

        Returns:
            The answer; the things that it names, each with an id, the seconds and the
            number of frames in which it is seen; their masks as JSON (YouTube-VIS layout with COCO RLE), nothing
            where nothing is named; and the key of the conversation.
        """
        with self._opened(video, conversation) as (session, visit):
            backend = self._models.get(session.model)
            exchange = asking.begin_question(session, visit, question)
            for _ in asking.answer_question(backend, session, visit, exchange):
                pass
            found = exchange.answer
            if found is None:
                raise SessionError("There is no answer; ask again.")
            said = {referent.id: referent for referent in found.referents}
            told = [_told(session, i, referent.span) for i, referent in said.items()]
            return found.text, told, _masks(session, list(said)), session.id

    def track(
        self,
        video: str | None = None,
        frame: int = 0,
        box: str = "",
        points: str = "",
        not_points: str = "",
        thing: int = 0,
        conversation: str = "",
    ) -> tuple[list[Thing], str | None, str]:
        """Follow one thing that is pointed at through the whole video, or correct a thing that is known.

        Args:
            video: The video file; needed in the first call, left out in later ones.
            frame: The frame that is pointed at, counted from 0.
            box: A box around the thing in that frame, "x0,y0,x1,y1" in pixels; or empty.
            points: Points on the thing, "x,y x,y ..." in pixels; or empty.
            not_points: Points beside it, to take away what does not belong to it; or empty.
            thing: The id of a thing to correct; 0 for a new one.
            conversation: Empty for a new conversation; else what an earlier call gave, to go on with it.

        Returns:
            The thing, with its id, the seconds and the number of frames in which it is seen; its masks as JSON
            (YouTube-VIS layout with COCO RLE); and the key of the conversation.
        """
        with self._opened(video, conversation) as (session, visit):
            i = int(thing or session.history.next_id)
            if thing and i not in session.history.tracks:
                raise SessionError(f"There is no thing {i} in this conversation.")
            pointed = (
                *_prompts(i, int(frame), "box", box),
                *_prompts(i, int(frame), "point+", points),
                *_prompts(i, int(frame), "point-", not_points),
            )
            if not pointed:
                raise PromptError("track: expected a box or points, got neither")
            visit.draft = Draft(pointed)
            backend = self._models.get(session.model)
            for _ in correcting.apply(backend, session, visit):
                pass
            return [_told(session, i)], _masks(session, [i]), session.id

    def export(self, conversation: str, format: str = "mp4", look: str = "") -> str:
        """Make a file of everything found in a conversation so far.

        Args:
            conversation: What ask_video or track gave.
            format: mp4, gif, png, coco, youtube-vos, youtube-vis, mot, webm, mov, rgba, all, transcript, session
                or session-only.
            look: How things are marked in a video: mask, outline, box, spotlight, blur-rest, blur-object or
                cut-out; empty for what the conversation has.

        Returns:
            The file; it is deleted an hour after the conversation was last used.
        """
        with self._opened(None, conversation) as (session, visit):
            offer = exporting.offer_of(format, session)
            if look:
                session.look = replace(session.look, mode=_mode(look))
            for _ in exporting.make(session, visit, offer):
                pass
            if visit.download is None:
                raise SessionError("The file was not made; try again.")
            return str(visit.download.path)

    @contextmanager
    def _opened(self, video: str | None, conversation: str) -> Iterator[tuple[Session, Visit]]:
        """Have a session to oneself, new or known, with its video; errors become Gradio's."""
        session, visit, key = None, Visit(), conversation.strip()
        try:
            session = self._taken(key)
            if video is not None:
                path = Path(video)
                taken = opening.take_upload(session, path)
                for _ in opening.open_upload(session, visit, taken, path.name):
                    pass
            if session.video is None:
                raise SessionError("Give a video in the first call, or the key of a conversation.")
            yield session, visit
        except SparrowError as error:
            raise gr.Error(html.escape(str(error)), title=type(error).__name__) from error
        finally:
            if session is not None:
                session.working = False
                session.lock.release()
                if session.video is None and not key:
                    self._sessions.delete(session.id)

    def _taken(self, key: str) -> Session:
        """Find or open a session, and take its lock."""
        if self._sessions.working() >= MAX_WORKING:
            raise SessionError(_FULL)
        session = self._sessions.get(key) if key else self._sessions.open()
        if session.pending is not None or not session.lock.acquire(blocking=False):
            raise SessionError(_BUSY)
        session.working = True
        session.stop.clear()
        return session


async def _refused(url: str, cache_dir: str) -> str:
    """Take the place of Gradio's own function, which fetches any link that a request holds instead of a file."""
    raise gr.Error(f"Links are not fetched, got {html.escape(url[:80])}: upload the file.")


def refuse_links() -> None:
    """Let Gradio fetch nothing from other servers, whatever a request asks for."""
    processing_utils.async_ssrf_protected_download = _refused


def _prompts(i: int, frame: int, kind: PromptKind, words: str) -> list[Prompt]:
    """Read points or boxes, "x,y x,y ..." in pixels."""
    found, size = [], 4 if kind == "box" else 2
    for word in words.replace(";", " ").split()[: _MOST_POINTS + 1]:
        try:
            numbers = np.array([float(number) for number in word.split(",")], dtype=np.float32)
        except ValueError as error:
            raise PromptError(f"{kind}: expected numbers like 12,34, got {word[:40]!r}") from error
        if numbers.shape != (size,):
            raise PromptError(f"{kind}: expected {size} numbers, got {word[:40]!r}")
        found.append(Prompt(i, frame, kind, numbers))
    if len(found) > _MOST_POINTS:
        raise PromptError(f"{kind}: expected at most {_MOST_POINTS}, got more")
    return found


def _mode(name: str) -> Mode:
    for mode in MODES:
        if mode == name.strip():
            return mode
    raise PromptError(f"look: expected one of {', '.join(MODES)}, got {name[:40]!r}")


def _told(session: Session, referent_id: int, span: tuple[int, int] | None = None) -> Thing:
    """Describe a thing for whoever cannot see it."""
    referent = next(r for r in session.referents() if r.id == referent_id)
    told: Thing = {"id": referent.id, "name": referent.phrase, "colour": referent.colour}
    if span is not None:
        told["words"] = list(span)
    track, video = session.history.tracks.get(referent_id), session.video
    if track is None or video is None:
        return told
    frames = np.flatnonzero(track.visible())
    told |= {"frames": int(frames.size), "complete": track.complete}
    if frames.size:
        told |= {
            "first_second": round(float(video.timestamps[frames[0]]), 3),
            "last_second": round(float(video.timestamps[frames[-1]]), 3),
            "confidence": round(float(track.scores[frames].mean()), 3),
        }
    return told


def _masks(session: Session, ids: Sequence[int]) -> str | None:
    """Write the masks of these things; nothing where none has a track."""
    tracks = [session.history.tracks[i] for i in ids if i in session.history.tracks]
    if not tracks or session.video is None:
        return None
    folder = session.new_path("masks.json").parent
    return str(export("youtube-vis", folder, session.video, tracks, session.referents()))
