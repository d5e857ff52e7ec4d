"""The words at the top: what the card says, and nothing of it can do anything but be read."""

from __future__ import annotations

import html
import re

import gradio as gr
import pytest

from sparrow.page.header import header_html, nouns_html
from sparrow.page.layout import build_layout
from sparrow.page.opening import PAGE_LIMITS

CARD = {
    "name": "sparrow-mini",
    "trained_on": "a synthetic world.",
    "limits": "It knows drawn things.",
    "nouns": ["pickup truck", "<b>fox</b>"],
}


def words(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", markup))


def test_it_says_what_the_model_was_trained_on() -> None:
    said = " ".join(words(header_html(CARD)).split())
    assert said.endswith("sparrow-mini was trained on a synthetic world. It knows drawn things.")


def test_a_model_that_says_nothing_of_its_training() -> None:
    said = " ".join(words(header_html(CARD | {"trained_on": ""})).split())
    assert said.endswith("sparrow-mini It knows drawn things.")


def test_nouns_are_sorted_and_inert() -> None:
    made = nouns_html(CARD)
    assert [words(item) for item in re.findall(r"<li>(.*?)</li>", made)] == [
        "<b>fox</b>",
        "pickup truck",
    ]
    assert "<b>" not in made
    assert words(nouns_html(CARD | {"nouns": ()})).strip() == ""


def test_nouns_must_be_a_list() -> None:
    with pytest.raises(TypeError, match="expected a list, got str"):
        nouns_html(CARD | {"nouns": "fox"})


@pytest.mark.parametrize(("nouns", "shown"), [(["fox"], True), ([], False)])
def test_a_model_without_a_list_of_words_shows_none(nouns: list[str], shown: bool) -> None:
    with gr.Blocks() as page:
        build_layout(CARD | {"nouns": nouns}, (), PAGE_LIMITS)
    (block,) = (b for b in page.blocks.values() if b.elem_id == "nouns")
    assert block.visible is shown
