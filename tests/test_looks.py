from __future__ import annotations

import json
from typing import Any

import pytest

from sparrow import looks
from sparrow.looks import MODES, PATTERNS, Look, LookError, pattern_of
from sparrow.types import PALETTE


def test_a_look_survives_json() -> None:
    for mode in MODES:
        for look in (Look(mode), Look(mode, 0, False), Look(mode, 1)):
            assert Look(**json.loads(json.dumps(look.to_json()))) == look


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "erase"},
        {"mode": None},
        {"mode": ["mask"]},
        {"opacity": -0.1},
        {"opacity": 1.5},
        {"opacity": float("nan")},
        {"opacity": "0.5"},
        {"opacity": None},
        {"label": "yes"},
        {"label": 1},
    ],
)
def test_what_is_no_look_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LookError, match="expected"):
        Look(**wrong)


def test_neighbouring_ids_differ_in_pattern_and_the_first_twenty_in_pattern_or_colour() -> None:
    assert [pattern_of(i) for i in range(1, 6)] == [*PATTERNS, PATTERNS[0]]
    marks = {(pattern_of(i), PALETTE[(i - 1) % len(PALETTE)]) for i in range(1, 21)}
    assert len(marks) == 20


def test_measures_are_every_constant_of_the_formulas() -> None:
    named = {
        name: value
        for name, value in vars(looks).items()
        if name.isupper() and name not in ("MODES", "PATTERNS")
    }
    assert looks.measures() == named
    json.dumps(looks.measures(), allow_nan=False)


@pytest.mark.parametrize(
    ("size_hw", "line", "growth", "label"),
    [
        ((1, 1), 1, 2, 12),
        ((64, 96), 1, 2, 12),
        ((359, 400), 1, 5, 13),
        ((360, 640), 2, 5, 13),
        ((720, 1280), 3, 9, 26),
        ((1920, 1080), 5, 13, 39),
    ],
)
def test_measures_grow_with_the_short_side(
    size_hw: tuple[int, int], line: int, growth: int, label: int
) -> None:
    assert looks.line(size_hw) == line
    assert looks.privacy_growth(size_hw) == growth
    assert looks.label_size(size_hw) == label


def test_a_large_thing_is_blurred_more() -> None:
    assert looks.privacy_blur((720, 1280), (0, 0, 12, 30)) == looks.blur((720, 1280)) == 18
    assert looks.privacy_blur((720, 1280), (100, 0, 400, 720)) == 120
