"""The command `sparrow bench world`: arguments -> a run, a report and its plots, as files.

What it needs is imported when it runs: `sparrow --help` loads nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sparrow.errors import SparrowError
from sparrow.paths import default_model

if TYPE_CHECKING:
    from sparrow.types import Progress
    from sparrow.world.picture import Which

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

PICTURES: dict[str, Which] = {"train": "train", "held-out": "held_out", "all": "all"}
"""What `--pictures` takes, as the world calls it."""


def add_bench(
    commands: Commands, show: Callable[[Progress], None], end: Callable[[], None]
) -> None:
    """Add the command to the others.

    Args:
        commands: the others.
        show: told how far a run is.
        end: called after that.
    """
    bench = commands.add_parser("bench", help="Measure a model.", allow_abbrev=False)
    text = "Measure a model on clips and dialogues of the world."
    kinds = bench.add_subparsers(required=True, metavar="BENCHMARK")
    parser = kinds.add_parser("world", help=text, description=text, allow_abbrev=False)
    parser.add_argument("--seeds", required=True, metavar="A:B", help="seeds A to B - 1")
    parser.add_argument(
        "--json",
        type=Path,
        required=True,
        metavar="FILE",
        help="for the numbers; beside it .md, tables, and .worlds.jsonl, outcomes by world. "
        "A run that was killed goes on from FILE.part.jsonl",
    )
    parser.add_argument("--difficulty", choices=("easy", "full"), default="full")
    parser.add_argument(
        "--pictures",
        choices=PICTURES,
        default="train",
        help="which of the world's (default: train)",
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=1,
        metavar="N",
        help="processes of about 1 GB (default: 1)",
    )
    parser.add_argument("--plots", action="store_true", help="pictures beside FILE")
    parser.add_argument(
        "--runs",
        type=Path,
        metavar="DIR",
        help="training runs, for --plots to draw how they learnt",
    )
    parser.add_argument(
        "--model", metavar="M", help="folder or hub id (default: SPARROW_MODEL, else sparrow-mini)"
    )
    parser.set_defaults(handler=lambda arguments: _world(arguments, show, end))


def _world(
    arguments: argparse.Namespace, show: Callable[[Progress], None], end: Callable[[], None]
) -> None:
    from sparrow.bench.report import markdown, report_on, write_report
    from sparrow.world.splits import parse_seeds

    seeds = parse_seeds(arguments.seeds)
    if arguments.runs is not None and not (arguments.plots and arguments.runs.is_dir()):
        raise SparrowError("bench: --runs goes with --plots and names a folder of training runs")
    from sparrow.bench.running import run  # torch: after what can fail at once
    from sparrow.bench.worlds import Order

    order = Order(
        arguments.model or default_model(), arguments.difficulty, PICTURES[arguments.pictures]
    )
    part = arguments.json.with_name(arguments.json.name + ".part.jsonl")
    worlds = run(order, seeds, part, workers=arguments.workers, progress=show)
    end()
    report = report_on(worlds, seeds=seeds, difficulty=order.difficulty, pictures=order.pictures)
    plots = []
    if arguments.plots:
        from sparrow.bench.plots import write_plots  # matplotlib: only for who draws

        plots = write_plots(report, arguments.json, arguments.runs)
    write_report(report, arguments.json, plots)
    part.replace(arguments.json.with_suffix(".worlds.jsonl"))
    print(markdown(report))


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)
