"""The transcript: phrases coloured, everything else unable to do anything."""

from __future__ import annotations

import html
import re

import pytest

from sparrow.page.session import Exchange
from sparrow.page.transcript import answer_html, inert, ink_on, messages
from sparrow.types import PALETTE, GroundedAnswer, Referent, colour_of

HOSTILE = (
    "<script>alert(1)</script>",
    '<img src="http://example.org/x" onerror="alert(1)">',
    "[click](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "https://example.org www.example.org me@example.org",
    "# head\n- item\n1. item\n> quote",
    "$$x^2$$ `code` ~~gone~~ *a* _b_ | t |\n|---|",
    "&lt;b&gt; &#60;",
    "    indented code",
)


def referent(number: int, text: str, phrase: str) -> Referent:
    start = text.index(phrase)
    return Referent(number, phrase, (start, start + len(phrase)), colour_of(number))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("   ", ""),
        ("a fox", "a fox"),
        ("a  fox", "a fox"),
        ("naïve 狐", "naïve 狐"),
        ("a.b", "a&#46;b"),
        ("a\nb", "a<br>b"),
        ("<b>", "&#60;b&#62;"),
        ("&amp;", "&#38;amp&#59;"),
    ],
)
def test_inert(text: str, expected: str) -> None:
    assert inert(text) == expected


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_words_and_entities_only(text: str) -> None:
    made = inert(text)
    assert re.fullmatch(r"(?:[^\W_]| |&#\d+;|<br>)*", made)
    shown = html.unescape(made.replace("<br>", "\n"))
    assert shown.split() == text.split()


@pytest.mark.parametrize(
    ("colour", "ink"),
    [
        ("#000000", "#ffffff"),
        ("#ffffff", "#000000"),
        ("#f0e442", "#000000"),
        ("#0072b2", "#ffffff"),
    ],
)
def test_ink(colour: str, ink: str) -> None:
    assert ink_on(colour) == ink


@pytest.mark.parametrize("colour", PALETTE)
def test_every_chip_can_be_read(colour: str) -> None:
    def luminance(hex_colour: str) -> float:
        parts = [int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG AA


def test_an_answer_without_referents_is_plain() -> None:
    assert answer_html("I see no fox.", ()) == "I see no fox&#46;"


def test_phrases_are_coloured_where_they_stand() -> None:
    text = "The fox is left of the pickup truck."
    made = answer_html(text, (referent(2, text, "the pickup truck"), referent(1, text, "The fox")))
    assert re.sub(r"<[^>]*>", "", made) == "The fox is left of the pickup truck&#46;"
    marks = re.findall(
        r'<mark class="ref ref-(\d+)" style="background-color:(#\w+);[^"]*">([^<]*)', made
    )
    assert marks == [("1", PALETTE[0], "The fox"), ("2", PALETTE[1], "the pickup truck")]


def test_phrases_at_the_edges_and_overlapping_ones() -> None:
    text = "fox"
    assert answer_html(text, (referent(1, text, "fox"),)).count("<mark") == 1
    text = "the red fox runs"
    both = answer_html(text, (referent(1, text, "the red fox"), referent(2, text, "red")))
    assert both.count("<mark") == 1
    assert "ref-1" in both
    assert re.sub(r"<[^>]*>", "", both) == text


def test_a_pointed_referent_colours_nothing() -> None:
    assert "<mark" not in answer_html("a fox", (Referent(1, "object 1", None, colour_of(1)),))


def test_hostile_phrases_stay_inert() -> None:
    text = 'the "><img src=x> here'
    made = answer_html(text, (referent(1, text, '"><img src=x>'),))
    assert "<img" not in made
    assert made.count("<mark") == 1


def test_a_conversation_tells_its_state() -> None:
    exchanges = [
        Exchange("Where is <it>?", (3,), "On", None, "working"),
        Exchange("And?", (), "The fo", None, "stopped"),
        Exchange("And?", (), "", None, "failed"),
        Exchange("Now?", (), "x", GroundedAnswer("No.", (), (), (0, 4), {"read": 0.25}), "done"),
    ]
    made = messages(exchanges, {})
    assert [m["role"] for m in made] == ["user", "assistant"] * 4
    assert "ref-3" in made[0]["content"]
    assert made[0]["content"].endswith("Where is &#60;it&#62;&#63;")
    assert made[1]["content"].startswith("On <span")
    assert "partial" in made[3]["content"]
    assert "could not be answered" in made[5]["content"]
    assert made[7]["content"].startswith("No&#46;<br>")
    assert "looked at 2 frames" in made[7]["content"]
    assert "reading the video 0&#46;2 s" in made[7]["content"]
