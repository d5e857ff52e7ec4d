"""Calls of a RemoteBackend on another machine -> the Backend of this one.

A caller's video lies in a session of its own, which nobody else can name; what was said comes along with each call.
Knows no component that is seen.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import gradio as gr
from gradio.events import Dependency

from sparrow.backend import Backend
from sparrow.errors import SparrowError
from sparrow.ingest import open_video
from sparrow.limits import Limits
from sparrow.page.opening import PAGE_LIMITS, take_upload
from sparrow.page.visit import key_of
from sparrow.remote.events import BEGUN, RoomGoneError, Sender, pack_error
from sparrow.remote.requests import Request, unpack
from sparrow.sessions.record import GONE, SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.types import MaskTrack, Referent, StreamEvent, TracksSoFar, colour_of
from sparrow.video import Video

logger = logging.getLogger(__name__)

MAX_CALLS = 32
"""At a time; of those the backend lets in some."""

_BROKEN = "something broke on the machine that runs the model, and is written in its log; try again"


class Serving:
    """Does what other machines ask for."""

    def __init__(
        self, backend: Callable[[], Backend], sessions: Sessions, limits: Limits = PAGE_LIMITS
    ) -> None:
        self._backend = backend
        self._sessions = sessions
        self._limits = limits
        self._stops: dict[tuple[str, str], threading.Event] = {}

    def wire(self) -> None:
        """Add the endpoints; call it inside the page's context."""
        name = gr.Textbox(visible=False)
        call, request, reply = (gr.Textbox(visible=False) for _ in range(3))
        video = gr.File(visible=False)

        def add(
            handler: Callable[..., object],
            inputs: list[gr.components.Component],
            api_name: str,
            *,
            queue: bool = True,
        ) -> Dependency:
            return gr.Button(visible=False).click(
                handler,
                inputs,
                reply,
                api_name=api_name,
                api_visibility="undocumented",
                queue=queue,
                concurrency_limit=MAX_CALLS,
            )

        add(self.describe, [], "remote_card", queue=False)
        add(self.open, [video], "remote_open")
        add(self.run, [name, call, request], "remote_run")
        add(self.stop, [name, call], "remote_stop", queue=False)
        add(self.close, [name], "remote_close", queue=False)

    def describe(self) -> str:
        """Say what the model is."""
        return json.dumps(dict(self._backend().card))

    def open(self, upload: str) -> str:
        """Take a video, and name the session that it lies in from now on."""
        session = self._sessions.open()
        try:
            with session.lock:
                taken = take_upload(session, Path(upload))
                folder = session.new_path("video").parent
                session.video = open_video(taken, workdir=folder, limits=self._limits)
                session.discard(taken)
                session.save()
        except SparrowError as error:
            self._sessions.delete(session.id)
            return json.dumps(pack_error(error))
        height, width = session.video.size_hw
        frames, fps = session.video.num_frames, session.video.fps
        return json.dumps(
            {"room": session.id, "frames": frames, "height": height, "width": width, "fps": fps}
        )

    def run(self, room: str, call: str, request: str) -> Iterator[str]:
        """Do what a request asks for; yields events, the last may be an error."""
        stop, session = threading.Event(), None
        try:
            session = self._room(room)
            video = _video(session)
            asked = _read(request, video)
            self._stops[room, call] = stop
            if asked.stopped:
                stop.set()
            session.working = True  # so that it is not swept
            yield json.dumps(BEGUN)
            sender = Sender({} if asked.kind == "preview" else asked.history.tracks)
            for event in _events(self._backend(), session, video, asked, stop):
                yield json.dumps(sender.pack(event), allow_nan=False)
        except SparrowError as error:
            yield json.dumps(pack_error(error))
        except Exception:  # a defect of ours
            logger.exception("a call of another machine broke")
            yield json.dumps(pack_error(SparrowError(_BROKEN)))
        finally:
            self._stops.pop((room, call), None)
            if session is not None:
                session.working = any(other == room for other, _ in self._stops)

    def _room(self, room: str) -> Session:
        try:
            return self._sessions.get(room)
        except SessionError as error:
            raise RoomGoneError(str(error)) from error

    def stop(self, room: str, call: str) -> str:
        """Stop a call within a word or a frame; it ends by itself. One that is over is no error."""
        stop = self._stops.get((room, call))
        if stop is not None:
            stop.set()
        return "{}"

    def close(self, room: str) -> str:
        """Delete a video, and what is remembered of its conversation."""
        for (other, _), stop in list(self._stops.items()):
            if other == room:
                stop.set()
        self._backend().forget(key_of(room))
        try:
            self._sessions.delete(room)
        except SessionError as error:
            logger.warning("could not delete a session: %s", error)
        return "{}"


def _read(request: str, video: Video) -> Request:
    try:
        return unpack(request, video)
    except ValueError as error:  # of another version, or of no RemoteBackend's making
        raise SessionError(f"call: cannot be read ({error})") from error


def _events(
    backend: Backend, session: Session, video: Video, asked: Request, stop: threading.Event
) -> Iterator[StreamEvent]:
    key, tracks = key_of(session.id), asked.history.tracks
    if asked.kind == "ask":
        yield from backend.ask(
            key, video, asked.history, asked.question, asked.prompts, cancel=stop
        )
    elif asked.kind == "track":
        yield from backend.track(
            video,
            asked.prompts,
            before=tracks,
            span=asked.span,
            adapt_seconds=asked.adapt_seconds,
            cancel=stop,
            key=key,
        )
    else:
        yield _preview(backend, video, asked, tracks, key)


def _preview(
    backend: Backend, video: Video, asked: Request, tracks: Mapping[int, MaskTrack], key: str
) -> TracksSoFar:
    ids = {prompt.referent_id for prompt in asked.prompts}
    before = tracks.get(next(iter(ids))) if len(ids) == 1 else None
    found = backend.preview(video, asked.prompts, before, key=key)
    i = found.referent_id
    return TracksSoFar((Referent(i, f"object {i}", None, colour_of(i)),), (found,))


def _video(session: Session) -> Video:
    if session.video is None:
        raise SessionError(GONE)
    return session.video
