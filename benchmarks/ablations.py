"""What each idea brings: the same model grounded in other ways, and the same training without target features.

    python -m benchmarks.ablations grounding --seeds 8032000:8032100 --out runs/ablations [--model M] [--workers 2]
    python -m benchmarks.ablations train configs/ablations/*.yaml [--seeds 0 1 2] [--runs runs]
    python -m benchmarks.ablations trained configs/ablations/*.yaml [--seeds 0 1 2] [--runs runs]

`grounding` measures the same worlds once for each way; the spread is that of the difference between blocks of seeds.
`train` runs each stage once for each seed, `trained` tabulates their best validations; the spread is that of the
difference between runs of the same seed. A difference is called real where it exceeds its spread.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparrow.bench.outcome import World
from sparrow.bench.running import run
from sparrow.bench.scores import Scores
from sparrow.bench.worlds import Order
from sparrow.errors import SparrowError
from sparrow.model.config import GroundingConfig
from sparrow.paths import default_model
from sparrow.train.recipe import train_stage
from sparrow.train.stage import Stage
from sparrow.world.splits import parse_seeds

ONCE = GroundingConfig(linked=False)


@dataclass(frozen=True)
class Way:
    """A way of grounding, and the name of the one that it is compared with."""

    grounding: GroundingConfig
    against: str | None


WAYS = {
    "whole": Way(GroundingConfig(), None),
    "[BOX]s without [SEG]": Way(GroundingConfig(seg=False), "whole"),
    "frame-0 anchor": Way(GroundingConfig(first_anchor=True), "whole"),
    "no memory (framewise)": Way(GroundingConfig(memory=False), "whole"),
    "no linked boxes: [BOX]+[SEG] once": Way(ONCE, "whole"),
    "[SEG] once": Way(GroundingConfig(box=False), "no linked boxes: [BOX]+[SEG] once"),
    "[BOX] once": Way(replace(ONCE, seg=False), "no linked boxes: [BOX]+[SEG] once"),
    "[BOX]+[SEG] once, in frame 0": Way(
        replace(ONCE, first_anchor=True), "no linked boxes: [BOX]+[SEG] once"
    ),
}
FIGURES: dict[str, Callable[[Scores], float | None]] = {
    "J&F": lambda s: s.j_and_f,
    "J&F, absent in frame 0": lambda s: s.late_j_and_f,
    "first-frame J": lambda s: s.first_frame_j,
    "re-entry": lambda s: s.reentry_recall,
    "switches / 100": lambda s: s.id_switches_per_100,
}
VALIDATION = (
    *("easy/exact", "full/exact", "easy/exact_pointed", "full/exact_pointed"),
    *("easy/exact_followup", "full/exact_followup", "easy/box", "full/box", "full/pointer"),
)


@dataclass(frozen=True)
class Difference:
    """How far one thing is from another, measured several times under the same conditions."""

    mean: float
    spread: float
    """Standard deviation of the difference over the times; NaN where there are fewer than two."""

    @classmethod
    def of(cls, values: np.ndarray, reference: np.ndarray) -> Difference:
        """Compare (n,) with (n,), pair by pair; pairs of which one is NaN are left out."""
        apart = values - reference
        apart = apart[~np.isnan(apart)]
        if not len(apart):
            return cls(np.nan, np.nan)
        return cls(float(apart.mean()), float(apart.std(ddof=1)) if len(apart) > 1 else np.nan)

    @property
    def real(self) -> bool:
        """Say whether it exceeds its spread; never where there is none."""
        return bool(abs(self.mean) > self.spread)


def blocks(worlds: Sequence[World], count: int) -> np.ndarray:
    """Give the FIGURES (F, n) of up to `count` runs of neighbouring worlds, NaN where one has no such question."""
    cuts = np.array_split(np.arange(len(worlds)), min(count, len(worlds)))
    columns = []
    for cut in cuts:
        scores = Scores.of([answer for place in cut for answer in worlds[place].answers])
        columns.append([figure(scores) for figure in FIGURES.values()])
    return np.array(columns, dtype=np.float64).T


def table(
    names: Sequence[str],
    measured: Mapping[str, np.ndarray],
    against: Mapping[str, str | None],
) -> str:
    """Lay out measurements as Markdown, and say below which differences are real.

    Args:
        names: of the F figures.
        measured: by row, (F, n): every figure measured n times.
        against: by row, the one that it is compared with.
    """
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    real: list[str] = []
    chance: list[str] = []
    for row, values in measured.items():
        other = against[row]
        cells = []
        for place, name in enumerate(names):
            known = values[place][~np.isnan(values[place])]
            cell = f"{known.mean():.3f}" if len(known) else "–"
            if other is not None:
                apart = Difference.of(values[place], measured[other][place])
                if not np.isnan(apart.mean):
                    spread = "" if np.isnan(apart.spread) else f" ± {apart.spread:.3f}"
                    cell += f" ({apart.mean:+.3f}{spread}{' *' * apart.real})"
                    told = f"{row}: {name} {apart.mean:+.3f} against {other}"
                    (real if apart.real else chance).append(told)
            cells.append(cell)
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    lines += ["", "Beyond the spread (*):", *(f"- {told}" for told in real or ["nothing"])]
    lines += ["", "Within the spread:", *(f"- {told}" for told in chance or ["nothing"])]
    return "\n".join(lines)


def ground(arguments: argparse.Namespace) -> str:
    """Measure every way of grounding; finished worlds are kept, so that a killed run goes on."""
    seeds = parse_seeds(arguments.seeds)
    measured = {}
    for name, way in WAYS.items():
        order = Order(arguments.model, arguments.difficulty, grounding=way.grounding)
        path = arguments.out / f"{_slug(name)}.jsonl"
        worlds = run(order, seeds, path, workers=arguments.workers)
        measured[name] = blocks(worlds, arguments.blocks)
        print(f"{name}: {blocks(worlds, 1)[:, 0].round(3).tolist()}", flush=True)
    return table(list(FIGURES), measured, {name: way.against for name, way in WAYS.items()})


def train(arguments: argparse.Namespace) -> str:
    """Run each stage once for each seed, weights and batches drawn from it."""
    for path in arguments.configs:
        stage = Stage.read(path)
        for seed in arguments.seeds:
            metrics = train_stage(
                replace(stage, name=run_name(stage, seed), seed=seed), arguments.runs
            )
            print(run_name(stage, seed), f"score {metrics['score']:.3f}", flush=True)
    return trained(arguments)


def trained(arguments: argparse.Namespace) -> str:
    """Tabulate the best validations of trained stages; the first config is what the others are compared with.

    Raises:
        SparrowError: a stage was not trained with one of the seeds.
    """
    measured = {}
    for path in arguments.configs:
        stage = Stage.read(path)
        rows = [_best(arguments.runs / run_name(stage, seed)) for seed in arguments.seeds]
        columns = [[row.get(name, np.nan) for name in VALIDATION] for row in rows]
        measured[stage.name] = np.array(columns, dtype=np.float64).T
    first = next(iter(measured))
    against = {name: None if name == first else first for name in measured}
    return table(VALIDATION, measured, against)


def run_name(stage: Stage, seed: int) -> str:
    """Name the run of a stage with a seed."""
    return f"{stage.name}-{seed}"


def _best(folder: Path) -> dict[str, float]:
    try:
        content: dict[str, float] = json.loads((folder / "best.json").read_text())
    except OSError as error:
        raise SparrowError(
            f"{folder}: expected a trained stage, found none; run `train` first"
        ) from error
    return content


def _slug(name: str) -> str:
    words = "".join(letter.lower() if letter.isalnum() else " " for letter in name)
    return "-".join(words.split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    commands = parser.add_subparsers(required=True)
    grounding = commands.add_parser("grounding")
    grounding.add_argument("--seeds", required=True, metavar="A:B")
    grounding.add_argument("--out", type=Path, required=True, metavar="DIR", help="keeps outcomes")
    grounding.add_argument("--model", default=default_model())
    grounding.add_argument("--difficulty", choices=("easy", "full"), default="full")
    grounding.add_argument("--workers", type=int, default=1)
    grounding.add_argument("--blocks", type=int, default=5, help="of seeds, for the spread")
    grounding.set_defaults(handler=ground)
    for name, handler in (("train", train), ("trained", trained)):
        command = commands.add_parser(name)
        command.add_argument(
            "configs", type=Path, nargs="+", help="the first is what the others are compared with"
        )
        command.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
        command.add_argument("--runs", type=Path, default=Path("runs"))
        command.set_defaults(handler=handler)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO)
    print(arguments.handler(arguments))


if __name__ == "__main__":
    main()
