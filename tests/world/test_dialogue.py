import re
from collections import Counter

import numpy as np
import pytest

from sparrow.world import dialogue as talk
from sparrow.world import referring, telling, words
from sparrow.world.facts import Facts
from sparrow.world.phrasing import words_of
from sparrow.world.picture import COLOURS, load_atlas
from sparrow.world.scene import Scene
from sparrow.world.speaker import Speaker
from tests.world.made_facts import during, facts, line, thing

REFUSALS = ("There is no ", "There are no ", "No, there is no ")


@pytest.fixture(scope="module")
def atlas():
    return load_atlas()


@pytest.fixture(scope="module")
def told(atlas):
    """500 dialogues with their scenes, four of each."""
    found = []
    for seed in range(125):
        difficulty = "full" if seed % 2 else "easy"
        scene = Scene.sample(seed, difficulty=difficulty, atlas=atlas)
        rng = np.random.default_rng(seed)
        found += [(scene, talk.dialogue(scene, rng, 6)) for _ in range(4)]
    return found


def speaker_of(*pairs, seed=0, **rest):
    return Speaker(facts(*pairs, **rest), np.random.default_rng(seed))


def answers(asker, *pairs, draws=60, **rest):
    """All answers that an asker gives over many draws, by question without its mark."""
    found = {}
    for seed in range(draws):
        turn = asker(speaker_of(*pairs, seed=seed, **rest))
        if turn is not None:
            found[turn.question.rstrip(".?")] = turn
    return found


def test_every_family_occurs_and_refusals_stay_few(told):
    turns = [turn for _, turns in told for turn in turns]
    shares = {f: n / len(turns) for f, n in Counter(t.family for t in turns).items()}
    assert set(shares) == set(talk.FAMILIES)
    assert min(shares.values()) >= 0.015
    assert 0.04 <= sum(t.answer.startswith(REFUSALS) for t in turns) / len(turns) <= 0.1
    assert sum(len(turns) == 6 for _, turns in told) >= 480


def test_answers_are_sentences_with_phrases_in_place(told):
    for scene, turns in told:
        ids = {t.id for t in scene.things}
        for turn in turns:
            assert turn.answer[0].isupper() and turn.answer[-1] == "."
            last = 0
            for phrase in turn.phrases:
                start, end = phrase.span
                assert turn.answer[start:end] == phrase.text and start >= last
                last = end
            assert {p.thing_id for p in turn.phrases} <= set(turn.targets) <= ids
            assert set(turn.pointed) <= ids
            assert len(set(turn.targets)) == len(turn.targets)


def test_answers_come_back_from_their_lower_case_words(told):
    for _, turns in told:
        for turn in turns:
            joined = re.sub(r" ([.,?])", r"\1", " ".join(words_of(turn.answer)))
            assert joined[0].upper() + joined[1:] == turn.answer


def test_vocabulary_covers_all_that_is_said(told, atlas):
    known = talk.vocabulary(atlas)
    assert list(known) == sorted(set(known))
    said = {w for _, turns in told for t in turns for w in words_of(t.question + " " + t.answer)}
    assert said <= set(known)
    for noun in atlas.nouns:
        assert {*words_of(noun), *words_of(words.plural(noun))} <= set(known)


def test_no_family_and_targets_twice_in_a_dialogue(told):
    for _, turns in told:
        pairs = [(turn.family, turn.targets) for turn in turns]
        assert len(set(pairs)) == len(pairs)
        assert turns[0].family != "followup"


def test_a_question_has_one_answer_whatever_was_drawn(atlas):
    contextual = {"followup", "pointed"}
    for seed in range(12):
        scene = Scene.sample(seed, difficulty="full", atlas=atlas)
        given = {}
        for draw in range(12):
            for turn in talk.dialogue(scene, np.random.default_rng(draw), 8):
                if turn.family not in contextual:
                    question = turn.question.lower().rstrip(".?").replace("grey", "gray")
                    assert given.setdefault(question, turn.answer) == turn.answer


def test_dialogues_repeat_with_their_seed(atlas):
    scene = Scene.sample(3, difficulty="full", atlas=atlas)
    again = Scene.sample(3, difficulty="full", atlas=atlas)
    first = talk.dialogue(scene, np.random.default_rng(5), 6)
    assert first == talk.dialogue(again, np.random.default_rng(5), 6)
    assert first != talk.dialogue(scene, np.random.default_rng(6), 6)


