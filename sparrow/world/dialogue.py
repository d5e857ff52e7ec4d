"""A scene -> questions about it with their answers, singly or as a conversation of several turns.

Every question has exactly one answer by the scene's facts. Knows no pixels and no model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparrow.world import referring, shapes, telling, words
from sparrow.world.cast import SHAPE_GROUP, Thing
from sparrow.world.facts import Facts
from sparrow.world.phrasing import QA as QA
from sparrow.world.phrasing import Named, fixed_words, words_of
from sparrow.world.phrasing import Phrase as Phrase
from sparrow.world.picture import COLOURS, Atlas
from sparrow.world.scene import Scene
from sparrow.world.speaker import Speaker, known_nouns

FAMILIES = (
    *("noun", "look", "motion", "relation", "order", "event", "several", "every", "absent"),
    *("count", "where", "when", "yesno", "caption", "pointed", "followup"),
)

_ASKERS: dict[str, Callable[[Speaker], QA | None]] = {
    "noun": referring.noun,
    "look": referring.look,
    "motion": referring.motion,
    "relation": referring.relation,
    "order": referring.order,
    "event": referring.event,
    "several": referring.several,
    "every": referring.every,
    "absent": referring.absent,
    "count": telling.count,
    "where": telling.where,
    "when": telling.when,
    "yesno": telling.yesno,
    "caption": telling.caption,
    "pointed": telling.pointed,
}
_WEIGHTS = {
    **{"noun": 12, "look": 12, "motion": 10, "relation": 12, "order": 8, "event": 9, "several": 6},
    **{"every": 7, "absent": 5, "count": 8, "where": 10, "when": 4, "yesno": 9, "caption": 8},
    "pointed": 8,
}
_FOLLOWUP = 0.25  # share of turns that follow up on the one before, where that is possible
_TRIES = 12


def ask(
    scene: Scene, rng: np.random.Generator, family: str, *, previous: QA | None = None
) -> QA | None:
    """Ask a question of a family; None where the scene has no clear one (or the draw found none).

    Args:
        scene: what it is about.
        rng: chooses among the questions.
        family: one of FAMILIES.
        previous: the turn before; a "followup" needs one.

    Raises:
        ValueError: there is no such family.
    """
    return _ask(Speaker(Facts.of(scene), rng), family, previous)


def dialogue(scene: Scene, rng: np.random.Generator, turns: int) -> tuple[QA, ...]:
    """Hold a conversation of up to `turns` turns; fewer where the scene gives no more to ask."""
    speaker = Speaker(Facts.of(scene), rng)
    families = tuple(_WEIGHTS)
    chances = np.array([_WEIGHTS[family] for family in families], float)
    chances /= chances.sum()
    held: list[QA] = []
    asked: set[tuple[str, tuple[int, ...]]] = set()
    for _ in range(_TRIES * turns):
        if len(held) == turns:
            break
        family = families[int(rng.choice(len(families), p=chances))]
        if held and rng.random() < _FOLLOWUP:
            family = "followup"
        turn = _ask(speaker, family, held[-1] if held else None)
        if turn is None or (turn.family, turn.targets) in asked:
            continue
        asked.add((turn.family, turn.targets))
        held.append(turn)
    return tuple(held)


def suggest(scene: Scene, count: int = 5) -> tuple[str, ...]:
    """Give natural questions that the scene answers, of different families, always the same."""
    rng = np.random.Generator(np.random.PCG64([scene.seed, 1]))
    speaker = Speaker(Facts.of(scene), rng, plain=True)
    order = ("noun", "motion", "relation", "caption", "order", "count", "event", "every", "look")
    found: list[str] = []
    for family in (*order, "yesno", "where", "absent"):
        turn = next((t for t in (_ask(speaker, family, None) for _ in range(_TRIES)) if t), None)
        if turn is not None and len(found) < count:
            found.append(turn.question)
    return tuple(found)


def vocabulary(atlas: Atlas) -> tuple[str, ...]:
    """List every word and mark that questions and answers about an atlas can use, sorted."""
    nouns = {*atlas.nouns, *known_nouns(), *shapes.NAMES}
    groups = {*atlas.groups, *known_nouns().values(), SHAPE_GROUP}
    names = nouns | {words.group_name(group) for group in groups} | groups
    texts = [*names, *map(words.plural, names), *map(words.with_article, names)]
    texts += [*COLOURS, *words.NUMBERS, *words.ORDINALS]
    found = {word for text in texts for word in words_of(text)}
    return tuple(sorted(found | fixed_words()))


def _ask(speaker: Speaker, family: str, previous: QA | None) -> QA | None:
    if family == "followup":
        return None if previous is None else _follow_up(speaker, previous)
    if family not in _ASKERS:
        raise ValueError(f'family: expected one of {FAMILIES}, got "{family}"')
    return _ASKERS[family](speaker)


def _follow_up(speaker: Speaker, previous: QA) -> QA | None:
    """Ask more about the one thing of the turn before, or about the other one."""
    thing = next((t for t in speaker.facts.clear if (t.id,) == previous.targets), None)
    if thing is None:
        return None
    way = str(speaker.choose(("doing", "where", "colour", "when", "other", "other", "and")))
    if way == "other":
        return _the_other(speaker, thing)
    if way == "and":
        return _and_another(speaker, thing, previous)
    name = Named(f"the {thing.noun}", thing.id)
    question = speaker.put(f"it_{way}")
    if way == "doing":
        return speaker.say_motion("followup", question, thing, name)
    if way == "where":
        return telling.say_place(speaker, "followup", question, thing, name)
    if way == "when":
        return telling.say_time(speaker, "followup", question, thing, name)
    return speaker.say("followup", question, "colour", (thing,), thing=name, colour=thing.colour)


def _the_other(speaker: Speaker, thing: Thing) -> QA | None:
    """Ask for the thing's only twin, or for the only other thing in view."""
    twins = speaker.facts.every(lambda t: t.noun == thing.noun)
    everything = speaker.facts.every(lambda _: True)
    if twins is not None and len(twins) == 2:
        among, must = twins, ""
    elif everything is not None and len(everything) == 2:
        among, must = everything, "the other one"
    else:
        return None
    other = among[0] if among[1] is thing else among[1]
    if not speaker.name(other):
        return None
    question = speaker.put("other", must=must, noun=thing.noun)
    return speaker.say("followup", question, "here", (other,), thing=speaker.named(other))


def _and_another(speaker: Speaker, thing: Thing, previous: QA) -> QA | None:
    """Ask the same question about another thing: "And the lemon?"."""
    other = speaker.choose([t for t in speaker.nameable() if t is not thing])
    if other is None or previous.family not in ("noun", "where", "when"):
        return None
    question = speaker.put("and", x=speaker.named(other).text)
    if previous.family == "where":
        return telling.say_place(speaker, "followup", question, other)
    if previous.family == "when":
        return telling.say_time(speaker, "followup", question, other)
    return speaker.say("followup", question, "here", (other,), thing=speaker.named(other))
