"""What a backend streams <-> JSON, of tracks only what is new. Knows no connection.

Both sides keep the tracks as they stand, beginning with those that the request spoke of.
"""

from __future__ import annotations

from collections.abc import Mapping

from sparrow import errors
from sparrow.errors import BackendError, SparrowError
from sparrow.remote.tracks import read_update, update
from sparrow.sessions import checked
from sparrow.sessions.reading import read_referent
from sparrow.sessions.record import SessionError
from sparrow.types import (
    GroundedAnswer,
    MaskTrack,
    Progress,
    Referent,
    StreamEvent,
    TextDelta,
    TracksSoFar,
)
from sparrow.video import Video

BEGUN = {"kind": "begun"}
"""Sent before all events: from now on the call can be stopped."""

_MAX_WORDS = 100_000
_LONGEST_MESSAGE = 2000


class RoomGoneError(BackendError):
    """The other machine does not have the video (any more)."""


_ERRORS: dict[str, type[SparrowError]] = {
    kind.__name__: kind
    for kind in (
        BackendError,
        RoomGoneError,
        SessionError,
        errors.VideoError,
        errors.ModelError,
        errors.PromptError,
        errors.StaleError,
        errors.Busy,
        errors.Cancelled,
    )
}


class Sender:
    """Turns the events of one call into JSON."""

    def __init__(self, known: Mapping[int, MaskTrack]) -> None:
        self._known = dict(known)

    def pack(self, event: StreamEvent) -> dict[str, object]:
        """Write an event, with what is new in its tracks since the one before."""
        if isinstance(event, TextDelta):
            return {"kind": "text", "text": event.text}
        if isinstance(event, Progress):
            return {
                "kind": "progress",
                "step": event.step,
                "done": event.done,
                "total": event.total,
                "seconds": event.seconds,
            }
        found = {
            "referents": [_referent(referent) for referent in event.referents],
            "tracks": [self._update(track) for track in event.tracks],
        }
        if isinstance(event, TracksSoFar):
            return {"kind": "tracks", **found}
        return {
            "kind": "answer",
            **found,
            "text": event.text,
            "frames": [int(frame) for frame in event.frames],
            "seconds": {step: float(taken) for step, taken in event.seconds.items()},
            "complete": event.complete,
            "said": [int(word) for word in event.said],
            "video_tokens": event.video_tokens,
        }

    def _update(self, track: MaskTrack) -> dict[str, object]:
        written = update(track, self._known.get(track.referent_id))
        self._known[track.referent_id] = track
        return written


class Receiver:
    """Turns the JSON of one call back into events."""

    def __init__(self, known: Mapping[int, MaskTrack], video: Video) -> None:
        self._known = dict(known)
        self._video = video

    def unpack(self, value: object) -> StreamEvent:
        """Read an event.

        Raises:
            SparrowError: the one that the far side met.
            ValueError: not what `Sender` or `pack_error` write.
        """
        entry = checked.entries(value, "event")
        kind = checked.at(entry, "kind", "event")
        if kind == "text":
            return TextDelta(checked.text(checked.at(entry, "text", "event"), "text", _MAX_WORDS))
        if kind == "progress":
            return Progress(
                checked.text(checked.at(entry, "step", "event"), "step", 100),
                checked.whole(checked.at(entry, "done", "event"), "done"),
                checked.whole(checked.at(entry, "total", "event"), "total"),
                checked.number(checked.at(entry, "seconds", "event"), "seconds", 0, 1e9),
            )
        self.check(entry)
        listed = checked.items(checked.at(entry, "referents", "event"), "referents")
        referents = tuple(read_referent(item, "event") for item in listed)
        tracks = tuple(
            self._track(item)
            for item in checked.items(checked.at(entry, "tracks", "event"), "tracks")
        )
        if kind == "tracks":
            return TracksSoFar(referents, tracks)
        if kind == "answer":
            return _answer(entry, referents, tracks)
        raise ValueError(f"event: expected a kind of event, got {repr(kind)[:40]}")

    @staticmethod
    def check(entry: Mapping[str, object]) -> None:
        """Let the error that the far side met be met here.

        Raises:
            SparrowError: it met one.
        """
        if entry.get("kind") == "error":
            name, message = entry.get("error"), str(entry.get("message", ""))[:_LONGEST_MESSAGE]
            raise _ERRORS.get(str(name), BackendError)(message)

    def _track(self, value: object) -> MaskTrack:
        video = self._video
        track = read_update(value, self._known, video.num_frames, video.size_hw)
        self._known[track.referent_id] = track
        return track


def pack_error(error: SparrowError) -> dict[str, object]:
    """Write an error; it ends the stream."""
    return {"kind": "error", "error": type(error).__name__, "message": str(error)}


def _referent(referent: Referent) -> dict[str, object]:
    return {
        "id": referent.id,
        "phrase": referent.phrase,
        "span": None if referent.span is None else list(referent.span),
        "colour": referent.colour,
    }


def _answer(
    entry: Mapping[str, object], referents: tuple[Referent, ...], tracks: tuple[MaskTrack, ...]
) -> GroundedAnswer:
    where = "answer"
    seconds = checked.entries(checked.at(entry, "seconds", where), where, 100)
    return GroundedAnswer(
        checked.text(checked.at(entry, "text", where), where, _MAX_WORDS),
        referents,
        tracks,
        checked.wholes(checked.at(entry, "frames", where), where),
        {step: checked.number(taken, where, 0, 1e9) for step, taken in seconds.items()},
        checked.flag(checked.at(entry, "complete", where), where),
        checked.wholes(checked.at(entry, "said", where), where),
        checked.whole(checked.at(entry, "video_tokens", where), where),
    )