def test_referents_of_nouns_and_looks_are_unique(told):
    for scene, turns in told:
        for turn in turns:
            if turn.family == "noun":
                (target,) = [t for t in scene.things if t.id in turn.targets]
                asked = turn.answer.removeprefix("Here is the ").rstrip(".")
                same = [t for t in scene.things if t.noun == target.noun and t in _shown(scene)]
                assert asked == target.noun if len(same) == 1 else asked.endswith(target.noun)


def _shown(scene):
    known = Facts.of(scene)
    return (*known.clear, *known.vague)


def test_what_is_absent_is_not_there(told):
    kinds = Counter()
    for scene, turns in told:
        for turn in turns:
            if turn.family != "absent":
                continue
            missing = turn.answer.removeprefix("There is no ").removesuffix(" in this video.")
            assert turn.phrases == () == turn.targets
            colour, _, kind = missing.partition(" ")
            for one in scene.things:
                names = {one.noun, words.group_name(one.group)}
                assert missing not in names
                if colour in COLOURS:
                    assert one.colour != colour or (kind not in names and kind != "thing")
            near = {one.group for one in scene.things}
            kinds["near"] += talk.known_nouns().get(missing) in near or colour in COLOURS
            kinds["all"] += 1
    assert kinds["near"] / kinds["all"] > 0.4


def test_an_unknown_family_is_refused(atlas):
    with pytest.raises(ValueError, match=r"expected one of .*noun.* got \"verse\""):
        talk.ask(Scene.sample(0, atlas=atlas), np.random.default_rng(0), "verse")


def test_a_followup_needs_a_turn_about_one_thing(atlas):
    scene = Scene.sample(0, atlas=atlas)
    rng = np.random.default_rng(0)
    assert talk.ask(scene, rng, "followup") is None
    nobody = talk.QA("absent", "Segment the zebra.", "There is no zebra in this video.")
    assert talk.ask(scene, rng, "followup", previous=nobody) is None


def test_suggestions_are_plain_and_stable(atlas):
    for seed in range(10):
        scene = Scene.sample(seed, difficulty="full", atlas=atlas)
        found = talk.suggest(scene)
        assert 4 <= len(found) <= 6 and len(set(found)) == len(found)
        assert found == talk.suggest(scene)
        assert all(question[0].isupper() and question[-1] in ".?" for question in found)


# What is said about clips that are written down by hand:

FOX = (thing(1, "fox", motion="left"), line((290, 60), (190, 60)))
LEMON = (thing(2, "lemon", group="fruit", colour="yellow"), line((50, 60), (50, 60)))
APPLE = (thing(3, "apple", group="fruit", size="small"), line((50, 200), (50, 200), 30.0))


def test_captions_go_from_left_to_right():
    found = answers(telling.caption, FOX, LEMON)
    (turn,) = {(t.answer, t.targets) for t in found.values()}
    assert turn == ("The lemon is staying still and the fox is moving to the left.", (2, 1))


def test_captions_need_an_order():
    assert answers(telling.caption, FOX, LEMON, APPLE) == {}


def test_relations_name_the_one_thing():
    found = answers(referring.relation, FOX, LEMON, APPLE, draws=400)
    assert found["Which fruit is above the apple"].answer == "The lemon is above the apple."
    turn = found["Which animal is to the right of the lemon"]
    assert turn.answer == "The fox is to the right of the lemon." and turn.targets == (1,)
    assert "What is above the apple" not in found  # two are
    assert "What is to the right of the lemon" not in found  # the apple is in doubt


def test_motion_is_asked_where_one_thing_has_it():
    found = answers(referring.motion, FOX, LEMON, APPLE, draws=200)
    assert found["What is moving"].answer == "The fox is moving to the left."
    assert "Which thing is staying still" not in found
    assert all(turn.targets == (1,) for q, turn in found.items() if "left" in q)


def test_orders():
    found = {t.answer for t in answers(referring.order, FOX, LEMON, APPLE, draws=200).values()}
    assert found == {
        "The apple is the smallest thing.",
        "The fox is the rightmost thing.",
        "The apple is the lowest thing.",
    }


def test_counts():
    found = answers(telling.count, FOX, LEMON, APPLE, draws=300)
    assert found["How many fruits are there"].answer == "There are two fruits."
    assert found["How many fruits are there"].targets == (2, 3)
    assert found["How many things are there"].answer == "There are three things."
    assert found["How many red things are there"].answer == "There are two red things."
    assert found["How many things are moving"].answer == "There is one moving thing."


