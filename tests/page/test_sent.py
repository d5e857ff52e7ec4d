"""Event data: what a script of ours sends comes through, anything else is refused with words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sparrow.page.sent import Sent, SentError


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_data_must_be_an_object(data: object) -> None:
    with pytest.raises(SentError, match="reload"):
        Sent(data)


@pytest.mark.parametrize(
    ("method", "arguments", "value", "given"),
    [
        ("text", (3,), "", ""),
        ("text", (3,), "abc", "abc"),
        ("one_of", (("a", "b"),), "b", "b"),
        ("whole", (0, 9), 0, 0),
        ("whole", (0, 9), 9.0, 9),
        ("maybe_whole", (0, 9), None, None),
        ("maybe_whole", (0, 9), 4, 4),
        ("shares", (2,), [0, 1], [0.0, 1.0]),
        ("share", (), 0.5, 0.5),
        ("flag", (), True, True),
    ],
)
def test_what_fits_comes_through(
    method: str, arguments: tuple[Any, ...], value: object, given: object
) -> None:
    assert getattr(Sent({"x": value}), method)("x", *arguments) == given


@pytest.mark.parametrize(
    ("method", "arguments", "value"),
    [
        ("text", (3,), None),
        ("text", (3,), "abcd"),
        ("text", (3,), 7),
        ("one_of", (("a", "b"),), "c"),
        ("one_of", (("a", "b"),), ["a"]),
        ("whole", (0, 9), None),
        ("whole", (0, 9), -1),
        ("whole", (0, 9), 10),
        ("whole", (0, 9), 1.5),
        ("whole", (0, 9), True),
        ("whole", (0, 9), "1"),
        ("whole", (0, 9), math.nan),
        ("whole", (0, 9), math.inf),
        ("shares", (2,), None),
        ("shares", (2,), [0.5]),
        ("shares", (2,), [0.5, 1.1]),
        ("shares", (2,), [0.5, math.nan]),
        ("shares", (2,), [0.5, "a"]),
        ("shares", (2,), {0: 1, 1: 1}),
        ("share", (), -0.1),
        ("share", (), "1"),
        ("flag", (), 1),
        ("flag", (), None),
    ],
)
def test_what_does_not_fit_is_refused(
    method: str, arguments: tuple[Any, ...], value: object
) -> None:
    with pytest.raises(SentError, match=r"The page sent x .*, expected"):
        getattr(Sent({"x": value}), method)("x", *arguments)


def test_what_is_missing_is_refused() -> None:
    with pytest.raises(SentError, match="None, expected true or false"):
        Sent({}).flag("x")
