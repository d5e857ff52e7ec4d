"""What a script of the page sent with an event -> values that are what they should be, or an error.

Anybody can send anything; nothing else in the page reads event data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeGuard

import gradio as gr

from sparrow.errors import SparrowError


class SentError(SparrowError):
    """Event data that none of our scripts sends."""


class Sent:
    """The data of one event."""

    def __init__(self, data: object) -> None:
        if not isinstance(data, Mapping):
            raise SentError("The page sent something that is not understood; reload it.")
        self._data = data

    @classmethod
    def by(cls, event: gr.EventData) -> Sent:
        """Take the data of an event."""
        return cls(event._data)

    def text(self, name: str, longest: int) -> str:
        """Give a text of at most so many characters."""
        value = self._data.get(name)
        if not isinstance(value, str) or len(value) > longest:
            raise self._wrong(name, f"text of at most {longest} characters")
        return value

    def one_of(self, name: str, choices: Sequence[str]) -> str:
        """Give one of these words."""
        value = self._data.get(name)
        if not isinstance(value, str) or value not in choices:
            raise self._wrong(name, f"one of {', '.join(choices)}")
        return value

    def whole(self, name: str, low: int, high: int) -> int:
        """Give a whole number from `low` to `high`."""
        value = self._data.get(name)
        # JavaScript knows no whole numbers: 3.0 is one.
        if not _is_number(value) or value != int(value) or not low <= value <= high:
            raise self._wrong(name, f"a whole number from {low} to {high}")
        return int(value)

    def maybe_whole(self, name: str, low: int, high: int) -> int | None:
        """Give a whole number from `low` to `high`, or None where there is none."""
        return None if self._data.get(name) is None else self.whole(name, low, high)

    def shares(self, name: str, count: int) -> list[float]:
        """Give so many numbers from 0 to 1."""
        value = self._data.get(name)
        if (
            not isinstance(value, list)
            or len(value) != count
            or not all(_is_number(v) and 0 <= v <= 1 for v in value)
        ):
            raise self._wrong(name, f"{count} numbers from 0 to 1")
        return [float(v) for v in value]

    def share(self, name: str) -> float:
        """Give a number from 0 to 1."""
        value = self._data.get(name)
        if not _is_number(value) or not 0 <= value <= 1:
            raise self._wrong(name, "a number from 0 to 1")
        return float(value)

    def flag(self, name: str) -> bool:
        """Give true or false."""
        value = self._data.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def _wrong(self, name: str, expected: str) -> SentError:
        got = repr(self._data.get(name))[:60]
        return SentError(f"The page sent {name} {got}, expected {expected}; reload it.")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
