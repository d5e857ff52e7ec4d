"""Worlds as the language model sees them, kept on disk: object tokens of each clip and dialogues about it.

The object encoder is frozen while the language learns, so its work is done once per clip; several
noisy views and several dialogues of each clip keep the data fresh. Knows no loss.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from sparrow.model.mini import MiniVideoLLM, Seen
from sparrow.model.tokenizer import ASSISTANT, BOX, END, TSF, USER, WordTokenizer
from sparrow.train.clips import (
    Clip,
    bad_tracks,
    draw_clip,
    noisy_tracks,
    spread_frames,
    track_overlaps,
)
from sparrow.world.dialogue import QA, dialogue
from sparrow.world.picture import Atlas
from sparrow.world.scene import Scene

logger = logging.getLogger(__name__)

Proposals = Sequence[tuple[np.ndarray, np.ndarray]]
_SAME_THING = 0.5  # overlap in space and time from which a track is a thing's
_LOST = 0.04  # share of things that simulated proposals miss
_MIN_FRAMES = 2  # a thing seen less makes no track
_POINTED_JITTER = 0.03


@dataclass(frozen=True)
class ClipOrder:
    """Which clips to see, and how."""

    first_seed: int
    clips: int
    views: int = 2
    """Noisy views of each clip."""
    dialogues: int = 8
    turns: int = 6
    """Longest dialogue."""
    full_share: float = 0.4
    """Share of clips of the full difficulty."""
    size_hw: tuple[int, int] = (192, 256)
    jitter: float = 0.06
    bad: int = 2
    """False tracks that are tried per view, where tracks are simulated."""


@dataclass(frozen=True, slots=True)
class TurnMarks:
    """Where a turn stands in its dialogue's ids and what it is about."""

    family: str
    begins: int
    """Position of the mark that the answer follows."""
    ends: int
    """Position after the answer's end mark."""
    targets: tuple[int, ...]
    """Thing ids."""


@dataclass(frozen=True, slots=True)
class EncodedDialogue:
    """A dialogue as ids."""

    ids: tuple[int, ...]
    turns: tuple[TurnMarks, ...]
    boxes: tuple[tuple[int, int], ...]
    """Position of each [BOX] and the id of its thing."""
    pointed: tuple[int, ...]
    """Thing id for each <tsf> in the order of the ids."""


@dataclass(frozen=True, eq=False)
class View:
    """One way in which a clip was seen: K tracks."""

    tokens: np.ndarray
    """(K, D) float16."""
    numbers: np.ndarray
    """(K, 9 T) float16."""
    scores: np.ndarray
    """(K,) float16."""
    owners: np.ndarray
    """(K,) int64 thing id that the track belongs to, 0 for a false track."""


@dataclass(frozen=True, eq=False)
class SeenClip:
    """A clip of the world, seen."""

    seed: int
    easy: bool
    views: tuple[View, ...]
    true: View
    """Every thing that is in view, on its own track with little noise: what pointing gives."""
    dialogues: tuple[EncodedDialogue, ...]


def encode_dialogue(turns: Sequence[QA], tokenizer: WordTokenizer) -> EncodedDialogue:
    """Write a dialogue as ids, with the places that matter."""
    special = {token: tokenizer.id_of(token) for token in (USER, TSF, ASSISTANT, END, BOX)}
    ids: list[int] = []
    marks, boxes, pointed = [], [], []
    for turn in turns:
        phrases = sorted(turn.phrases, key=lambda phrase: phrase.span)
        ids += [special[USER], *[special[TSF]] * len(turn.pointed)]
        ids += [*tokenizer.encode(turn.question), special[ASSISTANT]]
        begins = len(ids) - 1
        ids += [*tokenizer.encode_answer(turn.answer, [p.span for p in phrases]), special[END]]
        places = [i for i in range(begins, len(ids)) if ids[i] == special[BOX]]
        boxes += [(place, p.thing_id) for place, p in zip(places, phrases, strict=True)]
        pointed += list(turn.pointed)
        marks.append(TurnMarks(turn.family, begins, len(ids), tuple(turn.targets)))
    return EncodedDialogue(tuple(ids), tuple(marks), tuple(boxes), tuple(pointed))


def see_clip(
    llm: MiniVideoLLM,
    seed: int,
    order: ClipOrder,
    atlas: Atlas,
    propose: Callable[[np.ndarray], Proposals] | None = None,
) -> SeenClip:
    """Draw a clip and see it `order.views` times, through a proposer or with simulated mistakes."""
    rng = np.random.default_rng([seed, 3])
    difficulty: Literal["easy", "full"] = "full" if rng.random() < order.full_share else "easy"
    scene = Scene.sample(seed, difficulty=difficulty, atlas=atlas)
    count = llm.config.encoder.num_frames
    clip = draw_clip(scene, spread_frames(scene.num_frames, count), order.size_hw)
    there = np.flatnonzero((~np.isnan(clip.boxes[..., 0])).any(1))
    true = noisy_tracks(clip.boxes[there], rng, _POINTED_JITTER)
    if propose is None:
        drawn = [_simulate(clip, order, rng) for _ in range(order.views)]
        views = [_believed(llm, view) for view in _look(llm, clip, drawn)]
    else:
        views = []
        for _ in range(order.views):
            frames = spread_frames(scene.num_frames, count, float(rng.uniform(0.2, 0.8)))
            own = draw_clip(scene, frames, order.size_hw)
            views.append(_owned(llm.perceive(own.frames, propose(own.frames)), own))
    pointed = _view(llm.see_pointed(clip.frames, true), there + 1)
    told = [dialogue(scene, rng, order.turns) for _ in range(order.dialogues)]
    known = {*(there + 1).tolist()}
    dialogues = tuple(
        encode_dialogue(turns, llm.tokenizer)
        for turns in told
        if all(thing in known for turn in turns for thing in turn.pointed)
    )
    return SeenClip(seed, difficulty == "easy", tuple(views), pointed, dialogues)


