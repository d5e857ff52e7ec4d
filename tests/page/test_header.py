"""The words at the top: what the card says, and nothing of it can do anything but be read."""

from __future__ import annotations

import html
import re

import pytest

from sparrow.page.header import card_html, help_html

CARD = {
    "name": "sparrow-mini",
    "trained_on": "a synthetic world.",
    "limits": "It knows drawn things.",
    "nouns": ["pickup truck", "<b>fox</b>"],
}


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def test_it_says_what_the_model_was_trained_on() -> None:
    made = card_html(CARD)
    assert words(made).startswith(
        "sparrow-mini was trained on a synthetic world. It knows drawn things. The 2 things"
    )
    assert [words(item) for item in re.findall(r"<li>(.*?)</li>", made)] == [
        "<b>fox</b>",
        "pickup truck",
    ]
    assert made.count("<b>") == 1


def test_a_model_that_says_nothing_of_its_training_or_words() -> None:
    made = card_html(CARD | {"trained_on": "", "nouns": ()})
    assert words(made) == "sparrow-mini It knows drawn things."


def test_nouns_must_be_a_list() -> None:
    with pytest.raises(TypeError, match="expected a list, got str"):
        card_html(CARD | {"nouns": "fox"})


def test_help_explains_the_keys() -> None:
    assert "Space play" in words(help_html())
    assert "Esc stop" in words(help_html())
