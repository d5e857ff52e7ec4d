"""A Backend that runs the model in this process, for all who share it.

Keeps the conversations used last, so that a question need not read its video again; whichever is gone is made anew
from its history.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sparrow.errors import SparrowError
from sparrow.lane import Lane
from sparrow.types import (
    History,
    MaskTrack,
    Progress,
    Prompt,
    StreamEvent,
    TracksSoFar,
)

if TYPE_CHECKING:
    from sparrow.pipeline import Sparrow
    from sparrow.talk import Chat
    from sparrow.video import Video


class LocalBackend:
    """Runs a loaded model; see `sparrow.backend.Backend`."""

    def __init__(self, sparrow: Sparrow, *, lane: Lane | None = None, keep: int = 8) -> None:
        """Serve a model.

        Args:
            sparrow: the model.
            lane: whom it shares the accelerator with; its own by default.
            keep: conversations whose read videos and keys and values stay in memory.
        """
        self.sparrow = sparrow
        self.lane = lane or Lane()
        self._keep = keep
        self._chats: OrderedDict[str, Chat] = OrderedDict()  # the one used last is the last
        self._used: dict[str, Chat] = {}  # in the middle of an answer
        self._lock = threading.Lock()

    @property
    def card(self) -> Mapping[str, Any]:
        """What the model is and can talk about."""
        return self.sparrow.card

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
        chat = self._take(key, video)
        chat.catch_up(history)
        sound = True
        try:
            with closing(
                self.lane.run(key, chat.stream(question, prompts, cancel=cancel), cancel)
            ) as events:
                yield from events
        except Exception as error:
            sound = isinstance(error, SparrowError)
            raise
        finally:
            self._give_back(key, chat, keep=sound)

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
        steps = self.sparrow.track_steps(
            video, prompts, before=before, span=span, adapt_seconds=adapt_seconds, cancel=cancel
        )
        with closing(self.lane.run(key or str(video.path), _with_result(steps), cancel)) as events:
            yield from events

    def preview(
        self,
        video: Video,
        prompts: Sequence[Prompt],
        before: MaskTrack | None = None,
        *,
        key: str = "",
    ) -> MaskTrack:
        """Draw the mask of one referent on one frame; see `Backend.preview`. Does not wait in line."""
        with self.lane.step():
            return self.sparrow.preview(video, prompts, before)

    def forget(self, key: str) -> None:
        """Drop what is remembered under a key."""
        with self._lock:
            self._chats.pop(key, None)
            self._used.pop(key, None)

    def _take(self, key: str, video: Video) -> Chat:
        """Take the conversation of a key out of what is kept, or begin one."""
        with self._lock:
            chat = self._chats.pop(key, None)
            if chat is None or chat.video.path != video.path:
                chat = self.sparrow.chat(video)
            self._used[key] = chat
        return chat

    def _give_back(self, key: str, chat: Chat, *, keep: bool) -> None:
        """Keep a conversation, unless it was forgotten or another has its key by now."""
        with self._lock:
            if self._used.get(key) is not chat:
                return
            del self._used[key]
            if keep:
                self._chats[key] = chat
                while len(self._chats) > self._keep:
                    self._chats.popitem(last=False)


def _with_result(
    steps: Generator[Progress | TracksSoFar, None, TracksSoFar],
) -> Generator[Progress | TracksSoFar, None, None]:
    """Let what work returns be its last event."""
    result = yield from steps
    yield result
