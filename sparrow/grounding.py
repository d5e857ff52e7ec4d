"""A video that a dialogue looks at -> which referents its words mean, where, and how they are tracked.

Holds what cannot be read off a conversation's history: the sampled frames, the dialogue about them, and which of
its things has which referent id. Neither streams nor tracks through the video.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from sparrow import boxes
from sparrow.errors import Cancelled
from sparrow.model.dialogue import Dialogue, Thing
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.sparrow import SparrowModel
from sparrow.model.tokenizer import MarkedPhrase
from sparrow.model.tracking import Target, track
from sparrow.targets import HeldFrames, same_thing, targets_of
from sparrow.types import History, MaskTrack, Prompt, Referent, colour_of
from sparrow.video import Video

_SAME_TRACK = 0.35
"""Mean overlap from which a tracked mask is that of a found thing: masks drift, others reach .25 at most."""
_BRIDGE_SECONDS = 4.0
"""Between boxes, up to which a thing is taken to go straight, if it is in sight at all."""


@dataclass(frozen=True, eq=False)
class Pointed:
    """What a question points at."""

    boxes_norm: np.ndarray | None = None
    """(N, T, 4) normalised xyxy in the sampled frames, NaN where unseen (the TSF channel); None for nothing."""
    ids: Mapping[int, int] = field(default_factory=dict)
    """By key of a thing, the referent id that its prompt has."""


@dataclass(frozen=True, eq=False)
class Grounded:
    """What an answer speaks of."""

    referents: tuple[Referent, ...] = ()
    """Those with a track come first."""
    targets: tuple[Target, ...] = ()
    """The others, in their order."""


class Grounding:
    """Sampled frames of a video, a dialogue about them, and whom its things are."""

    def __init__(self, model: SparrowModel, video: Video) -> None:
        """Sample frames and let the model look at them."""
        count = model.num_frames
        sampled = video.sample(count)
        self.indices = tuple(sampled + sampled[-1:] * (count - len(sampled)))
        self.dialogue: Dialogue = model.open(video.read(self.indices))
        self._model = model
        self._video = video
        self._ids: dict[int, int] = {}  # key of a thing -> referent id
        self._meant: dict[int, np.ndarray] = {}  # referent id -> (T, 4) boxes of its thing

    def keep(self, known: Mapping[int, str]) -> None:
        """Forget which things the referents are that are not known (any more)."""
        self._ids = {key: i for key, i in self._ids.items() if i in known}

    def recognise(
        self,
        said: Sequence[Referent],
        phrases: Sequence[MarkedPhrase],
        pointed: Pointed,
        history: History,
    ) -> None:
        """Learn from a turn that the dialogue has just taken over whom its things are.

        Args:
            said: the referents of the answer.
            phrases: those of the same answer, as the dialogue gave them.
            pointed: what its question pointed at.
            history: whose referents count; where they are is told to the dialogue.
        """
        names = {referent.span: referent.id for referent in said if referent.id in history.phrases}
        found = {thing: i for thing, i in pointed.ids.items() if i in history.phrases}
        self._ids = {**found, **self._ids}
        for phrase in phrases:
            thing = None if phrase.span not in names else self.dialogue.find(phrase)
            if thing is not None:
                self._ids.setdefault(thing.key, names[phrase.span])
        self.settle([history.tracks[i] for i in names.values() if i in history.tracks])

    def ground(
        self, phrases: Sequence[MarkedPhrase], pointed: Pointed, history: History
    ) -> Grounded:
        """Give the referents of the latest answer, and the targets among them that have no track yet."""
        self._ids = {**pointed.ids, **self._ids}
        new_id = max([history.next_id - 1, *self._ids.values()]) + 1
        referents: dict[int, Referent] = {}
        targets: dict[int, Target] = {}
        for phrase in phrases:
            thing = self.dialogue.find(phrase)
            if thing is None:
                continue
            i = self._identify(thing, history)
            if i is None:
                i, new_id = new_id, new_id + 1
            self._ids[thing.key] = i
            self._meant[i] = thing.boxes_norm
            if i in referents:
                continue
            referents[i] = Referent(i, phrase.text, phrase.span, colour_of(i))
            if i not in history.tracks:
                targets[i] = self._target(i, thing)
        done = [referent for i, referent in referents.items() if i not in targets]
        waiting = [referents[i] for i in targets]
        return Grounded(tuple(done + waiting), tuple(targets.values()))

    def meant(self, referent_id: int) -> dict[int, np.ndarray]:
        """Give the boxes (4,), pixel xyxy, of what a referent was found to be, by sampled frame; empty for none."""
        if referent_id not in self._meant:
            return {}
        found = boxes.to_pixels(self._meant[referent_id], self._video.size_hw)
        return {f: box for f, box in zip(self.indices, found, strict=True) if not np.isnan(box[0])}

    def settle(self, tracks: Sequence[MaskTrack]) -> None:
        """Tell the dialogue where in the sampled frames the things are that were tracked."""
        keys = {i: key for key, i in self._ids.items()}
        for found in tracks:
            if found.referent_id in keys:
                self.dialogue.settle(keys[found.referent_id], self._row(found))

    def point(
        self, prompts: Sequence[Prompt], history: History, cancel: threading.Event | None
    ) -> Pointed:
        """Say where in the sampled frames the things are that the user points at.

        A thing that the dialogue found there takes its place, with the way it goes. It is known by its track
        where it has one; else by the box that was drawn or by following it to the nearest sampled frame. What the
        dialogue did not find is followed over all sampled frames.

        Raises:
            PromptError: a prompt lies outside the video.
            Cancelled: `cancel` was set.
        """
        if not prompts:
            return Pointed()
        tracks = self.dialogue.tracks
        rows: list[np.ndarray] = []
        ids: dict[int, int] = {}
        for i in sorted({prompt.referent_id for prompt in prompts}):
            own = [prompt for prompt in prompts if prompt.referent_id == i]
            thing, row = self._find(own, history.tracks.get(i), tracks, cancel)
            if thing is not None:
                ids.setdefault(thing, i)
            rows.append(row)
        return Pointed(np.stack(rows), ids)

    def _find(
        self,
        prompts: Sequence[Prompt],
        known: MaskTrack | None,
        tracks: np.ndarray,
        cancel: threading.Event | None,
    ) -> tuple[int | None, np.ndarray]:
        """Give the thing among `tracks` that one referent's prompts point at, if there is one, and its boxes (T, 4)."""
        first = min(prompts, key=lambda prompt: prompt.frame)
        near = int(np.abs(np.array(self.indices) - first.frame).argmin())
        hints = [
            self._only(near, boxes.to_norm(prompt.coordinates, self._video.size_hw))
            for prompt in prompts
            if prompt.kind == "box" and prompt.frame == first.frame
        ]
        row = None if known is None else self._row(known)
        if row is not None:
            hints += [self._only(near, row[near]), row]
        for hint in hints:
            thing = same_thing(hint, tracks)
            if thing is not None:
                return thing, tracks[thing]
        if row is not None and not np.isnan(row).all():
            return None, row
        before = None if known is None else {first.referent_id: known}
        target = targets_of(self._video, prompts, before)[0]
        start, stop = sorted((target.anchor, self.indices[near]))
        thing = same_thing(self._follow(target, range(start, stop + 1), cancel), tracks)
        if thing is not None:
            return thing, tracks[thing]
        return None, self._follow(target, sorted({*self.indices, *target.prompts}), cancel)

    def _only(self, place: int, box_norm: np.ndarray) -> np.ndarray:
        """Give boxes (T, 4) of which only one is known."""
        row = np.full((len(self.indices), 4), np.nan, dtype=np.float32)
        row[place] = box_norm
        return row

    def _identify(self, thing: Thing, history: History) -> int | None:
        """Give the referent that a thing is; a track whose thing is not known yet may be its."""
        if thing.key in self._ids:
            return self._ids[thing.key]
        taken = set(self._ids.values())
        free = [i for i in sorted(history.tracks) if i not in taken and i in history.phrases]
        if not free:
            return None
        rows = np.stack([self._row(history.tracks[i]) for i in free])
        best = same_thing(thing.boxes_norm, rows, _SAME_TRACK)
        return None if best is None else free[best]

    def _row(self, found: MaskTrack) -> np.ndarray:
        """Give the boxes of a track in the sampled frames, (T, 4) normalised xyxy, NaN where absent."""
        return boxes.to_norm(found.boxes[list(self.indices)], self._video.size_hw)

    def _target(self, referent_id: int, thing: Thing) -> Target:
        """Prompt a thing with its boxes in the sampled frames, and with its state in the anchor frame."""
        config = self._model.config.grounding
        found = boxes.to_pixels(thing.boxes_norm, self._video.size_hw)
        anchor = self.indices[0 if config.first_anchor else thing.anchor]
        seen = {f: box for f, box in zip(self.indices, found, strict=True) if not np.isnan(box[0])}
        box = seen.get(anchor) if config.box or thing.token is None else None
        token = thing.token if config.seg or box is None else None
        known = self._bridged(seen) if config.box and config.linked else {}
        frames = known if config.memory else range(self._video.num_frames)
        state = None if config.memory else thing.token
        prompts = {
            f: FramePrompt(box=known.get(f), token=state, guessed=f in known and f not in seen)
            for f in frames
        }
        prompts[anchor] = FramePrompt(box=box, token=token)
        return Target(
            referent_id,
            anchor,
            prompts,
            near=near_frames(known, self.indices, self._video.num_frames),
        )

    def _bridged(self, seen: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Add the boxes between those that follow each other closely, on a straight way."""
        bridged = dict(seen)
        reach = _BRIDGE_SECONDS * self._video.fps
        for start, stop in pairwise(sorted(seen)):
            if stop - start > reach:
                continue
            for frame in range(start + 1, stop):
                share = (frame - start) / (stop - start)
                bridged[frame] = (1 - share) * seen[start] + share * seen[stop]
        return bridged

    def _follow(
        self, target: Target, frames: Sequence[int], cancel: threading.Event | None
    ) -> np.ndarray:
        """Track a target through these frames only; gives its boxes on the sampled frames.

        Returns:
            (T, 4) normalised xyxy, NaN where it was not seen or the frame was left out.
        """
        places = {frame: place for place, frame in enumerate(frames)}
        prompts = {places[f]: prompt for f, prompt in target.prompts.items() if f in places}
        held = HeldFrames(self._video.read(frames))
        local = Target(target.referent_id, places[target.anchor], prompts)
        decoder, propose = self._model.pixel_decoder, self._model.snapping
        found = track(decoder, held, [local], propose=propose, cancel=cancel)[0]
        if not found.complete:
            raise Cancelled("pointing was stopped")
        row = np.full((len(self.indices), 4), np.nan, dtype=np.float32)
        for place, frame in enumerate(self.indices):
            if frame in places:
                row[place] = boxes.to_norm(found.boxes[places[frame]], self._video.size_hw)
        return row


def near_frames(known: Collection[int], indices: Collection[int], num_frames: int) -> range | None:
    """Give the frames in which a thing may be, up to the sampled ones before and after in which it was not found.

    Args:
        known: frames in which it was found.
        indices: the sampled frames.
        num_frames: of the video.

    Returns:
        None where it was found nowhere: nothing is known then.
    """
    if not known:
        return None
    before = [frame for frame in indices if frame < min(known)]
    after = [frame for frame in indices if frame > max(known)]
    return range(max(before) + 1 if before else 0, min(after) if after else num_frames)
