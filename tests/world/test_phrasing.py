import numpy as np
import pytest

from sparrow.world.phrasing import ANSWERS, Named, listed, put, put_plainly, tell, words_of
from sparrow.world.questions import QUESTIONS


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "Here are ."),
        (["the fox"], "Here are the fox."),
        (["the fox", "the cat"], "Here are the fox and the cat."),
        (["the fox", "the cat", "the dog"], "Here are the fox, the cat and the dog."),
    ],
)
def test_lists_keep_the_spans_of_names(names, text):
    items = [(Named(name, number),) for number, name in enumerate(names, 1)]
    answer, phrases = tell("here_are", things=listed(items))
    assert answer == text
    assert [(p.text, p.thing_id) for p in phrases] == [(n, i) for i, n in enumerate(names, 1)]
    assert [answer[slice(*p.span)] for p in phrases] == names


def test_a_name_that_opens_the_answer_is_capitalised_in_its_phrase():
    answer, (phrase,) = tell("colour", thing=Named("the fox", 3), colour="red")
    assert answer == "The fox is red."
    assert (phrase.text, phrase.span, phrase.thing_id) == ("The fox", (0, 7), 3)


def test_every_answer_is_a_sentence():
    assert all(text.endswith(".") and text.count(".") == 1 for text in ANSWERS.values())


def test_every_way_of_asking_has_a_mark_and_none_is_asked_twice_too_often():
    for kind, ways in QUESTIONS.items():
        assert all(way.endswith((".", "?")) for way in ways), kind
        assert max(map(ways.count, ways)) <= 2


def test_put_varies_and_obeys_must():
    rng = np.random.default_rng(0)
    slots = {"kind": "animal", "relation": "above", "x": "the fox"}
    asked = {put(rng, "relation", must="{kind}", **slots) for _ in range(200)}
    assert len(asked) >= 6 and all("animal" in question for question in asked)
    assert any(question[-1] not in ".?" for question in asked)
    assert put_plainly("relation", **slots) == "What is above the fox?"


def test_terse_requests_and_british_spelling_occur():
    rng = np.random.default_rng(0)
    asked = {put(rng, "segment", x="the gray fox") for _ in range(400)}
    assert {"Segment gray fox.", "Segment the grey fox."} <= asked


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("Where's the fox?", ["where's", "the", "fox", "?"]),
        ("two foxes, the first.", ["two", "foxes", ",", "the", "first", "."]),
    ],
)
def test_words_of(text, pieces):
    assert words_of(text) == pieces
