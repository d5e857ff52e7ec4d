"""What crosses the borders between modules: frozen dataclasses over numpy and plain Python.

Conventions: frames are uint8 RGB (n, H, W, 3) in display orientation; boxes are pixel xyxy, the right
and lower edge exclusive; time is seconds; a frame is its index in the normalised video; ids start
at 1 and never change. Nothing here knows of torch, of files or of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from sparrow import masks
from sparrow.errors import PromptError

# Okabe-Ito colours without black, then lighter companions: apart for the colour-blind too.
PALETTE = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#d55e00",
    "#cc79a7",
    "#0072b2",
    "#9ad0b0",
    "#f4b183",
    "#b8a1e3",
)

PromptKind = Literal["point+", "point-", "box", "mask"]


def colour_of(referent_id: int) -> str:
    """Give the colour "#rrggbb" that belongs to a referent id (>= 1)."""
    return PALETTE[(referent_id - 1) % len(PALETTE)]


@dataclass(frozen=True, slots=True)
class Referent:
    """A thing that an answer speaks of."""

    id: int
    """From 1, the same for the same thing in later turns."""
    phrase: str
    """The words of the answer that name it, e.g. "the fox"."""
    span: tuple[int, int] | None
    """Start and end of the phrase in the answer's text; None for a thing that was only pointed at."""
    colour: str
    """ "#rrggbb"."""

    def __post_init__(self) -> None:
        if self.id < 1:
            raise ValueError(f"referent id: expected >= 1, got {self.id}")
        if self.span is not None and not 0 <= self.span[0] <= self.span[1]:
            raise ValueError(f"referent span: expected 0 <= start <= end, got {self.span}")


@dataclass(frozen=True, slots=True, eq=False)
class MaskTrack:
    """The mask of one referent in every frame of a video."""

    referent_id: int
    size_hw: tuple[int, int]
    rles: tuple[bytes | None, ...]
    """Per frame the compressed COCO RLE counts, None where the thing is absent."""
    boxes: np.ndarray
    """(T, 4) float32 pixel xyxy, NaN where absent."""
    scores: np.ndarray
    """(T,) float32 in [0, 1]: how sure the tracker is that this mask is the thing."""
    complete: bool = True
    """False when tracking was stopped early; frames not reached are absent with score 0."""

    def __post_init__(self) -> None:
        frames = len(self.rles)
        if self.boxes.shape != (frames, 4):
            raise ValueError(f"track boxes: expected ({frames}, 4), got {self.boxes.shape}")
        if self.scores.shape != (frames,):
            raise ValueError(f"track scores: expected ({frames},), got {self.scores.shape}")

    @classmethod
    def from_masks(
        cls, referent_id: int, frames: Sequence[np.ndarray], scores: Sequence[float]
    ) -> MaskTrack:
        """Build from bool masks (H, W), one a frame; an all-false mask means absent.

        Raises:
            ValueError: no frame was given (the size would be unknown).
        """
        if not frames:
            raise ValueError("track masks: expected at least one frame, got none")
        builder = TrackBuilder(referent_id, frames[0].shape, len(frames))
        for index, (mask, score) in enumerate(zip(frames, scores, strict=True)):
            builder.put(index, mask, score)
        return builder.build()

    @property
    def num_frames(self) -> int:
        return len(self.rles)

    def mask(self, frame: int) -> np.ndarray:
        """Decode one frame's mask, (H, W) bool; all false where absent."""
        rle = self.rles[frame]
        if rle is None:
            return np.zeros(self.size_hw, dtype=bool)
        return masks.from_rle(rle, self.size_hw)

    def visible(self) -> np.ndarray:
        """Say per frame, (T,) bool, whether there is a mask."""
        return np.array([rle is not None for rle in self.rles], dtype=bool)

    def renamed(self, referent_id: int) -> MaskTrack:
        """Give the same track to another referent id."""
        return replace(self, referent_id=referent_id)


