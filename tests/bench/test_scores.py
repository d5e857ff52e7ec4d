"""Means over outcomes, and the goals that they are compared with."""

from __future__ import annotations

import dataclasses

import pytest

from sparrow.bench.goals import Goal, goals
from sparrow.bench.outcome import Outcome, Pointed
from sparrow.bench.scores import Pointing, Proposing, Scores, reliability
from tests.bench.made_worlds import world


def test_of_nothing_nothing_is_known() -> None:
    nothing = Scores.of([])
    assert nothing.questions == 0
    assert set(dataclasses.astuple(nothing)[1:]) == {None}
    assert dataclasses.astuple(Pointing.of([])) == (0, None, None)
    proposing = Proposing.of([])
    assert (proposing.things, proposing.recall_50["1"], proposing.recall_75["16"]) == (
        0,
        None,
        None,
    )


def test_means_leave_out_what_was_not_asked() -> None:
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


def test_referents_returns_and_frames_are_counted_singly() -> None:
    many = Outcome("noun", True, returns=(True, True, True), switches=2, frames=50)
    one = Outcome("noun", True, returns=(False,), switches=1, frames=250)
    scores = Scores.of([many, one])
    assert scores.reentry_recall == 0.75
    assert scores.id_switches_per_100 == 1.0


def test_late_referents_are_scored_apart_and_those_too_many_are_not() -> None:
    outcome = Outcome("noun", True, j=(1.0, 0.5, 0.0), f=(1.0, 0.3, 0.0), late=(False, True))
    assert Scores.of([outcome]).late_j_and_f == pytest.approx(0.4)
    assert (
        Scores.of([Outcome("noun", True, j=(1.0,), f=(1.0,), late=(False,))]).late_j_and_f is None
    )


def test_confidence_is_compared_with_what_was_meant_or_with_what_is_followed() -> None:
    wrong = Outcome("noun", True, sure=((0.9, 0.0, 0.9),))
    assert reliability([wrong]).error == pytest.approx(0.9)
    assert reliability([wrong], followed=True).error == pytest.approx(0.0)
    assert Scores.of([wrong]).calibration_error == pytest.approx(0.9)


def test_proposals_are_found_among_the_first() -> None:
    proposing = Proposing.of([world(1), world(2)])
    assert proposing.things == 6
    assert proposing.recall_50 == pytest.approx({"1": 1 / 3, "5": 1 / 3, "10": 2 / 3, "16": 2 / 3})
    assert proposing.recall_75 == pytest.approx({"1": 0, "5": 1 / 3, "10": 1 / 3, "16": 1 / 3})


def test_pointing_is_a_mean_over_clips() -> None:
    assert Pointing.of([Pointed(0.5, 0.25), Pointed(1.0, 0.75)]) == Pointing(2, 0.75, 0.5)


@pytest.mark.parametrize(
    ("at_most", "figure", "reached"),
    [(False, 0.8, True), (False, 0.79, False), (True, 0.8, True), (True, 0.81, False)],
)
def test_a_goal_is_reached_on_its_side(at_most: bool, figure: float, reached: bool) -> None:
    assert Goal("", 0.8, at_most, figure).reached is reached
    assert Goal("", 0.8, at_most, None).reached is None


def test_goals_count_their_own_families() -> None:
    outcomes = [
        Outcome("noun", True, j=(0.9,), f=(0.9,), late=(True,), missed=False),
        Outcome("event", False, j=(0.1,), f=(0.1,), late=(False,), missed=True),
    ]
    found = {goal.name: goal for goal in goals(outcomes)}
    assert (found["J&F by noun or look"].figure, found["J&F by noun or look"].reached) == (
        0.9,
        True,
    )
    assert found["J&F by motion, event, relation"].figure == pytest.approx(0.1)
    assert found["J&F of what is absent in frame 0"].figure == pytest.approx(0.9)
    assert (found["false refusals"].figure, found["false refusals"].reached) == (0.5, False)
    assert found["re-entry recall"].reached is None
