"""Inert text: words and entities, nothing that HTML or Markdown could mean."""

from __future__ import annotations

import html
import re

import pytest

from sparrow.page.inert import inert, inert_between

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
    assert html.unescape(made.replace("<br>", "\n")).split() == text.split()


@pytest.mark.parametrize(
    ("text", "expected"), [("", ""), (" ", " "), (" a ", " a "), ("a", "a"), ("\na", " a")]
)
def test_one_space_stays_where_something_touches(text: str, expected: str) -> None:
    assert inert_between(text) == expected
