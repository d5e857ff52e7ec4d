"""The transcript: phrases in their colours, times, steps; everything else unable to do anything."""

from __future__ import annotations

import html
import re

import pytest

from sparrow.page.transcript import Scene, answer_html, ink_on, messages, step_words
from sparrow.sessions.record import Exchange
from sparrow.types import PALETTE, GroundedAnswer, Progress, Referent, colour_of
from sparrow.video import Video
from tests.page.conftest import square


def referent(number: int, text: str, phrase: str) -> Referent:
    start = text.index(phrase)
    return Referent(number, phrase, (start, start + len(phrase)), colour_of(number))


def answer(text: str, *phrases: tuple[int, str]) -> GroundedAnswer:
    return GroundedAnswer(text, tuple(referent(i, text, phrase) for i, phrase in phrases))


def words(markup: str) -> str:
    return html.unescape(re.sub("<[^>]*>", "", markup))


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
    assert answer_html(answer("I see no fox."), Scene()) == "I see no fox&#46;"


def test_phrases_are_coloured_where_they_stand() -> None:
    text = "The fox is left of the pickup truck."
    made = answer_html(answer(text, (2, "the pickup truck"), (1, "The fox")), Scene())
    assert words(made) == text
    marks = re.findall(
        r'<mark class="ref ref-(\d+)"[^>]*background-color:(#\w+);[^>]*>([^<]*)', made
    )
    assert marks == [("1", PALETTE[0], "The fox"), ("2", PALETTE[1], "the pickup truck")]


def test_the_users_colour_counts_and_the_models_words_stay() -> None:
    scene = Scene(referents={1: Referent(1, "Reynard", None, "#123456")})
    made = answer_html(answer("The fox.", (1, "The fox")), scene)
    assert "background-color:#123456;color:#ffffff" in made
    assert words(made) == "The fox."


def test_phrases_at_the_edges_and_overlapping_ones() -> None:
    assert answer_html(answer("fox", (1, "fox")), Scene()).count("<mark") == 1
    both = answer_html(answer("the red fox runs", (1, "the red fox"), (2, "red")), Scene())
    assert both.count("<mark") == 1
    assert "ref-1" in both
    assert words(both) == "the red fox runs"


def test_a_pointed_referent_colours_nothing() -> None:
    told = GroundedAnswer("a fox", (Referent(1, "object 1", None, colour_of(1)),))
    assert "<mark" not in answer_html(told, Scene())


def test_hostile_phrases_stay_inert() -> None:
    made = answer_html(answer('the "><img src=x> here', (1, '"><img src=x>')), Scene())
    assert "<img" not in made
    assert made.count("<mark") == 1


def test_times_lead_into_the_video(plain_video: Video) -> None:
    made = answer_html(answer("The fox leaves at 2 seconds.", (1, "The fox")), Scene(plain_video))
    assert '<a class="moment" href="#t=2">2 seconds</a>' in made


def test_a_conversation_tells_its_state(plain_video: Video) -> None:
    text = "Here is the fox."
    told = GroundedAnswer(
        text, (referent(1, text, "the fox"),), (square(plain_video, 1),), (0, 4), {"read": 0.25}
    )
    exchanges = [
        Exchange("Where is <it>?", (3,), (), "On", None, "working"),
        Exchange("And?", (), (), "The fo", None, "stopped"),
        Exchange("And?", (), (), "", None, "failed"),
        Exchange("Now?", (), (), text, told, "done"),
    ]
    scene = Scene(plain_video, {}, {1: square(plain_video, 1, range(10))})
    steps = [Progress("read", 8, 8, 0.5), Progress("track", 3, 12, 1.5)]
    made = messages(exchanges, scene, steps)
    assert [(m["role"], m["turn"]) for m in made] == [
        (role, turn) for turn in range(4) for role in ("user", "bot")
    ]
    assert "ref-3" in made[0]["html"]
    assert words(made[0]["html"]) == "object 3 Where is <it>?"
    assert made[0]["text"] == "Where is <it>?"
    assert made[1]["steps"] == {
        "title": "Tracking 3 of 12",
        "items": ["Reading the video 8 of 8 · 0.5 s"],
        "seconds": 1.5,
        "share": 0.25,
    }
    assert "partial" in words(made[3]["html"])
    assert "could not be answered" in words(made[5]["html"])
    assert words(made[7]["html"]) == "Here is the fox.object 1 0:00.0–0:00.9"
    assert made[7]["steps"] == {
        "title": "Looked at 2 frames, tracked 1 thing · 0.2 s",
        "items": ["Reading the video · 0.2 s"],
    }


@pytest.mark.parametrize(
    ("progress", "pace", "words"),
    [
        (Progress("track", 12, 40), 0.0, "Tracking 12 of 40"),
        (Progress("read"), 0.0, "Reading the video"),
        (Progress("drawing the video", 1, 2), 0.0, "Drawing the video 1 of 2"),
        (Progress("wait", 0, 1), 0.0, "You are 1st in line"),
        (Progress("wait", 1, 3), 7.0, "You are 2nd in line, about 15 s"),
        (Progress("wait", 2, 3), 0.1, "You are 3rd in line, about 5 s"),
        (Progress("wait", 10, 12), 0.0, "You are 11th in line"),
    ],
)
def test_steps_in_words(progress: Progress, pace: float, words: str) -> None:
    assert step_words(progress, pace=pace) == words
