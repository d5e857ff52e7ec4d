"""Outcomes of worlds -> a report: numbers as JSON, tables as Markdown beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparrow.bench.calibration import Reliability
from sparrow.bench.goals import Goal, goals
from sparrow.bench.outcome import World
from sparrow.bench.scores import Pointing, Proposing, Scores, reliability
from sparrow.whole import write_text


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the tracks' scores are from the J of their masks."""

    answers: Reliability
    """Of answers, J with the thing that was meant: a wrong choice counts against the score."""
    tracks: Reliability
    """Of answers, J with the thing that each track is on: what the tracker can know."""
    pointing: Reliability
    """Of what was pointed at."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a run, laid out as its JSON file."""

    seeds: tuple[int, int]
    difficulty: str
    pictures: str
    model: str
    overall: Scores
    families: dict[str, Scores]
    goals: tuple[Goal, ...]
    """Empty where the difficulty is not the one that they are set for."""
    pointing: Pointing
    proposals: Proposing
    calibration: Calibration


def report_on(worlds: Sequence[World], *, seeds: range, difficulty: str, pictures: str) -> Report:
    """Average the outcomes of worlds.

    Args:
        worlds: those of the seeds, at least one, all of one model.
        seeds: which they are.
        difficulty: theirs.
        pictures: which may be in them.
    """
    outcomes = [answer for world in worlds for answer in world.answers]
    pointed = [world.pointed for world in worlds if world.pointed is not None]
    families = sorted({outcome.family for outcome in outcomes})
    return Report(
        (seeds.start, seeds.stop),
        difficulty,
        pictures,
        worlds[0].model,
        Scores.of(outcomes),
        {name: Scores.of([o for o in outcomes if o.family == name]) for name in families},
        goals(outcomes) if difficulty == "full" else (),
        Pointing.of(pointed),
        Proposing.of(worlds),
        Calibration(
            reliability(outcomes), reliability(outcomes, followed=True), reliability(pointed)
        ),
    )


def write_report(report: Report, path: Path, plots: Sequence[Path] = ()) -> None:
    """Write the numbers as JSON, and the tables as Markdown beside it (same name, .md).

    Args:
        report: the numbers.
        path: of the JSON; its folder is made where it does not exist.
        plots: pictures in the same folder, to be shown under the tables.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = "".join(f"\n![{plot.stem}]({plot.name})\n" for plot in plots)
    text = json.dumps(dataclasses.asdict(report), indent=1) + "\n"
    tables = markdown(report) + "\n" + shown
    for target, content in ((path, text), (path.with_suffix(".md"), tables)):
        write_text(target, content)


def markdown(report: Report) -> str:
    """Lay the report out as tables: a row for each family and one for all, the goals, and the rest in lines."""
    first, last = report.seeds[0], report.seeds[1] - 1
    pictures = {"train": "pictures seen in training", "held_out": "held-out pictures"}
    title = (
        f"{report.model} on worlds {first} to {last} ({report.difficulty}, "
        f"{pictures.get(report.pictures, 'all pictures')})"
    )
    return "\n".join([title, "", *_families(report), *_goals(report), "", *_lines(report)])


def _families(report: Report) -> list[str]:
    rows = {**report.families, "**all**": report.overall}
    columns = [field.name.replace("_", " ") for field in dataclasses.fields(Scores)]
    lines = [
        "| family | " + " | ".join(columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for name, scores in rows.items():
        cells = map(cell, dataclasses.astuple(scores))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _goals(report: Report) -> list[str]:
    if not report.goals:
        return []
    lines = ["", "| goal | limit | figure | reached |", "|---|---:|---:|---|"]
    words = {None: "–", True: "yes", False: "no"}
    for goal in report.goals:
        limit = f"{'<=' if goal.at_most else '>='} {goal.limit:.2f}"
        lines.append(f"| {goal.name} | {limit} | {cell(goal.figure)} | {words[goal.reached]} |")
    return lines


def _lines(report: Report) -> list[str]:
    box, proposed, sure = report.pointing, report.proposals, report.calibration
    recall = "; ".join(
        f"IoU {least}: " + ", ".join(f"{cell(value)} @{count}" for count, value in found.items())
        for least, found in ((".5", proposed.recall_50), (".75", proposed.recall_75))
    )
    errors = ", ".join(
        f"{cell(one.error)} {what} ({one.frames} frames, score {cell(one.score)}, J {cell(one.j)})"
        for what, one in (
            ("of answers against what was meant", sure.answers),
            ("against what each track is on", sure.tracks),
            ("of what is pointed at", sure.pointing),
        )
    )
    return [
        f"Pointing with a box in the first frame, {box.clips} clips: overlap there "
        f"{cell(box.key_frame_iou)}, mean J over the clip {cell(box.j)}.",
        "",
        f"Proposal recall of {proposed.things} things in sampled frames: {recall}.",
        "",
        f"Calibration error of the tracks' scores: {errors}.",
    ]


def cell(value: float | int | None) -> str:
    """Write a figure as tables have it."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
