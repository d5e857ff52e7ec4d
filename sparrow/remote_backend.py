"""A Backend whose model runs on another machine: the same calls, over the named endpoints of the Sparrow served there.

A video is sent once and lies there in a session that only this one can name; what was said goes along with each
call, so that the other machine may be started anew at any time.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from gradio_client import Client, handle_file
from gradio_client.client import Job

from sparrow.errors import BackendError, SparrowError
from sparrow.prompts import check_prompts
from sparrow.remote.events import BEGUN, Receiver, RoomGoneError
from sparrow.remote.requests import Request, pack
from sparrow.sessions import checked
from sparrow.sessions.documents import VideoFacts
from sparrow.types import (
    GroundedAnswer,
    History,
    MaskTrack,
    Progress,
    Prompt,
    StreamEvent,
    TracksSoFar,
)
from sparrow.video import Video

logger = logging.getLogger(__name__)

_MAX_ROOMS = 256
_CALLS = 64
"""At a time."""
_PATIENCE = 60.0
"""Seconds without a sign of life; one comes every quarter of it."""
_LOOK = 0.01
"""Seconds between looks at whether something came."""


class _Connection(Client):
    """A client that tells nobody else."""

    def _telemetry_thread(self) -> None:
        """Send nothing: gradio_client would, whatever `analytics_enabled` says."""


@dataclass(eq=False)
class _Room:
    """Where a video lies on the other machine."""

    name: str = ""
    """Empty until it was sent."""
    keys: set[str] = field(default_factory=set)
    """Of the conversations about it."""
    sending: threading.Lock = field(default_factory=threading.Lock)


class RemoteBackend:
    """Calls the Sparrow at an address; see `sparrow.backend.Backend`. Make one for all: it sends a video once."""

    def __init__(self, address: str, *, token: str | None = None) -> None:
        """Connect.

        Args:
            address: of its page, e.g. "https://gpu.example.org/" or "http://192.168.0.7:7860".
            token: of a Hugging Face user, for a private Space; none that lies on this machine is sent unasked.

        Raises:
            BackendError: nobody answers there, or it is no Sparrow that serves its model.
        """
        self._address = address if "://" in address else f"http://{address}"
        self._token = token
        self._lock = threading.Lock()
        self._client: _Connection | None = None
        self._rooms: OrderedDict[str, _Room] = (
            OrderedDict()
        )  # by path; the one used last is the last
        card = self._reply(self._call("/remote_card"))
        self._card = dict(card)

    @property
    def card(self) -> Mapping[str, Any]:
        """What the model is and can talk about."""
        return self._card

    def ask(
        self,
        key: str,
        video: Video,
        history: History,
        question: str,
        prompts: Sequence[Prompt] = (),
        *,
        cancel: threading.Event | None = None,
    ) -> Generator[StreamEvent, None, None]:
        """Answer a question word by word, then track what the answer names; see `Backend.ask`."""
        request = Request("ask", history, question, tuple(prompts))
        yield from self._stream(request, video, key, cancel)

    def track(
        self,
        video: Video,
        prompts: Sequence[Prompt],
        *,
        before: Mapping[int, MaskTrack] | None = None,
        span: tuple[int, int] | None = None,
        adapt_seconds: float = 0.0,
        cancel: threading.Event | None = None,
        key: str = "",
    ) -> Generator[Progress | TracksSoFar, None, None]:
        """Track what points, boxes or masks point at, or correct tracks; see `Backend.track`."""
        request = Request.of_prompts(
            "track", prompts, before, span=span, adapt_seconds=adapt_seconds
        )
        for event in self._stream(request, video, key, cancel):
            assert isinstance(event, Progress | TracksSoFar)
            yield event

    def preview(
        self,
        video: Video,
        prompts: Sequence[Prompt],
        before: MaskTrack | None = None,
        *,
        key: str = "",
    ) -> MaskTrack:
        """Draw the mask of one referent on one frame; see `Backend.preview`."""
        tracks = None if before is None else {before.referent_id: before}
        request = Request.of_prompts("preview", prompts, tracks)
        *_, last = self._stream(request, video, key, None)
        assert isinstance(last, TracksSoFar)
        return last.tracks[0]

    def forget(self, key: str) -> None:
        """Have the videos deleted there that only this conversation was about, without waiting for it."""
        with self._lock:
            mine = [(path, room) for path, room in self._rooms.items() if key in room.keys]
            for path, room in mine:
                room.keys.discard(key)
                if not room.keys:
                    del self._rooms[path]
        for _, room in mine:
            if not room.keys:
                self._leave(room)

    def _stream(
        self, request: Request, video: Video, key: str, cancel: threading.Event | None
    ) -> Generator[StreamEvent, None, None]:
        """Have a request done; once more, if the other machine was started anew since the last one."""
        check_prompts(video, request.prompts, request.span)
        stopped = cancel is not None and cancel.is_set()
        packed = pack(replace(request, stopped=stopped), video)
        known = {} if request.kind == "preview" else request.history.tracks
        for last_try in (False, True):
            receiver, begun = Receiver(known, video), False
            try:
                room = self._room(video, key)
                for event in self._events(room, packed, receiver, cancel):
                    begun = True
                    yield event
                return
            except RoomGoneError:
                with self._lock:
                    self._rooms.pop(str(video.path), None)
                if begun or last_try:
                    raise

    def _events(
        self, room: _Room, packed: str, receiver: Receiver, cancel: threading.Event | None
    ) -> Generator[StreamEvent, None, None]:
        """Yield the events of one call; stops it when told to, or when nobody listens any more."""
        call, told, over = secrets.token_hex(8), False, False
        last: StreamEvent | None = None
        job = self._submit("/remote_run", room.name, call, packed)
        try:
            seen = 0
            while True:
                ended = job.done()
                fresh = job.outputs()[seen:]
                seen += len(fresh)
                for output in fresh:
                    value = checked.parse(output, "event")
                    if value != BEGUN:
                        last = receiver.unpack(value)
                        yield last
                if ended:
                    break
                if seen and cancel is not None and cancel.is_set() and not told:
                    told = True
                    self._call("/remote_stop", room.name, call)
                time.sleep(_LOOK)
            job.result()
            over = True
            if not isinstance(last, GroundedAnswer | TracksSoFar):
                raise ValueError("an answer without an end")
        except SparrowError:
            over = True
            raise
        except (ValueError, OSError, httpx.HTTPError, CancelledError) as error:
            raise self._broken(error) from error
        finally:
            if not over:
                self._call_quietly("/remote_stop", room.name, call)

    def _room(self, video: Video, key: str) -> _Room:
        """Give the room of a video, sending it if it was not."""
        with self._lock:
            path = str(video.path)
            room = self._rooms.setdefault(path, _Room())
            self._rooms.move_to_end(path)
            if key:
                room.keys.add(key)
            left = []
            while len(self._rooms) > _MAX_ROOMS:
                left.append(self._rooms.popitem(last=False)[1])
        for other in left:
            self._leave(other)
        with room.sending:
            if not room.name:
                room.name = self._send(video)
        return room

    def _send(self, video: Video) -> str:
        """Send a video; gives the name of its room.

        Raises:
            BackendError: what arrived there is not the same video.
            VideoError: it is beyond the limits there.
        """
        reply = self._reply(self._call("/remote_open", handle_file(video.path)))
        where = "remote_open"
        try:
            frames, height, width = (
                checked.whole(checked.at(reply, name, where), where, 1)
                for name in ("frames", "height", "width")
            )
            fps = checked.number(checked.at(reply, "fps", where), where, 1e-3, 1e4)
            name = checked.text(checked.at(reply, "room", where), where, 100)
        except ValueError as error:
            raise self._broken(error) from error
        there, here = VideoFacts(frames, (height, width), fps), VideoFacts.of(video)
        if not here.same_as(there):
            raise BackendError(
                f"{self._address}: expected it to read {here}, it reads {there}; "
                "use the same version of Sparrow on both machines"
            )
        return name

    def _leave(self, room: _Room) -> None:
        """Have a room deleted, without waiting for it."""
        if room.name:
            closing = threading.Thread(
                target=self._call_quietly, args=("/remote_close", room.name), daemon=True
            )
            closing.start()

    def _reply(self, text: str) -> Mapping[str, object]:
        """Read the reply of a short call.

        Raises:
            SparrowError: the one that the other machine met.
        """
        try:
            entry = checked.entries(checked.parse(text, "reply"), "reply")
        except ValueError as error:
            raise self._broken(error) from error
        Receiver.check(entry)
        return entry

    def _call_quietly(self, api_name: str, *inputs: object) -> None:
        """Make a short call whose failing does not matter: the other machine finds out by itself."""
        try:
            self._call(api_name, *inputs)
        except BackendError as error:
            logger.info("%s", error)

    def _call(self, api_name: str, *inputs: object) -> str:
        """Make a short call."""
        job = self._submit(api_name, *inputs)
        try:
            return str(job.result())
        except (ValueError, OSError, httpx.HTTPError, CancelledError) as error:
            raise self._broken(error) from error

    def _submit(self, api_name: str, *inputs: object) -> Job:
        try:
            return self._connected().submit(*inputs, api_name=api_name)
        except (ValueError, OSError, httpx.HTTPError) as error:
            raise self._broken(error) from error

    def _connected(self) -> _Connection:
        with self._lock:
            if self._client is None:
                self._client = _Connection(
                    self._address,
                    token=self._token,
                    headers=None if self._token else {"x-hf-authorization": ""},
                    verbose=False,
                    download_files=False,
                    max_workers=_CALLS,
                    analytics_enabled=False,
                    httpx_kwargs={"timeout": _PATIENCE},
                )
            return self._client

    def _broken(self, error: BaseException) -> BackendError:
        """Connect anew the next time; say what went wrong."""
        with self._lock:
            self._client = None
        what = str(error) or type(error).__name__
        return BackendError(
            f"{self._address}: expected a Sparrow that runs the model, got {what}; "
            "see whether it is still served there, then try again"
        )
