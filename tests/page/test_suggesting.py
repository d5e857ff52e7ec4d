"""What is suggested next: prepared questions first, then what follows from what was found, nothing twice."""

from __future__ import annotations

from sparrow.page.suggesting import POINTED, suggestions
from sparrow.sessions.record import Exchange
from sparrow.types import GroundedAnswer, Referent, colour_of

WORLD = {"nouns": ["fox", "car"]}
REAL = {"nouns": []}


def thing(number: int, phrase: str) -> Referent:
    return Referent(number, phrase, None, colour_of(number))


def told(question: str, *things: Referent) -> Exchange:
    return Exchange(question, (), (), "", GroundedAnswer("", things), "done")


def test_before_anything_was_asked() -> None:
    prepared = ("Where is the fox?", "How many?", "Segment it.", "Is it red?", "And then?")
    assert suggestions(WORLD, prepared, [], [], pointed=False) == prepared
    general = suggestions(WORLD, (), [], [], pointed=False)
    assert general[0] == "Describe the video."


def test_what_is_pointed_at() -> None:
    assert suggestions(WORLD, ("Where?",), [], [], pointed=True) == POINTED


def test_what_follows_from_an_answer() -> None:
    fox, car = thing(1, "The fox"), thing(2, "the car")
    asked = [told("segment the fox", fox)]
    after_one = suggestions(WORLD, ("Segment the fox.",), asked, [fox], pointed=False)
    assert after_one[0] == "What is it doing?"
    assert "Segment the fox." not in after_one
    assert "Where is the fox?" in after_one
    after_two = suggestions(WORLD, (), [told("All?", fox, car)], [fox, car], pointed=False)
    assert after_two[0] == "Is the fox larger than the car?"
    assert "What is it doing?" not in after_two


def test_a_thing_without_a_name_is_not_named() -> None:
    made = suggestions(REAL, (), [Exchange("Hm?")], [thing(1, "object 1")], pointed=False)
    assert not any("object" in text for text in made)


def test_nothing_is_asked_twice() -> None:
    asked = [Exchange("Describe the video"), Exchange("SEGMENT EVERYTHING.")]
    made = suggestions(WORLD, (), asked, [], pointed=False)
    assert made == ("How many things are there?",)
