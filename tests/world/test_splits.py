import pytest

from sparrow.errors import SparrowError
from sparrow.world import splits


@pytest.mark.parametrize(
    ("seed", "name"),
    [
        (0, "train"),
        (7_999_999, "train"),
        (8_000_000, "validation"),
        (8_099_999, "validation"),
        (8_100_000, "test"),
        (8_199_999, "test"),
        (8_200_000, "free"),
        (8_999_999, "free"),
        (9_000_000, "reserved"),
    ],
)
def test_every_seed_has_one_split(seed, name):
    assert splits.split_of(seed) == name


def test_negative_seed_is_refused():
    with pytest.raises(SparrowError, match="0 or more"):
        splits.split_of(-1)


@pytest.mark.parametrize("text", ["", "5", "5:", ":5", "a:b", "-1:5", "5:5", "6:5", "1:2:3"])
def test_bad_ranges_are_refused(text):
    with pytest.raises(SparrowError, match="seeds"):
        splits.parse_seeds(text)


def test_range_ends_before_its_last_number():
    assert list(splits.parse_seeds("3:6")) == [3, 4, 5]
