"""Reports as files: the JSON that is promised, tables whose rows fit, plots that open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from sparrow.bench.outcome import Outcome, World
from sparrow.bench.plots import learning, write_plots
from sparrow.bench.report import Report, markdown, report_on, write_report
from tests.bench.made_worlds import world

PROMISED = {"j", "f", "j_and_f", "answer_accuracy", "refusal_recall", "false_refusals"} | {
    "reentry_recall",
    "id_switches_per_100",
}


def made(difficulty: str = "full", pictures: str = "train") -> Report:
    worlds = [world(seed) for seed in range(5, 9)]
    return report_on(worlds, seeds=range(5, 9), difficulty=difficulty, pictures=pictures)


def test_json_holds_what_is_promised(tmp_path: Path) -> None:
    write_report(made(), tmp_path / "new" / "world.json")
    content = json.loads((tmp_path / "new" / "world.json").read_text())
    assert (content["seeds"], content["difficulty"], content["model"]) == ([5, 9], "full", "bird")
    assert content["pictures"] == "train"
    assert set(content["families"]) == {"noun", "absent"}
    for scores in (content["overall"], *content["families"].values()):
        assert set(scores) >= PROMISED
    assert content["overall"]["refusal_recall"] == 1.0
    assert content["families"]["absent"]["j"] is None
    assert content["pointing"]["clips"] == 3
    assert content["proposals"]["recall_50"]["16"] == pytest.approx(2 / 3)
    assert len(content["calibration"]["answers"]["bins"]) == 10
    assert {goal["name"] for goal in content["goals"]} >= {"answers exact", "re-entry recall"}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["world.json", "world.md"]


def test_tables_have_whole_rows(tmp_path: Path) -> None:
    report = made()
    write_report(report, tmp_path / "world.json", [tmp_path / "world.families.png"])
    text = (tmp_path / "world.md").read_text()
    assert text.startswith(markdown(report))
    assert "![world.families](world.families.png)" in text
    families, aims = (
        [line for line in part.splitlines() if line.startswith("|")]
        for part in text.split("| goal |")
    )
    assert len({row.count("|") for row in families}) == 1
    assert len({row.count("|") for row in aims if "---" not in row}) == 1
    assert "| absent | 4 | – |" in text
    assert "| absent things refused | >= 0.95 | 1.000 | yes |" in text
    assert "pictures seen in training" in text


def test_other_difficulties_and_pictures_are_named_and_have_no_goals() -> None:
    report = made("easy", "held_out")
    assert report.goals == ()
    assert "held-out pictures" in markdown(report)
    assert "| goal |" not in markdown(report)


def test_a_world_without_any_question_has_a_report() -> None:
    empty = World(3, "bird", (), None, ())
    report = report_on([empty], seeds=range(3, 4), difficulty="full", pictures="train")
    assert report.overall.questions == 0
    assert "| **all** | 0 | – |" in markdown(report)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


def test_plots_open_with_learning_curves(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, lines in {
        "tracker": [{"kind": "train", "step": 1, "loss": 2.0}, {"kind": "validation", "step": 1}],
        "language": [
            {"kind": "train", "step": step, "loss": 1 / step, "words": 0.1} for step in (1, 2, 3)
        ]
        + [{"kind": "validation", "step": 3, "score": 0.5}],
        "empty": [],
    }.items():
        (runs / name).mkdir(parents=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (runs / name / "log.jsonl").write_text(text + '{"kind": "tra')  # being written
    files = write_plots(made(), tmp_path / "out" / "world.json", runs)
    assert [path.name for path in files] == [
        f"world.{name}.png" for name in ("families", "reliability", "learning")
    ]
    assert all(min(_size(path)) > 200 for path in files)
    assert sorted((tmp_path / "out").iterdir()) == sorted(files)


def test_a_resumed_run_is_drawn_once(tmp_path: Path) -> None:
    (tmp_path / "tracker").mkdir()
    steps = [(1, 9.0), (2, 8.0), (3, 7.0), (2, 5.0), (3, 4.0)]
    lines = [json.dumps({"kind": "train", "step": s, "loss": v}) for s, v in steps]
    (tmp_path / "tracker" / "log.jsonl").write_text("\n".join(lines) + "\n")
    figure = learning(tmp_path)
    assert figure is not None
    (curve,) = figure.axes[0].lines
    assert curve.get_xydata().tolist() == [[1, 9], [2, 5], [3, 4]]


@pytest.mark.parametrize("runs", [None, "none"])
def test_plots_without_runs_and_without_answers(tmp_path: Path, runs: str | None) -> None:
    nothing = World(3, "bird", (Outcome("count", True),), None, ())
    report = report_on([nothing], seeds=range(3, 4), difficulty="easy", pictures="train")
    files = write_plots(report, tmp_path / "world.json", tmp_path if runs else None)
    assert [path.name for path in files] == ["world.families.png", "world.reliability.png"]
    assert all(min(_size(path)) > 150 for path in files)
