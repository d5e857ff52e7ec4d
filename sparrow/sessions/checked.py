"""JSON values from a file nobody vouches for -> values of the type and size expected, or an error naming the place."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Never

MAX_INT = 2**31 - 1


def parse(content: str | bytes, where: str) -> object:
    """Read strict JSON.

    Raises:
        ValueError: not JSON, NaN or infinity in it, or nested too deep.
    """
    try:
        return json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected JSON ({error})") from error


def dump(value: object) -> str:
    """Write strict JSON, always the same for the same value.

    Raises:
        ValueError: NaN or infinity in it.
    """
    return json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":"))


def entries(value: object, where: str, most: int = 10_000) -> Mapping[str, object]:
    """Expect an object of at most so many entries."""
    if not isinstance(value, dict):
        raise _unexpected(where, "an object", value)
    return value if len(value) <= most else _too_many(where, most, len(value))


def at(value: Mapping[str, object], key: str, where: str) -> object:
    """Expect an entry."""
    if key not in value:
        raise ValueError(f"{where}: {key} is missing")
    return value[key]


def items(value: object, where: str, most: int = 10_000) -> list[object]:
    """Expect a list of at most so many items."""
    if not isinstance(value, list):
        raise _unexpected(where, "a list", value)
    return value if len(value) <= most else _too_many(where, most, len(value))


def text(value: object, where: str, longest: int) -> str:
    """Expect a string of at most so many characters."""
    if not isinstance(value, str):
        raise _unexpected(where, "a text", value)
    if len(value) > longest:
        raise ValueError(f"{where}: expected at most {longest} characters, got {len(value)}")
    value.encode("utf-8")  # half a surrogate pair: a ValueError
    return value


def whole(value: object, where: str, low: int = 0, high: int = MAX_INT) -> int:
    """Expect a whole number from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _unexpected(where, f"a whole number from {low} to {high}", value)
    return value


def number(value: object, where: str, low: float, high: float) -> float:
    """Expect a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unexpected(where, "a number", value)
    if not (low <= value <= high and math.isfinite(value)):
        raise _unexpected(where, f"a number from {low:g} to {high:g}", value)
    return float(value)


def flag(value: object, where: str) -> bool:
    """Expect true or false."""
    if not isinstance(value, bool):
        raise _unexpected(where, "true or false", value)
    return value


def wholes(value: object, where: str, low: int = 0, high: int = MAX_INT) -> tuple[int, ...]:
    """Expect a list of whole numbers."""
    return tuple(whole(item, where, low, high) for item in items(value, where, 1_000_000))


def by_id(value: object, where: str) -> dict[int, object]:
    """Expect an object whose keys are referent ids."""
    result = {}
    for key, entry in entries(value, where).items():
        if not (key.isascii() and key.isdecimal() and len(key) <= 10 and key[0] != "0"):
            raise _unexpected(where, "referent ids as keys", key)
        result[whole(int(key), where, 1)] = entry
    return result


def _unexpected(where: str, expected: str, value: object) -> ValueError:
    return ValueError(f"{where}: expected {expected}, got {repr(value)[:60]}")


def _too_many(where: str, most: int, count: int) -> Never:
    raise ValueError(f"{where}: expected at most {most} entries, got {count}")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