@torch.inference_mode()
def see_clips(
    llm: MiniVideoLLM,
    order: ClipOrder,
    atlas: Atlas,
    propose: Callable[[np.ndarray], Proposals] | None = None,
) -> list[SeenClip]:
    """See all clips of an order."""
    clips = []
    for seed in range(order.first_seed, order.first_seed + order.clips):
        clips.append(see_clip(llm, seed, order, atlas, propose))
        if len(clips) % 500 == 0:
            logger.info("seen %d of %d clips", len(clips), order.clips)
    return clips


def save_clips(clips: Sequence[SeenClip], folder: Path) -> None:
    """Write views.npz and clips.jsonl into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    views = [view for clip in clips for view in (*clip.views, clip.true)]
    np.savez(
        folder / "views.npz",
        counts=np.array([len(view.owners) for view in views]),
        tokens=np.concatenate([view.tokens for view in views]),
        numbers=np.concatenate([view.numbers for view in views]),
        scores=np.concatenate([view.scores for view in views]),
        owners=np.concatenate([view.owners for view in views]),
    )
    with (folder / "clips.jsonl").open("w") as file:
        for clip in clips:
            told = [asdict(d) for d in clip.dialogues]
            line = {"seed": clip.seed, "easy": clip.easy, "views": len(clip.views), "told": told}
            file.write(json.dumps(line) + "\n")


def load_clips(folder: Path) -> list[SeenClip]:
    """Read what save_clips wrote."""
    with np.load(folder / "views.npz", allow_pickle=False) as stored:
        ends = np.cumsum(stored["counts"])[:-1]
        names = ("tokens", "numbers", "scores", "owners")
        columns = [np.split(stored[name], ends) for name in names]
    views = iter([View(*row) for row in zip(*columns, strict=True)])
    clips = []
    for line in (folder / "clips.jsonl").read_text().splitlines():
        row = json.loads(line)
        own = tuple(next(views) for _ in range(row["views"]))
        told = tuple(_dialogue(d) for d in row["told"])
        clips.append(SeenClip(row["seed"], row["easy"], own, next(views), told))
    return clips


def _simulate(
    clip: Clip, order: ClipOrder, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw noisy tracks (K, T, 4), some lost, some false, and their owners (K,)."""
    seen = (~np.isnan(clip.boxes[..., 0])).sum(1) >= _MIN_FRAMES
    there = np.flatnonzero(seen & (rng.random(len(seen)) >= _LOST))
    false = bad_tracks(clip.boxes, order.bad, rng)
    tracks = np.concatenate([noisy_tracks(clip.boxes[there], rng, order.jitter), false])
    return tracks, np.append(there + 1, [0] * len(false))


def _look(
    llm: MiniVideoLLM, clip: Clip, groups: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[View]:
    """Encode groups of tracks with their owners, all in one go."""
    seen = llm.see_tracks(clip.frames, np.concatenate([tracks for tracks, _ in groups]))
    whole = _view(seen, np.concatenate([owners for _, owners in groups]))
    ends = np.cumsum([len(owners) for _, owners in groups])[:-1]
    columns = (whole.tokens, whole.numbers, whole.scores, whole.owners)
    return [View(*row) for row in zip(*(np.split(c, ends) for c in columns), strict=True)]


def _believed(llm: MiniVideoLLM, view: View) -> View:
    """Leave out the tracks that the encoder takes for no thing, as perceiving does."""
    tokens = torch.from_numpy(view.tokens).float().to(llm.object_encoder.norm.weight.device)
    sure = llm.object_encoder.objectness_head(tokens).sigmoid().squeeze(1).cpu().numpy()
    keep = sure >= llm.config.min_objectness
    return View(view.tokens[keep], view.numbers[keep], view.scores[keep], view.owners[keep])


def _owned(seen: Seen, clip: Clip) -> View:
    """Say for each linked track which thing it holds; of several the best."""
    overlaps = track_overlaps(seen.tracks.boxes, clip.boxes)  # (K, N)
    owners = np.zeros(len(overlaps), dtype=np.int64)
    for thing in range(overlaps.shape[1]):
        if len(overlaps) and overlaps[:, thing].max() >= _SAME_THING:
            owners[overlaps[:, thing].argmax()] = thing + 1
    return _view(seen, owners)


def _view(seen: Seen, owners: np.ndarray) -> View:
    tokens = seen.tokens.cpu().numpy().astype(np.float16)
    numbers = seen.numbers.cpu().numpy().astype(np.float16)
    return View(tokens, numbers, seen.tracks.scores.astype(np.float16), owners.astype(np.int64))


def _dialogue(row: dict[str, Any]) -> EncodedDialogue:
    turns = tuple(
        TurnMarks(t["family"], t["begins"], t["ends"], tuple(t["targets"])) for t in row["turns"]
    )
    boxes = tuple((int(place), int(thing)) for place, thing in row["boxes"])
    return EncodedDialogue(tuple(row["ids"]), turns, boxes, tuple(row["pointed"]))
