import pytest

from sparrow.world import words
from sparrow.world.speaker import known_nouns


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("ant", "ants"),
        ("fox", "foxes"),
        ("bus", "buses"),
        ("wolf", "wolves"),
        ("butterfly", "butterflies"),
        ("key", "keys"),
        ("race car", "race cars"),
        ("maple leaf", "maple leaves"),
        ("toothbrush", "toothbrushes"),
        ("piece of clothing", "pieces of clothing"),
        ("red thing", "red things"),
        ("sheep", "sheep"),
    ],
)
def test_plural(noun, many):
    assert words.plural(noun) == many


@pytest.mark.parametrize(
    ("noun", "text"),
    [
        ("fox", "a fox"),
        ("axe", "an axe"),
        ("unicorn", "a unicorn"),
        ("hourglass", "an hourglass"),
        ("umbrella", "an umbrella"),
        ("milk", "milk"),
        ("ice cream", "ice cream"),
    ],
)
def test_article(noun, text):
    assert words.with_article(noun) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "no foxes"), (1, "one fox"), (2, "two foxes"), (6, "six foxes")]
)
def test_counted(count, text):
    assert words.counted(count, "fox") == text


def test_kin_is_mutual_and_everything_is_kin_to_itself():
    assert words.are_kin("fox", "fox")
    assert words.are_kin("taxi", "car") and words.are_kin("car", "taxi")
    assert not words.are_kin("fox", "lemon")


def test_tables_speak_of_nouns_and_groups_that_exist():
    nouns, groups = set(known_nouns()), set(known_nouns().values())
    assert groups >= set(words.GROUP_NAMES)
    assert groups >= {
        *words.WIDER_GROUPS,
        *(g for wide in words.WIDER_GROUPS.values() for g in wide),
    }
    assert nouns >= words.MASS_NOUNS
    assert nouns >= {noun for kin in words.KIN for noun in kin}
