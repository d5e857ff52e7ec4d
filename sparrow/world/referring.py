"""Questions that pick things out: by noun, look, motion, relation, order and event; several, every, none.

Each function asks one question of its family that has exactly one answer, or gives None.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparrow.world import words
from sparrow.world.cast import Thing
from sparrow.world.facts import RETURNS
from sparrow.world.phrasing import (
    MOTIONS,
    NTH,
    ORDERS,
    QA,
    RELATIONS,
    Named,
    Pieces,
    listed,
)
from sparrow.world.questions import NTH_WAYS, ORDER_WAYS
from sparrow.world.speaker import Speaker


def noun(speaker: Speaker) -> QA | None:
    """Ask for a thing by its name."""
    thing = speaker.choose(speaker.nameable())
    if thing is None:
        return None
    question = speaker.put("segment", x=speaker.refer(thing))
    return speaker.say("noun", question, "here", (thing,), thing=speaker.named(thing))


def look(speaker: Speaker) -> QA | None:
    """Ask for a thing by how it looks or what kind it is, or for the colour of a named thing."""
    rng = speaker.rng
    thing = speaker.choose(speaker.nameable())
    if thing is None:
        return None
    name = speaker.named(thing)
    if rng.random() < 0.2:
        question = speaker.put("colour", x=name.text)
        return speaker.say("look", question, "colour", (thing,), thing=name, colour=thing.colour)
    description = speaker.choose(speaker.descriptions(thing))
    if description is None:
        return None
    if description == f"the {thing.colour} thing" and rng.random() < 0.4:
        question = speaker.put("which_colour", x=thing.colour)
    else:
        question = speaker.put("segment", x=description)
    return speaker.say("look", question, "here", (thing,), thing=name)


def motion(speaker: Speaker) -> QA | None:
    """Ask which thing moves in a way, or how a named thing moves."""
    rng = speaker.rng
    if rng.random() < 0.3:
        thing = speaker.choose(speaker.nameable())
        if thing is None:
            return None
        question = speaker.put("doing", x=speaker.refer(thing))
        return speaker.say_motion("motion", question, thing)
    moving = [thing for thing, m in _movers(speaker, None) if m != "still"]
    if len(moving) == 1 and speaker.name(moving[0]) and rng.random() < 0.2:
        return speaker.say_motion("motion", speaker.put("what_is_moving"), moving[0])
    for kind, group in speaker.shuffled(speaker.kinds()):
        movers = _movers(speaker, group)
        for word in speaker.shuffled(sorted({m for _, m in movers} & set(MOTIONS))):
            found = [thing for thing, m in movers if m == word]
            if len(found) == 1 and speaker.name(found[0]):
                question = _motion_question(speaker, word, kind, group)
                return speaker.say_motion("motion", question, found[0])
    return None


def relation(speaker: Speaker) -> QA | None:
    """Ask what is beside, above or below a named thing."""
    for other in speaker.shuffled(speaker.nameable()):
        for side in speaker.shuffled(list(RELATIONS)):
            for kind, group in speaker.shuffled(speaker.kinds()):
                thing = _only_one_to(speaker, side, other, group)
                if thing is None or not speaker.name(thing):
                    continue
                must = "{kind}" if group else ""
                slots = {"kind": kind, "relation": RELATIONS[side], "x": speaker.refer(other)}
                question = speaker.put("relation", must=must, **slots)
                name, answer = speaker.named(thing), RELATIONS[side]
                told = speaker.named(other).text
                return speaker.say(
                    "relation",
                    question,
                    "relation",
                    (thing,),
                    thing=name,
                    relation=answer,
                    other=told,
                )
    return None


def order(speaker: Speaker) -> QA | None:
    """Ask for the thing at an end, or at a place, of an order of all things."""
    rng = speaker.rng
    for key in speaker.shuffled([*ORDERS, "nth", "nth"]):
        if key == "nth":
            found = _nth(speaker)
            if found is None:
                continue
            thing, told, asked = found
        else:
            end = _end(speaker, key)
            if end is None:
                continue
            thing, told = end, ORDERS[key]
            asked = str(speaker.choose(ORDER_WAYS[key]))
        if not speaker.name(thing):
            continue
        if key in ("largest", "smallest") and rng.random() < 0.2:
            question = speaker.put("extreme", extreme=key)
        else:
            question = speaker.put("order", order=asked)
        return speaker.say(
            "order", question, "order", (thing,), thing=speaker.named(thing), order=told
        )
    return None


def event(speaker: Speaker) -> QA | None:
    """Ask which thing enters, leaves, comes back or passes behind another one."""
    facts = speaker.facts
    if facts.vague:
        return None
    planned = {
        "enters": [t for t in facts.clear if t.enters_at is not None],
        "leaves": [t for t in facts.clear if t.leaves_at is not None and t.returns_at is None],
        "returns": [t for t in facts.clear if t.returns_at is not None],
    }
    seen = {
        "enters": facts.enters,
        "leaves": facts.leaves,
        "returns": lambda thing: facts.motion(thing) == RETURNS,
    }
    for kind in speaker.shuffled([*planned, "behind"]):
        if kind == "behind":
            found = _behind(speaker)
            if found is not None:
                return found
            continue
        things = planned[kind]
        if len(things) != 1 or not seen[kind](things[0]) or not speaker.name(things[0]):
            continue
        question = speaker.put(kind)
        if kind == "returns":
            return speaker.say_motion("event", question, things[0])
        return speaker.say("event", question, kind, things, thing=speaker.named(things[0]))
    return None


def several(speaker: Speaker) -> QA | None:
    """Ask for two or three things at once."""
    things = speaker.shuffled(speaker.nameable())
    count = 3 if len(things) > 2 and speaker.rng.random() < 0.3 else 2
    if len(things) < count:
        return None
    things = things[:count]
    names = [speaker.named(thing) for thing in things]
    spoken = "".join(p if isinstance(p, str) else p.text for p in listed([(n,) for n in names]))
    question = speaker.put("segment", x=spoken)
    return speaker.say(
        "several", question, "here_are", things, things=listed([(name,) for name in names])
    )


def every(speaker: Speaker) -> QA | None:
    """Ask for all things of a noun, a group, a colour, or for all things."""
    facts = speaker.facts
    model = speaker.choose(facts.clear)
    if model is None:
        return None
    way = str(speaker.choose(("noun", "noun", "group", "colour", "all")))
    if way == "noun" and model.noun not in words.MASS_NOUNS:
        return _every_noun(speaker, model.noun)
    if way == "group" and speaker.group_is_fair(model.group):
        one = words.group_name(model.group)
        found = facts.every(lambda t: t.group == model.group)
    elif way == "colour":
        one, found = f"{model.colour} thing", facts.every(lambda t: t.colour == model.colour)
    elif way == "all":
        one, found = "thing", facts.every(lambda _: True)
    else:
        return None
    ordered = facts.left_to_right(found) if found else None
    if ordered is None or not all(speaker.name(thing) for thing in ordered):
        return None
    slots = {"one": one, "many": words.plural(one)}
    question = speaker.put("everything") if way == "all" else speaker.put("every", **slots)
    items: list[Pieces] = [(speaker.named(thing),) for thing in ordered]
    return speaker.say(
        "every",
        question,
        "listed_one" if len(items) == 1 else "listed",
        ordered,
        count=words.counted(len(items), one),
        things=listed(items),
    )


def absent(speaker: Speaker) -> QA | None:
    """Ask for something that is not there but could be: of a group or with a look that is."""
    way = str(speaker.choose(("noun", "noun", "noun", "colour", "look", "group")))
    missing: str | None
    if way == "noun":
        missing = speaker.absent_noun()
    elif way == "group":
        group = speaker.absent_group()
        missing = words.group_name(group) if group else None
    else:
        colour, thing = speaker.absent_colour(), speaker.choose(speaker.facts.clear)
        kind = "thing" if way == "colour" else thing.noun if thing else None
        missing = f"{colour} {kind}" if colour and kind else None
    if missing is None:
        return None
    question = speaker.put("segment", x=f"the {missing}")
    return speaker.say("absent", question, "absent", noun=missing)


def _movers(speaker: Speaker, group: str | None) -> list[tuple[Thing, str]]:
    """List the things of a group with their motions; empty where one of them is in doubt."""
    things = speaker.facts.every(lambda t: group is None or t.group == group) or ()
    motions = [speaker.facts.motion(thing) for thing in things]
    return [] if None in motions else [(t, m) for t, m in zip(things, motions, strict=True) if m]


def _motion_question(speaker: Speaker, word: str, kind: str, group: str | None) -> str:
    rng, must = speaker.rng, "{kind}" if group else ""
    if word in ("left", "right") and rng.random() < 0.4:
        return speaker.put("left_right", must=must, kind=kind, side=word)
    if group is None and rng.random() < 0.3:
        return speaker.put("what_moves", motion=MOTIONS[word])
    return speaker.put("which_moves", kind=kind, motion=MOTIONS[word])


def _only_one_to(speaker: Speaker, side: str, other: Thing, group: str | None) -> Thing | None:
    """Give the only thing of a group on a side of another thing; None where any is in doubt."""
    things = speaker.facts.every(lambda t: group is None or t.group == group) or ()
    answers = [(t, speaker.facts.is_to(t, side, other)) for t in things if t is not other]
    found = [thing for thing, answer in answers if answer]
    doubt = any(answer is None for _, answer in answers)
    return found[0] if len(found) == 1 and not doubt else None


def _end(speaker: Speaker, key: str) -> Thing | None:
    """Give the thing at an end of the order by size or by place."""
    facts = speaker.facts
    if key == "largest":
        return facts.largest()
    return facts.smallest() if key == "smallest" else facts.outermost(key)


def _nth(speaker: Speaker) -> tuple[Thing, str, str] | None:
    """Choose a thing between the ends, how it is told and how it is asked for."""
    side = str(speaker.choose(("left", "right")))
    ordered = speaker.facts.ranked(side)
    if ordered is None or len(ordered) < 3:
        return None
    place = int(speaker.rng.integers(1, len(ordered) - 1))
    slots = {"nth": words.ORDINALS[place], "side": side}
    way = str(speaker.choose(NTH_WAYS))
    return ordered[place], NTH.format(**slots), way.format(**slots)


def _behind(speaker: Speaker) -> QA | None:
    facts = speaker.facts
    for other in speaker.shuffled(speaker.nameable()):
        maybe = [t for t in facts.clear if t is not other and facts.hides(t, other)]
        if len(maybe) == 1 and speaker.name(maybe[0]) and facts.passes_behind(maybe[0], other):
            thing, told = maybe[0], speaker.named(other).text
            question = speaker.put("behind", x=told)
            return speaker.say(
                "event", question, "behind", (thing,), thing=speaker.named(thing), other=told
            )
    return None


def _every_noun(speaker: Speaker, noun: str) -> QA | None:
    """Ask for all things of a noun; several are told apart by their order from left to right."""
    found = speaker.facts.every(lambda t: t.noun == noun)
    ordered = speaker.facts.left_to_right(found) if found else None
    if ordered is None:
        return None
    question = speaker.put("every", one=noun, many=words.plural(noun))
    count = words.counted(len(ordered), noun)
    if len(ordered) == 1:
        return speaker.say("every", question, "one", ordered, thing=Named(count, ordered[0].id))
    names = [Named(f"the {nth}", t.id) for nth, t in zip(words.ORDINALS, ordered, strict=False)]
    items: Sequence[Pieces] = [(name,) for name in names]
    return speaker.say("every", question, "listed", ordered, count=count, things=listed(items))
