"""The whole flow: a video, a question, words, referents, tracks.

`Sparrow` holds a model, `Chat` a conversation about one video. Frames are sampled and read once,
things found once, a referent tracked once; later turns add only their own words.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparrow import boxes
from sparrow.adapt import Effort, adapt_and_track
from sparrow.errors import Cancelled
from sparrow.model.dialogue import Dialogue, Reply, Thing
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.release.load import PROPOSER, is_release, load_release
from sparrow.model.release.quantise import Bits
from sparrow.model.sparrow import SparrowModel
from sparrow.model.tokenizer import MarkedPhrase
from sparrow.model.tracking import Target, track, track_steps
from sparrow.paths import ASSETS
from sparrow.targets import HeldFrames, same_thing, targets_of
from sparrow.types import (
    GroundedAnswer,
    MaskTrack,
    Progress,
    Prompt,
    Referent,
    StreamEvent,
    TextDelta,
    Turn,
    colour_of,
)
from sparrow.video import Video

_BRIDGE_SECONDS = 1.0  # between sampled frames, up to which a thing is taken to go straight


class Sparrow:
    """A loaded model: answers questions about videos and tracks what is pointed at."""

    def __init__(self, model: SparrowModel) -> None:
        self.model = model.eval()

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path | None = None,
        *,
        proposer: str | Path = PROPOSER,
        video_tower: str | Path | None = None,
        image_tower: str | Path | None = None,
        dtype: torch.dtype | None = None,
        quantise: Bits | None = None,
        device: str | torch.device | None = None,
    ) -> Sparrow:
        """Load a model folder, or a model as its authors released it.

        Args:
            path: folder or hub id; None takes SPARROW_MODEL, or the sparrow-mini that ships.
            proposer: of a release, a store of its own. This and what follows, but for the device, counts
                only for a release; see `load_release`.
            video_tower: None takes the published one, unless the release holds it.
            image_tower: likewise.
            dtype: of the VideoLLM; None: as stored.
            quantise: "8bit" or "4bit", of the language model; needs bitsandbytes.
            device: "cpu", "cuda", "mps"; None takes the best there is.

        Raises:
            ModelError: it cannot be found, or its files do not fit.
        """
        chosen = path or os.environ.get("SPARROW_MODEL") or ASSETS / "sparrow-mini"
        where = device or _best_device()
        if not is_release(chosen):
            return cls(SparrowModel.from_pretrained(chosen).to(where))
        return cls(
            load_release(
                chosen,
                proposer=proposer,
                video_tower=video_tower,
                image_tower=image_tower,
                dtype=dtype,
                quantise=quantise,
                device=where,
            )
        )

    @property
    def card(self) -> dict[str, Any]:
        """What the model is and can talk about: name, trained_on, nouns, limits."""
        return self.model.card()

    def chat(self, video: Video) -> Chat:
        """Begin a conversation about a video."""
        return Chat(self, video)

    def track(
        self,
        video: Video,
        prompts: Sequence[Prompt],
        *,
        adapt_seconds: float = 0.0,
        progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[MaskTrack]:
        """Track what points, boxes or masks point at; one track per referent id, in ascending order.

        Args:
            video: what to track in.
            prompts: what the user points at, corrections on later frames among them.
            adapt_seconds: above 0, a copy of the tracker first learns what is pointed at for so long, all
                things together: slower, and far better on real video with sparrow-mini.
            progress: told after each step of adapting ("adapt") and each frame ("track").
            cancel: when set, what there is by then is returned, marked as not complete.

        Raises:
            PromptError: no prompt, or one that lies outside the video or points at nothing to adapt to.
            ModelError: the model cannot adapt.
        """
        targets = targets_of(video, prompts)
        if adapt_seconds:
            return adapt_and_track(
                self.model.pixel_decoder,
                video,
                targets,
                Effort(seconds=adapt_seconds),
                progress=progress,
                cancel=cancel,
            )
        return track(
            self.model.pixel_decoder,
            video,
            targets,
            propose=self.model.snapping,
            progress=progress,
            cancel=cancel,
        )


class Chat:
    """A conversation about one video. Referents keep their ids and colours over its turns."""

    def __init__(self, sparrow: Sparrow, video: Video) -> None:
        self.video = video
        self.turns: list[Turn] = []
        self.tracks: dict[int, MaskTrack] = {}
        """By referent id: everything grounded so far."""
        self._sparrow = sparrow
        self._dialogue: Dialogue | None = None
        self._indices: tuple[int, ...] = ()
        self._ids: dict[int, int] = {}  # seen thing -> referent id
        self._phrases: dict[int, str] = {}  # referent id -> latest words for it

    @property
    def referents(self) -> list[Referent]:
        """Everything spoken of or pointed at so far, with its latest phrase."""
        return [
            Referent(i, phrase, None, colour_of(i)) for i, phrase in sorted(self._phrases.items())
        ]

    @property
    def next_id(self) -> int:
        """The id that the next new referent gets."""
        return max(self._phrases, default=0) + 1

    def ask(
        self,
        question: str,
        prompts: Sequence[Prompt] = (),
        *,
        progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> GroundedAnswer:
        """Answer a question and track what the answer speaks of; see `stream`."""
        answer = None
        for event in self.stream(question, prompts, cancel=cancel):
            if isinstance(event, Progress) and progress is not None:
                progress(event)
            if isinstance(event, GroundedAnswer):
                answer = event
        assert answer is not None
        return answer

    def stream(
        self,
        question: str,
        prompts: Sequence[Prompt] = (),
        *,
        cancel: threading.Event | None = None,
    ) -> Iterator[StreamEvent]:
        """Answer a question word by word, then track; the last event is the GroundedAnswer.

        When `cancel` is set, what there is by then is the answer, marked as not complete.

        Args:
            question: what the user typed.
            prompts: what the user points at in this question.
            cancel: checked between words and between frames.

        Raises:
            PromptError: the question is empty or too long, or a prompt lies outside the video.
        """
        seconds: dict[str, float] = {}
        started = time.monotonic()
        if self._dialogue is None:
            yield Progress("read")
            self._read()
            seconds["read"] = time.monotonic() - started
            yield Progress("read", len(self._indices), len(self._indices), seconds["read"])
        pointed = self._point(prompts)
        words = time.monotonic()
        reply = yield from self._answer(question, pointed, cancel)
        seconds["answer"] = time.monotonic() - words
        referents, targets = self._ground(reply.phrases)
        new: list[MaskTrack] = []
        complete = reply.complete
        if targets and complete:
            tracking = time.monotonic()
            model = self._sparrow.model
            new = yield from track_steps(
                model.pixel_decoder, self.video, targets, propose=model.snapping, cancel=cancel
            )
            self._settle(new)
            seconds["track"] = time.monotonic() - tracking
            complete = all(found.complete for found in new)
        self.tracks |= {found.referent_id: found for found in new}
        tracks = tuple(self.tracks[r.id] for r in referents if r.id in self.tracks)
        looked_at = tuple(dict.fromkeys(self._indices))
        answer = GroundedAnswer(reply.text, referents, tracks, looked_at, seconds, complete)
        self.turns.append(Turn("user", question, tuple(prompts)))
        self.turns.append(Turn("assistant", reply.text, answer=answer))
        yield answer

    def add(self, found: MaskTrack, phrase: str) -> Referent:
        """Take over a track that the user pointed out, under its referent id."""
        self.tracks[found.referent_id] = found
        self._phrases[found.referent_id] = phrase
        return Referent(found.referent_id, phrase, None, colour_of(found.referent_id))

    def _read(self) -> None:
        """Sample frames and let the model look at them."""
        model = self._sparrow.model
        count = model.num_frames
        sampled = self.video.sample(count)
        self._indices = tuple(sampled + sampled[-1:] * (count - len(sampled)))
        self._dialogue = model.open(self.video.read(self._indices))

    def _answer(
        self, question: str, pointed: np.ndarray | None, cancel: threading.Event | None
    ) -> Generator[StreamEvent, None, Reply]:
        """Stream the words of an answer; a stopped one is what was shown so far."""
        assert self._dialogue is not None
        words, shown = self._dialogue.say(question, pointed, cancel), ""
        while True:
            try:
                delta = next(words)
            except StopIteration as end:
                reply: Reply = end.value
                return reply
            except Cancelled:
                return Reply(shown, (), complete=False)
            shown += delta
            yield TextDelta(delta)

    def _ground(self, phrases: Sequence[MarkedPhrase]) -> tuple[tuple[Referent, ...], list[Target]]:
        """Give the referents of an answer, and the targets among them that have no track yet."""
        assert self._dialogue is not None
        referents: dict[int, Referent] = {}
        targets = []
        for phrase in phrases:
            thing = self._dialogue.find(phrase)
            if thing is None:
                continue
            new = thing.key not in self._ids
            referent_id = self._ids.setdefault(thing.key, self.next_id)
            if referent_id in referents:
                continue
            self._phrases[referent_id] = phrase.text
            referents[referent_id] = Referent(
                referent_id, phrase.text, phrase.span, colour_of(referent_id)
            )
            if new or referent_id not in self.tracks:
                targets.append(self._target(referent_id, thing))
        done = [r for r in referents.values() if r.id in self.tracks]
        waiting = [r for r in referents.values() if r.id not in self.tracks]
        return tuple(done + waiting), targets

    def _settle(self, tracks: Sequence[MaskTrack]) -> None:
        """Tell the dialogue where in the sampled frames the things are that were tracked."""
        assert self._dialogue is not None
        keys = {referent_id: key for key, referent_id in self._ids.items()}
        for found in tracks:
            rows = found.boxes[list(self._indices)]
            self._dialogue.settle(keys[found.referent_id], boxes.to_norm(rows, self.video.size_hw))

    def _target(self, referent_id: int, thing: Thing) -> Target:
        """Prompt a thing with its boxes in the sampled frames, and with its state in the anchor frame."""
        found = boxes.to_pixels(thing.boxes_norm, self.video.size_hw)
        anchor = self._indices[thing.anchor]
        seen = {f: box for f, box in zip(self._indices, found, strict=True) if not np.isnan(box[0])}
        prompts = {frame: FramePrompt(box=box) for frame, box in self._bridged(seen).items()}
        prompts[anchor] = FramePrompt(box=seen.get(anchor), token=thing.token)
        return Target(referent_id, anchor, prompts)

    def _bridged(self, seen: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Add the boxes between sampled frames that follow each other closely, on a straight way."""
        bridged = dict(seen)
        reach = _BRIDGE_SECONDS * self.video.fps
        for start, stop in pairwise(dict.fromkeys(self._indices)):
            if start in seen and stop in seen and stop - start <= reach:
                for frame in range(start + 1, stop):
                    share = (frame - start) / (stop - start)
                    bridged[frame] = (1 - share) * seen[start] + share * seen[stop]
        return bridged

    def _point(self, prompts: Sequence[Prompt]) -> np.ndarray | None:
        """Say where in the sampled frames the things are that the user points at (the TSF channel).

        What was found there takes its place, with the way it goes: there by its box where one was drawn,
        else by following it to the nearest sampled frame. A thing that was not found is followed over all
        sampled frames.

        Returns:
            (N, T, 4) normalised xyxy, NaN where unseen; None without prompts.
        """
        if not prompts:
            return None
        assert self._dialogue is not None
        tracks = self._dialogue.tracks
        rows = []
        for target in targets_of(self.video, prompts):
            near = int(np.abs(np.array(self._indices) - target.anchor).argmin())
            first, last = sorted((target.anchor, self._indices[near]))
            drawn = target.prompts[target.anchor].box
            thing = None
            if drawn is not None:
                row = np.full((len(self._indices), 4), np.nan, dtype=np.float32)
                row[near] = boxes.to_norm(drawn, self.video.size_hw)
                thing = same_thing(row, tracks)
            if thing is None:
                thing = same_thing(self._follow(target, range(first, last + 1)), tracks)
            if thing is None:
                rows.append(self._follow(target, sorted({*self._indices, *target.prompts})))
            else:
                self._ids.setdefault(thing, target.referent_id)
                rows.append(tracks[thing])
        return np.stack(rows)

    def _follow(self, target: Target, frames: Sequence[int]) -> np.ndarray:
        """Track a target through these frames only; gives its boxes on the sampled frames.

        Returns:
            (T, 4) normalised xyxy, NaN where it was not seen or the frame was left out.
        """
        places = {frame: place for place, frame in enumerate(frames)}
        prompts = {places[f]: prompt for f, prompt in target.prompts.items() if f in places}
        held = HeldFrames(self.video.read(frames))
        local = Target(target.referent_id, places[target.anchor], prompts)
        model = self._sparrow.model
        found = track(model.pixel_decoder, held, [local], propose=model.snapping)[0]
        row = np.full((len(self._indices), 4), np.nan, dtype=np.float32)
        for place, frame in enumerate(self._indices):
            if frame in places:
                row[place] = boxes.to_norm(found.boxes[places[frame]], self.video.size_hw)
        return row


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
