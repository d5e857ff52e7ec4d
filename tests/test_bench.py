"""The judge on answers whose worth is known, the means, and a run over real clips with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparrow.bench import Outcome, Pointing, Report, Scores, judge, markdown, write_report
from sparrow.cli import main
from sparrow.types import GroundedAnswer, MaskTrack, Referent
from sparrow.world.dialogue import QA, Phrase
from tests.made_models import save_random_model

TEXT = "the fox and the lemon are moving."
FOX, LEMON = Phrase("the fox", (0, 7), 1), Phrase("the lemon", (12, 21), 2)


def square(x: int, y: int = 10, side: int = 12) -> np.ndarray:
    mask = np.zeros((48, 64), dtype=bool)
    mask[y : y + side, x : x + side] = True
    return mask


NOTHING = np.zeros((48, 64), dtype=bool)
# Thing 1 moves right; thing 2 stands, is out of sight from frame 3 to 6, and comes back; thing 3 stands.
TRUTH = np.stack(
    [
        np.stack([square(2 + t), square(40) if not 3 <= t < 7 else NOTHING, square(20, y=30)])
        for t in range(10)
    ]
)  # (T, N, H, W)


def question(*phrases: Phrase, family: str = "motion") -> QA:
    things = tuple(phrase.thing_id for phrase in phrases)
    return QA(family, "what is moving?", TEXT, phrases, things, ())


def answer(*followed: np.ndarray, text: str = TEXT) -> GroundedAnswer:
    """Make an answer with a track for each (T, H, W) that was followed."""
    referents = tuple(Referent(i, "", (0, 0), "#000000") for i in range(1, len(followed) + 1))
    tracks = tuple(
        MaskTrack.from_masks(i, list(masks), [1.0] * len(masks))
        for i, masks in enumerate(followed, start=1)
    )
    return GroundedAnswer(text, referents, tracks)


def test_perfect_answer() -> None:
    outcome = judge(question(FOX, LEMON), answer(TRUTH[:, 0], TRUTH[:, 1]), TRUTH)
    assert outcome == Outcome(
        family="motion",
        exact=True,
        j=(1.0, 1.0),
        f=(1.0, 1.0),
        right=(True, True),
        missed=False,
        reentries=(True,),
        frames=16,
    )


def test_order_of_the_tracks_does_not_matter() -> None:
    outcome = judge(question(FOX, LEMON), answer(TRUTH[:, 1], TRUTH[:, 0]), TRUTH)
    assert outcome.j == (1.0, 1.0)
    assert outcome.right == (True, True)


def test_nothing_grounded_scores_nothing() -> None:
    outcome = judge(question(FOX, LEMON), answer(text="there is no fox."), TRUTH)
    assert (outcome.exact, outcome.missed, outcome.refused) == (False, True, None)
    assert outcome.j == outcome.f == (0.0, 0.0)
    assert outcome.right == (False, False)
    assert outcome.reentries == (False,)


def test_one_too_many_scores_zero() -> None:
    outcome = judge(question(FOX), answer(TRUTH[:, 0], TRUTH[:, 2]), TRUTH)
    assert outcome.j == (1.0, 0.0)
    assert outcome.right == (True,)


def test_wrong_thing_is_not_chosen_right() -> None:
    outcome = judge(question(FOX), answer(TRUTH[:, 2]), TRUTH)
    assert outcome.right == (False,)
    assert outcome.j == (0.0,)


def test_an_empty_track_is_on_nothing() -> None:
    outcome = judge(question(LEMON), answer(np.zeros_like(TRUTH[:, 1])), TRUTH)
    assert outcome.right == (False,)
    assert outcome.j == (pytest.approx(0.4),)  # right only in the four frames without the lemon
    assert outcome.frames == 0


def test_switch_to_another_thing_is_counted() -> None:
    followed = np.concatenate([TRUTH[:4, 0], TRUTH[4:8, 2], TRUTH[8:, 0]])
    outcome = judge(question(FOX), answer(followed), TRUTH)
    assert (outcome.switches, outcome.frames) == (2, 10)
    assert Scores.of([outcome]).id_switches_per_100 == 20.0


def test_lost_after_return_is_no_reentry() -> None:
    followed = TRUTH[:, 1].copy()
    followed[7:] = False
    outcome = judge(question(LEMON), answer(followed), TRUTH)
    assert outcome.reentries == (False,)


@pytest.mark.parametrize(("grounded", "refused"), [((), True), ((TRUTH[:, 0],), False)])
def test_refusal_of_what_is_absent(grounded: tuple[np.ndarray, ...], refused: bool) -> None:
    outcome = judge(question(family="absent"), answer(*grounded), TRUTH)
    assert (outcome.refused, outcome.missed) == (refused, None)
    assert outcome.j == (0.0,) * len(grounded)


@pytest.mark.parametrize(
    ("text", "said"), [("Fox and lemon.", True), ("this is a firefox.", False), ("", False)]
)
def test_noun_is_a_whole_word(text: str, said: bool) -> None:
    outcome = judge(question(family="pointed"), answer(text=text), TRUTH, ["fox"])
    assert outcome.nouns == (said,)


def test_means_leave_out_what_was_not_asked() -> None:
    nothing = Scores.of([])
    assert nothing.questions == 0
    assert {nothing.j, nothing.answer_accuracy, nothing.id_switches_per_100} == {None}
    scores = Scores.of(
        [
            Outcome(
                "motion", exact=True, j=(1.0, 0.5), f=(0.5, 0.5), right=(True, False), missed=False
            ),
            Outcome("absent", exact=False, refused=True),
        ]
    )
    assert (scores.j, scores.f, scores.j_and_f) == (0.75, 0.5, 0.625)
    assert (scores.answer_accuracy, scores.refusal_recall, scores.false_refusals) == (0.5, 1.0, 0.0)
    assert (scores.referent_chosen_right, scores.reentry_recall) == (0.5, None)


def test_report_is_written_as_json_and_table(tmp_path: Path) -> None:
    scores = Scores.of([Outcome("look", exact=True, j=(0.5,), f=(0.7,), missed=False)])
    report = Report((5, 6), "easy", "bird", scores, {"look": scores}, Pointing(1, 0.9, 0.8))
    write_report(report, tmp_path / "new" / "world.json")
    content = json.loads((tmp_path / "new" / "world.json").read_text())
    assert content["seeds"] == [5, 6]
    assert content["overall"] == content["families"]["look"]
    assert content["overall"]["j_and_f"] == pytest.approx(0.6)
    assert content["overall"]["refusal_recall"] is None
    table = (tmp_path / "new" / "world.md").read_text()
    assert table == markdown(report) + "\n"
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert "| look | 1 | 0.500 | 0.700 | 0.600 | 1.000 | – |" in table


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("random-model"))


def test_bench_world_measures_a_random_model(
    random_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "world.json"
    rest = ["--difficulty", "easy", "--json", str(out), "--model", str(random_model)]
    assert main(["bench", "world", "--seeds", "8100000:8100001", *rest]) == 0
    report = json.loads(out.read_text())
    assert (report["seeds"], report["difficulty"]) == ([8100000, 8100001], "easy")
    assert report["model"] == "sparrow-mini"
    keys = {"j", "f", "j_and_f", "answer_accuracy", "refusal_recall", "false_refusals"}
    keys |= {"reentry_recall", "id_switches_per_100"}
    for scores in (report["overall"], *report["families"].values()):
        assert keys <= set(scores)
        given = [value for key, value in scores.items() if value is not None and key in keys]
        assert all(0 <= value <= 1 for value in given if value is not scores["id_switches_per_100"])
    questions = sum(scores["questions"] for scores in report["families"].values())
    assert questions == report["overall"]["questions"] >= 1
    assert "| **all** |" in capsys.readouterr().out
