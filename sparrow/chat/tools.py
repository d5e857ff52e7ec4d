"""What Sparrow can do with a session's video, as tools that any tool-calling model may use.

The model reads words, ids and times; the program gets an artifact of plain values. Masks stay in the session,
under the ids of their referents.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from sparrow.backend import Backend
from sparrow.chat.messages import Asked, Box, Known, Point, Pointing, Spoken, read_pointing
from sparrow.chat.session_memory import SessionMemory
from sparrow.chat.turn import Taken, TurnTaker, spoken_of
from sparrow.chat.videos import name_of_video
from sparrow.errors import PromptError, SparrowError
from sparrow.export.formats import export
from sparrow.looks import Look
from sparrow.sessions.session import Session
from sparrow.types import MaskTrack
from sparrow.video import Video
from sparrow.work import finish

Told = tuple[str, dict[str, Any]]
"""Words for the model, and plain values for the program."""
Marking = Literal["mask", "outline", "box", "spotlight", "blur-rest", "blur-object", "cut-out"]
Kind = Literal["mp4", "gif", "png", "coco", "youtube-vos", "youtube-vis", "mot", "webm"]

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_LONGEST_NAME = 80


def video_tools(backend: Backend, session: Session) -> list[BaseTool]:
    """Make the tools of a session for `create_agent`, `bind_tools` or a ToolNode.

    Each gives words for the model and an artifact for the program, changes the session and saves it, waits for
    others of the same session, and tells the model what is wrong with its arguments.

    Args:
        backend: runs the model.
        session: has a video; its `stop` ends what goes on within a word or a frame: clear it before a question.
    """
    abilities = _Abilities(backend, session)
    return [
        StructuredTool.from_function(
            _explained(ability),
            name=ability.__name__,
            parse_docstring=True,
            response_format="content_and_artifact",
            handle_tool_error=True,
        )
        for ability in (
            abilities.ground,
            abilities.track,
            abilities.describe_region,
            abilities.when_visible,
            abilities.count,
            abilities.export_video,
        )
    ]


class _Abilities:
    """One method per tool; its docstring is what the model is told of it."""

    def __init__(self, backend: Backend, session: Session) -> None:
        self._session = session
        self._taker = TurnTaker(backend, SessionMemory(session))

    def ground(self, what: str) -> Told:
        """Find things in the video by words and mark them in every frame. Gives their ids.

        Args:
            what: What to find, for example "the fox", "all red things" or "what moves to the left".
        """
        taken = self._ask(f"Segment {_noun(what)}.")
        return self._told(taken.answer.text, taken.grounding.referents)

    def track(
        self,
        frame: int,
        box: list[float] | None = None,
        point: list[float] | None = None,
        name: str = "",
    ) -> Told:
        """Follow whatever is at a place in one frame through the whole video. Gives its id.

        Args:
            frame: Number of the frame, from 0.
            box: x0, y0, x1, y1 around the thing, in pixels of that frame.
            point: x, y on the thing, instead of a box.
            name: What to call it.
        """
        video = self._video()
        steps = self._taker.follow(
            _pointings(frame, box, point),
            " ".join(name.split())[:_LONGEST_NAME],
            self._session.id,
            name_of_video(video),
            video,
            self._session.stop,
        )
        referents = finish(steps)
        text, artifact = self._told("", referents)
        return text, {**artifact, "pointed": [referent.id for referent in referents]}

    def describe_region(
        self,
        frame: int,
        box: list[float] | None = None,
        point: list[float] | None = None,
        question: str = "What is this?",
    ) -> Told:
        """Answer a question about whatever is at a place in one frame of the video.

        Args:
            frame: Number of the frame, from 0.
            box: x0, y0, x1, y1 around the thing, in pixels of that frame.
            point: x, y on the thing, instead of a box.
            question: What to answer about it.
        """
        taken = self._ask(question, _pointings(frame, box, point))
        text, artifact = self._told(taken.answer.text, taken.grounding.referents)
        return text, {**artifact, "pointed": list(taken.grounding.pointed)}

    def when_visible(self, what: str) -> Told:
        """Say exactly when things are seen in the video, in seconds.

        Args:
            what: The id of a thing that was found before, or words for what to find.
        """
        if what.strip().isdigit():
            history = self._session.history
            if int(what) not in history.phrases:
                known = ", ".join(f"{i} {phrase}" for i, phrase in history.phrases.items())
                raise PromptError(f"when_visible: expected a known id ({known or 'none yet'})")
            frames = self._video().sample(1)
            return self._told("", [spoken_of(int(what), history, frames)])
        taken = self._ask(f"Segment {_noun(what)}.")
        referents = taken.grounding.referents
        return self._told("" if referents else taken.answer.text, referents)

    def count(self, what: str) -> Told:
        """Count things in the video.

        Args:
            what: Things in the plural, for example "foxes", "red things" or "things".
        """
        taken = self._ask(f"How many {_noun(what)} are there?")
        text, artifact = self._told(taken.answer.text, taken.grounding.referents)
        return text, {**artifact, "count": _number_in(taken.answer.text)}

    def export_video(
        self,
        referents: list[int] | None = None,
        look: Marking = "mask",
        kind: Kind = "mp4",
    ) -> Told:
        """Save the video with things marked in it, or their masks, as a file for the user.

        Args:
            referents: Ids of the things; without them all that were found and are not hidden.
            look: How the things are marked.
            kind: Kind of file.
        """
        session, video = self._session, self._video()
        with session.lock:
            tracks = session.history.tracks
            ids = [i for i in sorted(tracks) if i not in session.hidden]
            chosen = ids if referents is None else list(dict.fromkeys(referents))
            if missing := [i for i in chosen if i not in tracks]:
                raise PromptError(f"export_video: expected ids among {ids}, got {missing}")
            phrases = {referent.id: referent.phrase for referent in session.referents()}
            path = export(
                kind,
                session.new_path("file").parent,
                video,
                [tracks[i] for i in chosen],
                session.referents(),
                Look(look),
                session.span,
                cancel=session.stop,
            )
        things = ", ".join(f"{i} {phrases[i]}" for i in chosen) or "nothing"
        text = f"{path.name} is ready for the user: {video.num_frames} frames, marked is {things}."
        return text, {"file": str(path), "kind": kind, "referents": chosen, "complete": True}

    def _ask(self, question: str, pointings: tuple[Pointing, ...] = ()) -> Taken:
        video, session = self._video(), self._session
        asked = Asked(None, (), question, pointings)
        return finish(
            self._taker.take(asked, session.id, name_of_video(video), video, session.stop)
        )

    def _video(self) -> Video:
        if self._session.video is None:
            raise PromptError(
                "session: expected one with a video, it has none yet; open a video in it"
            )
        return self._session.video

    def _told(self, answer: str, referents: Iterable[Spoken]) -> Told:
        """Say what was found: the answer, then for each thing its id and when it is seen."""
        video, tracks = self._video(), self._session.history.tracks
        text, found, complete = answer, [], True
        for referent in referents:
            track = tracks.get(referent.id)
            seen = [] if track is None else seconds_seen(track, video)
            complete = complete and track is not None and track.complete
            times = " and ".join(f"from {start:.1f} s to {end:.1f} s" for start, end in seen)
            name = self._session.names.get(referent.id, referent.phrase)
            phrase, begin = name[:1].upper() + name[1:], len(text) + bool(text)
            told = {"phrase": phrase, "span": [begin, begin + len(phrase)], "seconds_seen": seen}
            found.append({**referent.model_dump(mode="json"), **told})
            text += "\n" * bool(text)
            text += f"{phrase} (id {referent.id}) is seen {times or 'nowhere'}."
        if self._session.stop.is_set():
            complete = False
            text += " It was stopped by the user: this is what there was by then."
        return text.strip(), {
            "session": self._session.id,
            "answer": answer,
            "referents": found,
            "complete": complete,
        }


def seconds_seen(track: MaskTrack, video: Video) -> list[tuple[float, float]]:
    """Give the stretches in which a thing is seen: seconds of the first frame and of the end of the last."""
    visible = [False, *track.visible().tolist(), False]
    edges = [f for f in range(1, len(visible)) if visible[f] != visible[f - 1]]
    times = [*video.timestamps.tolist(), float(video.timestamps[0]) + video.duration]
    return [
        (round(times[start - 1], 3), round(times[stop - 1], 3))
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
    ]


def _pointings(
    frame: int, box: list[float] | None, point: list[float] | None
) -> tuple[Box | Point]:
    if (box is None) == (point is None):
        raise PromptError("pointing: expected either a box or a point, got both or neither")
    at = {"type": "point+", "xy": point} if box is None else {"type": "box", "xyxy": box}
    pointing = read_pointing({"frame": frame, **at})
    assert not isinstance(pointing, Known)
    return (pointing,)


def _noun(what: str) -> str:
    return what.strip(" .?!")


def _number_in(text: str) -> int | None:
    """Read how many an answer says that there are, None where it does not say."""
    for word in re.findall(r"\w+", text.lower()):
        if word.isdigit():
            return int(word)
        if word in _NUMBERS:
            return _NUMBERS.index(word)
    return None


def _explained(ability: Callable[..., Told]) -> Callable[..., Told]:
    """Let the model read what was wrong with what it asked for."""

    @functools.wraps(ability)
    def explained(*args: Any, **kwargs: Any) -> Told:
        try:
            return ability(*args, **kwargs)
        except SparrowError as error:
            raise ToolException(str(error)) from error

    return explained
