"""The world of a seed, a model -> the outcomes of a conversation about it, of pointing, and of its proposals.

Asks as a user would, through a Chat. Knows no model and no file that stays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparrow import boxes as boxes_of
from sparrow.bench.judging import judge, judge_pointed, judge_proposals
from sparrow.bench.outcome import Outcome, Pointed, Ranks, World
from sparrow.bench.truth import Truth
from sparrow.ingest import open_video
from sparrow.masks import box_of
from sparrow.model.config import GroundingConfig
from sparrow.model.threads import threads
from sparrow.pipeline import Chat, Sparrow
from sparrow.types import Prompt
from sparrow.video import Video
from sparrow.world.clip import CLIP, write_clip
from sparrow.world.dialogue import ask, dialogue
from sparrow.world.picture import Atlas, Which
from sparrow.world.scene import Difficulty, Scene

TURNS = 5
"""Questions of a clip's conversation; one more points at something."""
NOUN_PIXELS = 24
"""Longer side from which a pointed thing must be called by its noun."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is measured, and on what kind of worlds."""

    model: str
    """Folder or hub id."""
    difficulty: Difficulty = "full"
    pictures: Which = "train"
    """Those that training may see, those held out from it, or all."""
    grounding: GroundingConfig | None = None
    """In place of the model's own; for ablations."""


def load(order: Order) -> Sparrow:
    """Load an order's model.

    Raises:
        ModelError: it cannot be found, or its files do not fit.
    """
    sparrow = Sparrow.from_pretrained(order.model)
    if order.grounding is not None:
        sparrow.model.config = replace(sparrow.model.config, grounding=order.grounding)
    return sparrow


def measure(sparrow: Sparrow, order: Order, atlas: Atlas, seed: int, folder: Path) -> World:
    """Measure a model on the world of a seed, in one thread: the same numbers every time.

    Args:
        sparrow: what `load` gave for the order.
        order: what is measured.
        atlas: where the world's pictures come from.
        seed: of the world.
        folder: for files that are gone afterwards.
    """
    scene = Scene.sample(seed, difficulty=order.difficulty, atlas=atlas, pictures=order.pictures)
    with threads(1), tempfile.TemporaryDirectory(dir=folder) as name:
        own = Path(name)
        truth = Truth.of(write_clip(scene, own, dialogues=0))
        video = open_video(own / CLIP, workdir=own / "opened")
        return World(
            seed,
            str(sparrow.card["name"]),
            tuple(_converse(sparrow.chat(video), scene, truth)),
            _point(sparrow, video, truth, seed),
            tuple(_propose(sparrow, video, truth)),
        )


def _converse(chat: Chat, scene: Scene, truth: Truth) -> Iterator[Outcome]:
    """Hold the conversation that the scene's seed gives."""
    rng = np.random.Generator(np.random.PCG64([scene.seed, 1]))
    pointing = ask(scene, rng, "pointed")
    for qa in (*dialogue(scene, rng, TURNS), *((pointing,) if pointing else ())):
        prompts, nouns = [], []
        for offset, thing in enumerate(qa.pointed):
            frame, box = truth.best_view(thing - 1)
            prompts.append(Prompt(chat.next_id + offset, frame, "box", box))
            if max(box[2] - box[0], box[3] - box[1]) >= NOUN_PIXELS:
                nouns.append(scene.things[thing - 1].noun)
        answer = chat.ask(qa.question, prompts)
        meant = {referent.id: chat.meant(referent.id) for referent in answer.referents}
        yield judge(qa, answer, truth, nouns=nouns, meant=meant)


def _point(sparrow: Sparrow, video: Video, truth: Truth, seed: int) -> Pointed | None:
    """Follow one thing from a box in the first frame; None if nothing is there."""
    rng = np.random.Generator(np.random.PCG64([seed, 2]))
    there = np.flatnonzero(truth.masks[0].any(axis=(1, 2)))
    if not there.size:
        return None
    thing = int(rng.choice(there))
    (track,) = sparrow.track(video, [Prompt(1, 0, "box", box_of(truth.masks[0, thing]))])
    return judge_pointed(track, truth, thing)


def _propose(sparrow: Sparrow, video: Video, truth: Truth) -> Iterator[Ranks]:
    """Judge the proposals in the frames that the language side looks at."""
    frames = video.sample(sparrow.model.num_frames)
    proposed = sparrow.model.propose(video.read(frames))
    boxes = {
        frame: boxes_of.to_pixels(found, video.size_hw)
        for frame, (found, _) in zip(frames, proposed, strict=True)
    }
    return judge_proposals(boxes, truth)