def test_nothing_is_counted_beside_something_vague():
    speck = (thing(3, "apple", group="fruit"), line((50, 200), (50, 200), 8.0))
    found = answers(telling.count, FOX, LEMON, speck, draws=300)
    counted = {t.answer for t in found.values() if not t.answer.startswith("There are no")}
    assert counted == {
        "There is one fox.",
        "There is one lemon.",
        "There is one animal.",
        "There is one yellow thing.",
    }


def test_every_of_a_noun_is_told_by_order():
    twins = (
        (thing(1, "fox"), line((250, 60), (250, 60))),
        (thing(2, "fox", colour="brown"), line((60, 60), (60, 60))),
    )
    found = answers(referring.every, *twins, draws=400)
    turn = found["Segment every fox"]
    assert turn.answer == "There are two foxes, the first and the second."
    assert [p.thing_id for p in turn.phrases] == [2, 1]
    assert (
        found["Segment every animal"].answer
        == "There are two animals, the brown fox and the red fox."
    )


def test_twins_of_one_look_are_told_by_their_side():
    twins = (
        (thing(1, "fox"), line((250, 60), (250, 60))),
        (thing(2, "fox"), line((60, 60), (60, 60))),
    )
    speaker = speaker_of(*twins)
    assert [speaker.name(one) for one in speaker.facts.clear] == ["the right fox", "the left fox"]
    pile = ((thing(1, "fox"), twins[0][1]), (thing(2, "fox"), twins[0][1].copy()))
    assert [speaker_of(*pile).name(one) for one, _ in pile] == [None, None]


def test_a_wider_group_is_not_asked_beside_a_narrower_one():
    duck = (thing(2, "duck", group="bird"), line((60, 200), (60, 200)))
    asked = {
        **answers(telling.count, FOX, duck, draws=200),
        **answers(referring.every, FOX, duck, draws=200),
    }
    assert not any("animal" in question for question in asked)
    assert any("bird" in question for question in asked)


def test_events_and_times():
    late = thing(2, "lemon", group="fruit", motion="up", enters_at=12)
    pair = (FOX, (late, line((50, 220), (50, 40))))
    visible = {2: during((12, 39))}
    events = answers(referring.event, *pair, visible=visible)
    assert {t.answer for t in events.values()} == {"The lemon enters later."}
    times = {t.answer for t in answers(telling.when, *pair, visible=visible).values()}
    assert times == {"The lemon is visible at the end.", "The fox is visible the whole time."}


def test_places_of_still_and_moving_things():
    found = {t.answer for t in answers(telling.where, FOX, LEMON).values()}
    assert found == {"The lemon is at the top left.", "The fox goes from the right to the middle."}


def test_yes_and_no():
    found = answers(telling.yesno, FOX, LEMON, draws=300)
    assert found["Is the fox moving"].answer == "Yes, the fox is moving."
    assert found["Is the lemon moving"].answer == "No, the lemon is not moving."
    assert found["Is there a fox"].answer == "Yes, there is a fox."
    assert found["Is the fox to the left of the lemon"].answer == (
        "No, the fox is to the right of the lemon."
    )


def test_yes_and_no_are_balanced():
    given = (telling.yesno(speaker_of(FOX, LEMON, seed=seed)) for seed in range(300))
    verdicts = Counter(turn.answer[:2] for turn in given if turn is not None)
    assert verdicts.total() == 300
    assert 0.4 <= verdicts["No"] / 300 <= 0.6


def test_pointing_names_even_what_has_no_name_of_its_own():
    pile = ((thing(1, "fox"), FOX[1]), (thing(2, "fox"), FOX[1].copy()))
    found = answers(telling.pointed, *pile, draws=100)
    turn = found["What is this"]
    assert turn.answer == "This is a fox." and turn.pointed == turn.targets != ()
    assert turn.phrases[0].text == "a fox"
    assert found["What are these"].answer == "These are a fox and a fox."


def test_followups_speak_of_the_thing_before():
    previous = talk.QA("noun", "Segment the fox.", "Here is the fox.", targets=(1,))
    found = {}
    for seed in range(150):
        turn = talk._ask(speaker_of(FOX, LEMON, seed=seed), "followup", previous)
        if turn is not None:
            found[turn.question.rstrip(".?")] = turn.answer
    assert found["What is it doing"] == "The fox is moving to the left."
    assert found["Where is it"] == "The fox goes from the right to the middle."
    assert found["What color is it"] == "The fox is red."
    assert found["And the other one"] == found["And the lemon"] == "Here is the lemon."
    assert not any("the other fox" in question for question in found)
