"""Which seeds are for what. Training, validation and test worlds never share a seed.

Seeds from RESERVED up are never drawn from in development, so that anyone can measure on fresh worlds.
"""

from __future__ import annotations

from sparrow.errors import SparrowError

TRAIN = (0, 8_000_000)
"""First seed and the one after the last."""
VALIDATION = (8_000_000, 8_100_000)
TEST = (8_100_000, 8_200_000)
RESERVED = 9_000_000


def split_of(seed: int) -> str:
    """Name the split of a seed: "train", "validation", "test", "free" or "reserved".

    Raises:
        SparrowError: the seed is negative.
    """
    if seed < 0:
        raise SparrowError(f"seed: expected 0 or more, got {seed}")
    for name, (start, stop) in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        if start <= seed < stop:
            return name
    return "reserved" if seed >= RESERVED else "free"


def parse_seeds(text: str) -> range:
    """Read "A:B" as the seeds A to B - 1.

    Raises:
        SparrowError: the text is not two whole numbers, or holds no seed.
    """
    first, colon, last = text.partition(":")
    if not colon or not first.strip().isdecimal() or not last.strip().isdecimal():
        raise SparrowError(f'seeds: expected "A:B" with two whole numbers, got "{text}"')
    seeds = range(int(first), int(last))
    if not seeds:
        raise SparrowError(f'seeds: expected A < B, got "{text}", which holds no seed')
    return seeds