class TrackBuilder:
    """Collects a track frame by frame, in any order, holding only RLE."""

    def __init__(self, referent_id: int, size_hw: tuple[int, ...], num_frames: int) -> None:
        self.referent_id = referent_id
        self.size_hw = (int(size_hw[0]), int(size_hw[1]))
        self._rles: list[bytes | None] = [None] * num_frames
        self._boxes = np.full((num_frames, 4), np.nan, dtype=np.float32)
        self._scores = np.zeros(num_frames, dtype=np.float32)

    @classmethod
    def on(cls, track: MaskTrack) -> TrackBuilder:
        """Begin with a track; frames that are put replace its own."""
        builder = cls(track.referent_id, track.size_hw, track.num_frames)
        builder._rles = list(track.rles)
        builder._boxes = track.boxes.copy()
        builder._scores = track.scores.copy()
        return builder

    def put(self, frame: int, mask: np.ndarray, score: float) -> None:
        """Set one frame from a bool mask (H, W) and a score in [0, 1]."""
        if mask.shape != self.size_hw:
            raise ValueError(f"track mask: expected {self.size_hw}, got {mask.shape}")
        box = masks.box_of(mask)
        self._scores[frame] = score
        self._boxes[frame] = box
        self._rles[frame] = None if np.isnan(box[0]) else masks.to_rle(mask)

    def build(self, *, complete: bool = True) -> MaskTrack:
        return MaskTrack(
            self.referent_id,
            self.size_hw,
            tuple(self._rles),
            self._boxes.copy(),
            self._scores.copy(),
            complete,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What the user pointed at, or corrected, on one frame."""

    referent_id: int
    frame: int
    kind: PromptKind
    coordinates: np.ndarray
    """Pixels of the displayed frame: (2,) x, y for a point; (4,) xyxy for a box; (H, W) bool for a mask."""

    def __post_init__(self) -> None:
        shape = {"point+": (2,), "point-": (2,), "box": (4,)}.get(self.kind)
        if self.kind not in ("point+", "point-", "box", "mask"):
            raise PromptError(
                f"prompt kind: expected point+, point-, box or mask, got {self.kind!r}"
            )
        if self.frame < 0:
            raise PromptError(f"prompt frame: expected >= 0, got {self.frame}")
        if shape is not None:
            if self.coordinates.shape != shape or not np.isfinite(self.coordinates).all():
                raise PromptError(
                    f"{self.kind} prompt: expected {shape[0]} finite pixel numbers, "
                    f"got {self.coordinates.tolist()}"
                )
            if self.kind == "box" and not (self.coordinates[2:] > self.coordinates[:2]).all():
                raise PromptError(
                    "box prompt: expected x0 < x1 and y0 < y1 in pixels, "
                    f"got {self.coordinates.tolist()}; draw from the upper left to the lower right"
                )
        elif self.coordinates.ndim != 2 or self.coordinates.dtype != bool:
            raise PromptError("mask prompt: expected a bool array (H, W)")


@dataclass(frozen=True, slots=True)
class GroundedAnswer:
    """What the model answered, with a track for each referent it grounded."""

    text: str
    """Clean words, without special tokens."""
    referents: tuple[Referent, ...] = ()
    tracks: tuple[MaskTrack, ...] = ()
    frames: tuple[int, ...] = ()
    """The frames that the model looked at, ascending."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time per step, e.g. {"encode": 0.2, "answer": 0.4, "track": 1.1}."""
    complete: bool = True
    """False when the user stopped it."""
    said: tuple[int, ...] = ()
    """The model's own word ids, marks included, so that it can read its answer again exactly when the conversation
    is taken up later; empty where they are unknown. Any list of ids is safe: what does not spell `text` is not used."""
    video_tokens: int = 0
    """Positions of the model's input that the video took; 0 where unknown."""

    def __post_init__(self) -> None:
        if [t.referent_id for t in self.tracks] != [
            r.id for r in self.referents[: len(self.tracks)]
        ]:
            raise ValueError("answer: tracks must belong to the referents, in their order")
        for referent in self.referents:
            if referent.span is not None:
                start, end = referent.span
                if self.text[start:end] != referent.phrase:
                    raise ValueError(
                        f"answer: span {referent.span} is {self.text[start:end]!r}, "
                        f"expected {referent.phrase!r}"
                    )


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    text: str
    prompts: tuple[Prompt, ...] = ()
    answer: GroundedAnswer | None = None

    def __post_init__(self) -> None:
        if (self.role == "assistant") != (self.answer is not None):
            raise ValueError(
                "turn: an answer belongs to the assistant's turns, and to each of them"
            )


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Streamed: words to append to the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Streamed: a step of the work; `done` of `total` units, total 0 when unknown."""

    step: str
    done: int = 0
    total: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class TracksSoFar:
    """Streamed: what tracking has reached; frames not reached yet are absent with score 0."""

    referents: tuple[Referent, ...]
    tracks: tuple[MaskTrack, ...]
    """One for each referent, in their order."""

    def __post_init__(self) -> None:
        if [t.referent_id for t in self.tracks] != [r.id for r in self.referents]:
            raise ValueError("tracks so far: expected one track per referent, in their order")


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What was said and found in a conversation about one video: all that is needed to go on with it."""

    turns: tuple[Turn, ...] = ()
    """Question and answer by turns, beginning with a question."""
    phrases: Mapping[int, str] = field(default_factory=dict)
    """By referent id: the latest words for it."""
    tracks: Mapping[int, MaskTrack] = field(default_factory=dict)
    """By referent id."""
    next_id: int = 1
    """The id that the next new referent gets; the id of a deleted one is never given again."""

    def __post_init__(self) -> None:
        roles = [turn.role for turn in self.turns]
        if roles != ["user", "assistant"] * (len(roles) // 2):
            raise ValueError(f"history: expected questions and answers by turns, got {roles}")
        if any(i >= self.next_id for i in (*self.phrases, *self.tracks)):
            raise ValueError(f"history: expected referent ids below next_id {self.next_id}")

    @property
    def referents(self) -> tuple[Referent, ...]:
        """Everything spoken of or pointed at so far, by id, with its latest phrase."""
        return tuple(
            Referent(i, phrase, None, colour_of(i)) for i, phrase in sorted(self.phrases.items())
        )

    def after(self, question: str, prompts: Sequence[Prompt], answer: GroundedAnswer) -> History:
        """Give the history with one more question and its answer."""
        spoken = {referent.id: referent.phrase for referent in answer.referents}
        return History(
            (
                *self.turns,
                Turn("user", question, tuple(prompts)),
                Turn("assistant", answer.text, (), answer),
            ),
            {**self.phrases, **spoken},
            {**self.tracks, **{track.referent_id: track for track in answer.tracks}},
            max([self.next_id, *(i + 1 for i in spoken), *(p.referent_id + 1 for p in prompts)]),
        )

    def with_track(self, track: MaskTrack, phrase: str) -> History:
        """Give the history with a track that the user pointed out or corrected, under its referent id."""
        i = track.referent_id
        return History(
            self.turns,
            {**self.phrases, i: phrase},
            {**self.tracks, i: track},
            max(self.next_id, i + 1),
        )

    def without(self, referent_id: int) -> History:
        """Give the history without a referent's track and name; answers that spoke of it stay."""
        return History(
            self.turns,
            {i: phrase for i, phrase in self.phrases.items() if i != referent_id},
            {i: track for i, track in self.tracks.items() if i != referent_id},
            self.next_id,
        )

    def before(self, turn: int) -> History:
        """Give the history as words up to turn `turn` (an even index), for asking anew from there.

        Tracks and names stay: what was found keeps its id and colour when it is spoken of again.
        """
        return History(self.turns[:turn], self.phrases, self.tracks, self.next_id)


StreamEvent = TextDelta | Progress | TracksSoFar | GroundedAnswer
