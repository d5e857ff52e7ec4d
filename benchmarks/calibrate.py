"""Make a model's confidence tell how good its masks are: fit two curves on worlds, store them in its config.

    python -m benchmarks.calibrate --model DIR --seeds 8031000:8031100 [--write]

Things are pointed at by a box in their best view and followed; the score of each mask is compared with its J with the
thing that the track is on. One curve is for frames with a box (drawn, or a proposal that fits), one for those where
memory is alone. What is printed as calibrated was fitted on the other half of the worlds; what is written, on all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from sparrow.bench.calibration import Reliability, fit
from sparrow.bench.judging import judge_pointed
from sparrow.bench.truth import Truth
from sparrow.confidence import Curve
from sparrow.errors import SparrowError
from sparrow.model import checkpoint
from sparrow.model.config import SparrowConfig
from sparrow.model.memory import Memory
from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder
from sparrow.model.sam import Decoded, FrameFeatures
from sparrow.model.sparrow import SparrowModel
from sparrow.model.threads import threads
from sparrow.model.tracking import Target, confidence, track
from sparrow.targets import HeldFrames
from sparrow.world.picture import Atlas, load_atlas
from sparrow.world.scene import Difficulty, Scene
from sparrow.world.splits import parse_seeds

THINGS = 3
"""Of a world, at most."""
PLAIN = Curve()


class Recording(PixelDecoder):
    """A PixelDecoder that writes down, by frame, whether it had a prompt and how sure it was."""

    def __init__(self, decoder: PixelDecoder) -> None:
        super().__init__(decoder.config)
        self.load_state_dict(decoder.state_dict())
        self.eval()
        self.told: dict[int, tuple[bool, float]] = {}

    def step(
        self,
        features: FrameFeatures,
        prompt: FramePrompt | None,
        previous: torch.Tensor | None,
        memory: Memory,
        frame: int,
        size_hw: tuple[int, int],
        *,
        reverse: bool = False,
        there: bool = False,
    ) -> Decoded:
        decoded = super().step(
            features, prompt, previous, memory, frame, size_hw, reverse=reverse, there=there
        )
        self.told[frame] = prompt is not None, confidence(decoded, PLAIN)
        return decoded


@dataclass(frozen=True)
class Masks:
    """n frames in which a track had a mask."""

    aided: np.ndarray
    """(n,) bool: was there a box?"""
    scores: np.ndarray
    """(n,) in [0, 1] as the decoder gives them."""
    j: np.ndarray
    """(n,) with the thing that the track is on."""

    def of(self, chosen: np.ndarray) -> Masks:
        """Keep some of them, (n,) bool."""
        return Masks(self.aided[chosen], self.scores[chosen], self.j[chosen])


@dataclass(frozen=True)
class Curves:
    """For frames with a box, and for those without."""

    aided: Curve
    unaided: Curve

    @classmethod
    def fitted(cls, masks: Masks) -> Curves:
        """Fit both; the plain one where there is no such frame."""
        parts = [masks.of(masks.aided == aided) for aided in (True, False)]
        return cls(*(fit(part.scores, part.j) if len(part.j) else PLAIN for part in parts))

    def __call__(self, masks: Masks) -> np.ndarray:
        """Calibrate scores, (n,)."""
        return np.where(masks.aided, self.aided(masks.scores), self.unaided(masks.scores))


def follow(
    model: SparrowModel, recording: Recording, scene: Scene
) -> Iterator[tuple[bool, float, float]]:
    """Follow some things of a scene; gives whether there was a box, the score and J of each mask."""
    drawn = [scene.render(frame) for frame in range(scene.num_frames)]
    truth = Truth(
        np.stack([frame.masks for frame in drawn]), np.stack([frame.visibility for frame in drawn])
    )
    video = HeldFrames(np.stack([frame.rgb for frame in drawn]))
    shown = [thing for thing in range(truth.num_things) if truth.first(thing) is not None]
    rng = np.random.Generator(np.random.PCG64([scene.seed, 3]))
    for thing in rng.permutation(shown)[:THINGS]:
        frame, box = truth.best_view(thing)
        target = Target(1, frame, {frame: FramePrompt(box=box)})
        recording.told.clear()
        (found,) = track(recording, video, [target], propose=model.snapping)
        pairs = judge_pointed(found, truth, int(thing)).sure
        for place, (_, _, j) in zip(np.flatnonzero(found.visible()), pairs, strict=True):
            yield (*recording.told[int(place)], j)


def measure(model: SparrowModel, seeds: range, difficulty: Difficulty, atlas: Atlas) -> list[Masks]:
    """Gather the masks of each world."""
    recording, worlds = Recording(model.pixel_decoder), []
    for seed in seeds:
        scene = Scene.sample(seed, difficulty=difficulty, atlas=atlas)
        with threads(1):
            rows = np.array(list(follow(model, recording, scene))).reshape(-1, 3)
        worlds.append(Masks(rows[:, 0] > 0, rows[:, 1], rows[:, 2]))
    return worlds


def joined(worlds: Sequence[Masks]) -> Masks:
    """Put the masks of worlds together."""
    return Masks(
        np.concatenate([w.aided for w in worlds]),
        np.concatenate([w.scores for w in worlds]),
        np.concatenate([w.j for w in worlds]),
    )


def held_out(worlds: Sequence[Masks]) -> tuple[np.ndarray, Masks]:
    """Give scores (n,) that the curves fitted on the other half of the worlds make, and the masks."""
    halves = [joined(worlds[half::2]) for half in (0, 1)]
    curved = [Curves.fitted(halves[1 - half])(halves[half]) for half in (0, 1)]
    return np.concatenate(curved), joined(halves)


def describe(name: str, scores: np.ndarray, j: np.ndarray) -> str:
    """Say how far scores are from J: expected calibration error, Brier score, correlation, bins."""
    found = Reliability.of(scores, j)
    bins = " ".join(
        f"{score:.2f}:{own:.2f}"
        for _, score, own in found.bins
        if score is not None and own is not None
    )
    brier = float(np.mean((scores - j) ** 2))
    together = float(np.corrcoef(scores, j)[0, 1])
    return (
        f"{name}: {found.frames} masks, error {found.error:.3f}, Brier {brier:.3f}, "
        f"correlation {together:.2f}; score:J by bin {bins}"
    )


def write(folder: Path, curves: Curves) -> None:
    """Store curves in a model's config.json.

    Raises:
        ModelError: it is not a model's folder.
    """
    config = checkpoint.read_config(checkpoint.find(folder), SparrowConfig)
    sam = replace(config.sam, confidence=curves.aided, confidence_unaided=curves.unaided)
    checkpoint.write_config(folder, replace(config, sam=sam))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", required=True, metavar="A:B", help="two worlds at least")
    parser.add_argument("--difficulty", choices=("easy", "full"), default="full")
    parser.add_argument("--write", action="store_true", help="store the curves in DIR/config.json")
    arguments = parser.parse_args(argv)
    seeds = parse_seeds(arguments.seeds)
    if len(seeds) < 2:
        raise SparrowError(f"calibrate: expected two worlds at least, got {len(seeds)}")
    model = SparrowModel.from_pretrained(arguments.model)
    worlds = measure(model, seeds, arguments.difficulty, load_atlas())
    scores, masks = held_out(worlds)
    print(describe("as the decoder says", masks.scores, masks.j))
    print(describe("calibrated", scores, masks.j))
    curves = Curves.fitted(joined(worlds))
    if arguments.write:
        write(arguments.model, curves)
    print(f"with a box {curves.aided}, without {curves.unaided}{', written' * arguments.write}")


if __name__ == "__main__":
    main()
