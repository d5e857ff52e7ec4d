"""A report, and the logs of training runs -> pictures: bars by family, reliability, learning curves.

Draws with matplotlib's objects alone: no window, no global state. Knows no model.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparrow.bench.calibration import Reliability
from sparrow.bench.report import Report
from sparrow.whole import whole

logger = logging.getLogger(__name__)

_DPI = 110
_BLUE, _ORANGE, _GREY = "#3b6fb6", "#d9822b", "#8a8a8a"
_COLUMNS = 3
_MOST_RUNS = 24


def write_plots(report: Report, path: Path, runs: Path | None = None) -> list[Path]:
    """Draw a report's plots beside its JSON file, same name with .families.png and so on.

    Args:
        report: the numbers.
        path: of the JSON.
        runs: folder of training runs, each with a log.jsonl; None or none there: no learning curves.

    Returns:
        The files written.
    """
    figures = {"families": families(report), "reliability": reliability(report)}
    curves = None if runs is None else learning(runs)
    if curves is not None:
        figures["learning"] = curves
    path.parent.mkdir(parents=True, exist_ok=True)
    files = []
    for name, figure in figures.items():
        target = path.with_suffix(f".{name}.png")
        with whole(target) as part:
            figure.savefig(part, format="png", dpi=_DPI)
        files.append(target)
    return files


def families(report: Report) -> Figure:
    """Draw J&F and the share of exact answers for each family and for all."""
    rows = [*report.families.items(), ("all", report.overall)][::-1]
    figure = Figure(figsize=(7, 1.5 + 0.38 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for shift, label, colour, values in (
        (0.2, "J&F", _BLUE, [scores.j_and_f for _, scores in rows]),
        (-0.2, "exact answers", _ORANGE, [scores.answer_accuracy for _, scores in rows]),
    ):
        known = [(place, value) for place, value in enumerate(values) if value is not None]
        places, widths = [place + shift for place, _ in known], [value for _, value in known]
        bars = axes.barh(places, widths, 0.38, label=label, color=colour)
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    axes.set_yticks(range(len(rows)), [f"{name} ({s.questions})" for name, s in rows])
    axes.set_xlim(0, 1.08)
    axes.set_title(
        f"{report.model}, {report.seeds[1] - report.seeds[0]} {report.difficulty} worlds"
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2, frameon=False)
    return figure


def reliability(report: Report) -> Figure:
    """Draw for each tenth of the scores what the masks are worth, and how many there are."""
    sure = report.calibration
    parts = (("what was meant", sure.answers), ("what each track is on", sure.tracks))
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for axes, (name, found) in zip(panels, (*parts, ("pointing", sure.pointing)), strict=True):
        _reliable(axes, name, found)
    panels[0].set_ylabel("mean J (blue), share of the frames (grey)")
    return figure


def learning(runs: Path) -> Figure | None:
    """Draw the loss of each training run and the score of its validations; None where there is no log."""
    logs = {path.parent.name: _log(path) for path in sorted(runs.glob("*/log.jsonl"))}
    logs = {name: lines for name, lines in logs.items() if lines}
    if len(logs) > _MOST_RUNS:
        logger.warning("%s: %d runs, the first %d are drawn", runs, len(logs), _MOST_RUNS)
        logs = dict(list(logs.items())[:_MOST_RUNS])
    if not logs:
        return None
    rows = math.ceil(len(logs) / _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel().tolist()
    for axes, (name, lines) in zip(panels, logs.items(), strict=False):
        _learnt(axes, name, lines)
    for axes in panels[len(logs) :]:
        axes.set_axis_off()
    return figure


def _reliable(axes: Axes, name: str, found: Reliability) -> None:
    width = 1 / len(found.bins)
    middles = [(place + 0.5) * width for place in range(len(found.bins))]
    shares = [frames / max(found.frames, 1) for frames, _, _ in found.bins]
    known = [(score, j) for _, score, j in found.bins if score is not None and j is not None]
    axes.bar(middles, shares, width * 0.9, color=_GREY, alpha=0.35)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    axes.plot([score for score, _ in known], [j for _, j in known], "o-", color=_BLUE)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    error = "" if found.error is None else f", error {found.error:.3f}"
    axes.set_title(f"{name}{error}", fontsize=10)
    axes.set_xlabel("score of the track")


def _learnt(axes: Axes, name: str, lines: Sequence[dict[str, float | str]]) -> None:
    loss = _curve(lines, "train", "loss")
    score = _curve(lines, "validation", "score")
    axes.plot(*loss, color=_BLUE, linewidth=1)
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.set_ylabel("loss", color=_BLUE, fontsize=8)
    if any(value > 0 for value in loss[1]):
        axes.set_yscale("log")
    right = axes.twinx()
    right.plot(*score, "o-", color=_ORANGE, linewidth=1, markersize=2)
    right.set_ylabel("validation score", color=_ORANGE, fontsize=8)
    for side in (axes, right):
        side.tick_params(which="both", labelsize=7)


def _curve(
    lines: Sequence[dict[str, float | str]], kind: str, key: str
) -> tuple[list[float], list[float]]:
    """Give steps and values of what a log tells; a run that was resumed tells the latest."""
    points: dict[float, float] = {}
    for line in lines:
        if line.get("kind") == kind and key in line and "step" in line:
            step = float(line["step"])
            points = {earlier: value for earlier, value in points.items() if earlier < step}
            points[step] = float(line[key])
    return list(points), list(points.values())


def _log(path: Path) -> list[dict[str, float | str]]:
    """Read a log; a last line that is being written is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            logger.info("%s: left out a line that is not whole", path)
    return lines
