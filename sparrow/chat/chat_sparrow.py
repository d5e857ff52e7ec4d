"""Sparrow as a LangChain chat model: messages with a video in, streamed words with grounded referents out.

Turns messages into a turn and its events into chunks. Knows no agent, no tool and no session.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import (
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import ensure_config, run_in_executor
from langchain_core.utils import from_env
from pydantic import ConfigDict, Field, InstanceOf, PositiveInt, PrivateAttr, SkipValidation

from sparrow.backend import Backend
from sparrow.chat.chunks import chunks_of, last_chunk
from sparrow.chat.memory import Memory, Recent
from sparrow.chat.messages import (
    METADATA,
    Asked,
    Grounding,
    Pointing,
    count_words,
    grounding_of,
    read_messages,
    read_pointing,
    write_question,
)
from sparrow.chat.turn import Bounds, TurnTaker
from sparrow.chat.videos import Videos, name_of_video
from sparrow.errors import Cancelled, PromptError
from sparrow.limits import Limits
from sparrow.paths import ASSETS
from sparrow.render import render
from sparrow.types import MaskTrack, Progress, Referent, TracksSoFar
from sparrow.video import Video

SHIPPED = "sparrow-mini"


class ChatSparrow(BaseChatModel):
    """A chat model that is talked with about a video, and answers with words tied to things in it.

    A message of type "human" may hold a video or image block (`path`, `base64`, `url`) and pointings; see
    `write_question`. An answer's `response_metadata["sparrow"]` is its `Grounding`; `tracks` gives the masks.
    Closing a stream ends the work at once; within a graph set `stop_event` of the thread first. A system message
    has no effect.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: str = Field(default_factory=from_env("SPARROW_MODEL", default=SHIPPED))
    """Model folder or hub id; counts only where no backend is given."""
    backend: SkipValidation[Backend] | None = Field(default=None, exclude=True, repr=False)
    """What runs the model; None: the Sparrow at the address in SPARROW_BACKEND, else this process."""
    memory: SkipValidation[Memory] = Field(default_factory=Recent, exclude=True, repr=False)
    """Where found things are kept between turns."""
    video: Path | InstanceOf[Video] | None = None
    """What is spoken of where the messages hold no video."""
    media_folder: Path | None = None
    """Paths in messages must lie in it; None: any file that this process may read."""
    allowed_hosts: tuple[str, ...] = ()
    """From these alone a video is fetched by its url."""
    limits: Limits = Field(default_factory=Limits)
    """Bounds on a video."""
    max_history_words: PositiveInt = 1000
    """Words of finished turns that the model reads again; of older ones it knows what was found, by id."""
    max_tokens: PositiveInt | None = None
    """Longest answer in words; None: the model's own limit."""
    stop: tuple[str, ...] | None = None
    """Texts before which an answer ends; what is named in it is then not tracked."""
    temperature: float = Field(default=0.0, ge=0.0, le=0.0)
    """Answers are always the likeliest ones."""
    cancel: SkipValidation[threading.Event] | None = Field(default=None, exclude=True, repr=False)
    """Set it to stop all work of this model; None: each thread of a graph has its own, see `stop_event`."""
    progress: Callable[[Progress | TracksSoFar], None] | None = Field(
        default=None, exclude=True, repr=False
    )
    """Told each step of the work and, while tracking, what was found so far."""

    _name: str = PrivateAttr(default_factory=lambda: uuid.uuid4().hex)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _loading: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _videos: Videos = PrivateAttr()
    _stops: WeakValueDictionary[str, threading.Event] = PrivateAttr(
        default_factory=WeakValueDictionary
    )

    def model_post_init(self, _context: object, /) -> None:
        self._videos = Videos(self.limits, folder=self.media_folder, hosts=self.allowed_hosts)

    @staticmethod
    def question(
        text: str,
        *,
        frame: int = 0,
        box: Sequence[float] | None = None,
        point: Sequence[float] | None = None,
        referent: int | None = None,
        video: str | Path | bytes | None = None,
        image: str | Path | bytes | None = None,
    ) -> HumanMessage:
        """Write a question that points at one thing; `write_question` takes any number of pointings.

        Args:
            text: the question.
            frame: where the box or point is.
            box: x0, y0, x1, y1 in pixels of the displayed frame.
            point: x, y likewise.
            referent: id of a thing that was found before; with a box or point, what they correct.
            video: path or bytes of the video that it is about; without one the same as before.
            image: the same for a picture.
        """
        pointings: list[Pointing] = []
        if box is not None:
            pointings.append(
                read_pointing({"type": "box", "frame": frame, "xyxy": box, "referent": referent})
            )
        if point is not None:
            pointings.append(
                read_pointing({"type": "point+", "frame": frame, "xy": point, "referent": referent})
            )
        if referent is not None and not pointings:
            pointings.append(read_pointing({"type": "referent", "id": referent}))
        return write_question(text, pointings, video=video, image=image)

    def stop_event(self, thread: str) -> threading.Event:
        """Give the event that stops what goes on in a thread of a graph, within a word or a frame.

        Hold it, set it, then close the graph's stream; clear it before the next question. The graph gets what was
        said until then, as a message that is marked as stopped.
        """
        if self.cancel is not None:
            return self.cancel
        with self._lock:
            event = self._stops.get(thread)
            if event is None:
                event = self._stops[thread] = threading.Event()
            return event

    def tracks(self, message: BaseMessage) -> tuple[MaskTrack, ...]:
        """Give the masks of the things that an answer names or its question points at.

        Raises:
            PromptError: the message is no answer of this model, or was made too long ago.
        """
        grounding = self._grounding(message)
        history = self.memory.find(grounding.conversation)
        if history is None:
            raise PromptError(
                "tracks: expected an answer of a conversation that is still known, this one is not; ask again"
            )
        found = (history.tracks.get(spoken.id) for spoken in grounding.referents)
        return tuple(track for track in found if track is not None)

    def save_video(self, message: BaseMessage, out: str | Path) -> Path:
        """Write the video with the things marked that an answer names or its question points at.

        Raises:
            PromptError: as for `tracks`; or the video is not open any more.
            VideoError: it cannot be drawn on.
        """
        grounding, tracks = self._grounding(message), self.tracks(message)
        video = self._videos.known(grounding.video)
        if (
            video is None
            and isinstance(self.video, Video)
            and name_of_video(self.video) == grounding.video
        ):
            video = self.video
        if video is None:
            raise PromptError(
                "video: expected one that is still open, it is not; ask about it again"
            )
        referents = [Referent(s.id, s.phrase, None, s.colour) for s in grounding.referents]
        return render(video, tracks, referents, out)

    def get_num_tokens(self, text: str) -> int:
        """Count words and marks: exact for sparrow-mini, near for other models."""
        return count_words(text)

    @property
    def _llm_type(self) -> str:
        return "sparrow"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "video": str(self.video.path if isinstance(self.video, Video) else self.video),
            "max_tokens": self.max_tokens,
            "stop": self.stop,
        }

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """Yield a chunk for each word, an empty one for each other step, so that the stream can be closed there."""
        yield from self._chunks(messages, stop, self._cancel(), **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Do the same beside the event loop; when the task is cancelled, the work ends after the word at hand."""
        chunks = self._chunks(messages, stop, self._cancel(), **kwargs)
        try:
            while (chunk := await run_in_executor(None, next, chunks, None)) is not None:
                yield chunk
        finally:
            with suppress(
                ValueError
            ):  # still at this word: it ends after it, as nobody asks for more
                chunks.close()

    def _chunks(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        cancel: threading.Event,
        *,
        max_tokens: int | None = None,
        **_: object,
    ) -> Generator[ChatGenerationChunk, None, None]:
        bounds = Bounds(
            self.max_history_words,
            self.max_tokens if max_tokens is None else max_tokens,
            tuple(self.stop or () if stop is None else stop),
        )
        asked = read_messages(messages)
        backend = self._backend()
        taker = TurnTaker(backend, self.memory, bounds)
        try:
            name, video = self._video(asked, cancel)
            turn = taker.take(asked, self._key(), name, video, cancel)
            taken = yield from chunks_of(turn, self.progress)
        except Cancelled:  # while the video was prepared
            taken = None
        yield last_chunk(backend.card, taken, stopped=cancel.is_set())

    def _backend(self) -> Backend:
        with self._loading:
            if self.backend is None:
                self.backend = _open_backend(self.model)
            return self.backend

    def _video(self, asked: Asked, cancel: threading.Event) -> tuple[str, Video]:
        if asked.source is not None:
            return self._videos.open(asked.source, cancel)
        if isinstance(self.video, Video):
            return name_of_video(self.video), self.video
        if self.video is not None:
            return self._videos.open_own(self.video, cancel)
        raise PromptError(
            "messages: expected a video or image block, got none; "
            "send one, or name one for all with ChatSparrow(video=...)"
        )

    def _key(self) -> str:
        """Name the conversation after the thread of the graph in which it goes on, if any."""
        thread = _thread()
        return f"{self._name}-{thread}" if thread else uuid.uuid4().hex

    def _cancel(self) -> threading.Event:
        thread = _thread()
        if thread is None and self.cancel is None:
            return threading.Event()
        return self.stop_event(thread or "")

    def _grounding(self, message: BaseMessage) -> Grounding:
        grounding = grounding_of(message)
        if grounding is None:
            raise PromptError(
                f"message: expected an answer of ChatSparrow, got one without response_metadata[{METADATA!r}]"
            )
        return grounding


def _thread() -> str | None:
    """Name the thread of the graph that calls this, None outside of one."""
    thread = ensure_config().get("configurable", {}).get("thread_id")
    return None if thread is None else str(thread)


def _open_backend(model: str) -> Backend:
    address = os.environ.get("SPARROW_BACKEND")
    if address:
        from sparrow.remote_backend import RemoteBackend  # gradio's client, only for this

        return RemoteBackend(address)
    from sparrow.local_backend import LocalBackend  # torch, needed only by who runs a model here
    from sparrow.pipeline import Sparrow

    return LocalBackend(Sparrow.from_pretrained(ASSETS / SHIPPED if model == SHIPPED else model))
