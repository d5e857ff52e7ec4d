"""Questions that ask to be told something: counts, places, times, yes or no, captions, pointed-at things.

Each function asks one question of its family that has exactly one answer, or gives None.
"""

from __future__ import annotations

from sparrow.world import words
from sparrow.world.cast import Thing
from sparrow.world.motion import DIRECTIONS
from sparrow.world.phrasing import MOTIONS, PLACES, QA, RELATIONS, TIMES, Named, listed
from sparrow.world.speaker import Speaker

_MOST_THINGS = 6  # that a caption names
_NONE_THERE = 0.1  # share of counts that ask for what is not there
_OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


def count(speaker: Speaker) -> QA | None:
    """Ask how many things of a noun, a group, a colour, or in all, there are, or how many move."""
    facts, rng = speaker.facts, speaker.rng
    if rng.random() < _NONE_THERE:
        return _count_none(speaker)
    model = speaker.choose(facts.clear)
    if model is None:
        return None
    way = str(speaker.choose(("noun", "group", "group", "colour", "all", "moving")))
    one, found = "thing", facts.every(lambda _: True)
    if way == "noun" and model.noun not in words.MASS_NOUNS:
        one, found = model.noun, facts.every(lambda t: t.noun == model.noun)
    elif way == "group" and speaker.group_is_fair(model.group):
        one, found = words.group_name(model.group), facts.every(lambda t: t.group == model.group)
    elif way == "colour":
        one, found = f"{model.colour} thing", facts.every(lambda t: t.colour == model.colour)
    elif way == "moving" and found is not None:
        moving = [speaker.moves(thing) for thing in found]
        if None in moving:
            return None
        one = "moving thing"
        found = tuple(t for t, moves in zip(found, moving, strict=True) if moves)
    elif way != "all":
        return None
    if found is None:
        return None
    asked = f"count_{way}" if way in ("all", "moving") else "count"
    question = speaker.put(asked, many=words.plural(one))
    return _counted(speaker, question, found, one)


def where(speaker: Speaker) -> QA | None:
    """Ask where a named thing is; of a thing that moves the answer says from where to where."""
    thing = speaker.choose(speaker.nameable())
    if thing is None:
        return None
    return say_place(speaker, "where", speaker.put("where", x=speaker.refer(thing)), thing)


def when(speaker: Speaker) -> QA | None:
    """Ask when a named thing shows; those that do not show all the time first."""
    things = speaker.nameable()
    partly = [thing for thing in things if speaker.facts.when(thing) not in ("whole", None)]
    thing = speaker.choose(partly if partly and speaker.rng.random() < 0.7 else things)
    if thing is None:
        return None
    return say_time(speaker, "when", speaker.put("when", x=speaker.refer(thing)), thing)


def yesno(speaker: Speaker) -> QA | None:
    """Ask whether something is there, moves, has a colour, or how it compares with another one."""
    ways = (_is_there, _is_moving, _is_doing, _is_colour, _is_relation, _is_larger)
    for way in speaker.shuffled(ways):
        found = way(speaker)
        if found is not None:
            return found
    return None


def caption(speaker: Speaker) -> QA | None:
    """Ask for a description: all things from left to right and what each does."""
    facts = speaker.facts
    ordered = None if facts.vague else facts.left_to_right(facts.clear)
    if not ordered or len(ordered) > _MOST_THINGS:
        return None
    clauses = []
    for thing in ordered:
        clause = speaker.action(thing, speaker.named(thing)) if speaker.name(thing) else None
        if clause is None:
            return None
        clauses.append(clause)
    question = speaker.put("caption")
    return speaker.say("caption", question, "clause", ordered, clause=listed(clauses))


def pointed(speaker: Speaker) -> QA | None:
    """Point at one or two things and ask what they are, or at one and ask what it does."""
    rng, clear = speaker.rng, speaker.facts.clear
    things = speaker.shuffled(clear)[: 2 if rng.random() < 0.12 else 1]
    if not things:
        return None
    thing = things[0]
    if len(things) == 2:
        names = [(Named(words.with_article(t.noun), t.id),) for t in things]
        return speaker.say(
            "pointed", speaker.put("these"), "these", things, things, things=listed(names)
        )
    at_it = Named(f"the {thing.noun}", thing.id)
    way = rng.random()
    if way < 0.3:
        return speaker.say_motion("pointed", speaker.put("this_doing"), thing, at_it, things)
    if way < 0.45:
        question = speaker.put("this_colour")
        return speaker.say(
            "pointed", question, "colour", things, things, thing=at_it, colour=thing.colour
        )
    name = Named(words.with_article(thing.noun), thing.id)
    return speaker.say("pointed", speaker.put("this"), "this", things, things, thing=name)


def say_place(
    speaker: Speaker, family: str, question: str, thing: Thing, name: Named | None = None
) -> QA | None:
    """Answer with where a thing is or goes; None where no word fits."""
    facts, name = speaker.facts, name or speaker.named(thing)
    way = facts.way(thing)
    if way is not None:
        start, end = way
        return speaker.say(family, question, "way", (thing,), thing=name, start=start, end=end)
    place = facts.place(thing) if facts.moves_within(thing) else None
    if place is None:
        return None
    return speaker.say(family, question, "place", (thing,), thing=name, place=PLACES[place])


def say_time(
    speaker: Speaker, family: str, question: str, thing: Thing, name: Named | None = None
) -> QA | None:
    """Answer with when a thing shows; None where no word fits."""
    when_word = speaker.facts.when(thing)
    if when_word is None:
        return None
    name = name or speaker.named(thing)
    return speaker.say(family, question, "when", (thing,), thing=name, time=TIMES[when_word])


def _count_none(speaker: Speaker) -> QA | None:
    way = str(speaker.choose(("noun", "group", "colour")))
    group, colour = speaker.absent_group(), speaker.absent_colour()
    one = {
        "noun": speaker.absent_noun(),
        "group": words.group_name(group) if group else None,
        "colour": f"{colour} thing" if colour else None,
    }[way]
    if one is None or one in words.MASS_NOUNS:
        return None
    question = speaker.put("count", many=words.plural(one))
    return _counted(speaker, question, (), one)


def _counted(speaker: Speaker, question: str, found: tuple[Thing, ...], one: str) -> QA:
    kind = "count_one" if len(found) == 1 else "count"
    return speaker.say("count", question, kind, found, count=words.counted(len(found), one))


def _is_there(speaker: Speaker) -> QA | None:
    if speaker.rng.random() < 0.5:
        noun = speaker.absent_noun()
        if noun is None:
            return None
        question = speaker.put("is_there", a=words.with_article(noun))
        return speaker.say("yesno", question, "no_there", noun=noun)
    nouns = [t.noun for t in (*speaker.facts.clear, *speaker.facts.vague)]
    thing = speaker.choose([t for t in speaker.facts.clear if nouns.count(t.noun) == 1])
    if thing is None:
        return None
    name = Named(words.with_article(thing.noun), thing.id)
    question = speaker.put("is_there", a=name.text)
    return speaker.say("yesno", question, "yes_there", (thing,), thing=name)


def _is_moving(speaker: Speaker) -> QA | None:
    wanted = speaker.rng.random() < 0.5
    thing = speaker.choose([t for t in speaker.nameable() if speaker.moves(t) is wanted])
    if thing is None:
        return None
    question = speaker.put("is_moving", x=speaker.refer(thing))
    return _verdict(speaker, question, "yes" if wanted else "no_not", thing, "moving")


def _is_doing(speaker: Speaker) -> QA | None:
    facts = speaker.facts
    thing = speaker.choose([t for t in speaker.nameable() if facts.motion(t) in DIRECTIONS])
    if thing is None:
        return None
    true = MOTIONS[thing.motion]
    right = speaker.rng.random() < 0.5
    others = [word for word in MOTIONS if word != thing.motion]
    asked = true if right else MOTIONS[str(speaker.choose(others))]
    question = speaker.put("is_doing", x=speaker.refer(thing), motion=asked)
    return _verdict(speaker, question, "yes" if right else "no", thing, true)


def _is_colour(speaker: Speaker) -> QA | None:
    thing, right = speaker.choose(speaker.nameable()), speaker.rng.random() < 0.5
    if thing is None:
        return None
    others = {t.colour for t in speaker.facts.clear} - {thing.colour}
    near = speaker.choose(sorted(others)) if speaker.rng.random() < 0.5 else None
    asked = thing.colour if right else near or speaker.absent_colour()
    if asked is None:
        return None
    question = speaker.put("is_colour", x=speaker.named(thing).text, colour=asked)
    return _verdict(speaker, question, "yes" if right else "no", thing, thing.colour)


def _is_relation(speaker: Speaker) -> QA | None:
    pair = speaker.shuffled(speaker.nameable())[:2]
    if len(pair) < 2:
        return None
    thing, other = pair
    for side in speaker.shuffled(list(RELATIONS)):
        right = speaker.facts.is_to(thing, side, other)
        if right is None:
            continue
        told = speaker.named(other).text
        question = speaker.put(
            "is_relation", x=speaker.refer(thing), relation=RELATIONS[side], other=told
        )
        true = RELATIONS[side if right else _OPPOSITE[side]]
        return _verdict(speaker, question, "yes" if right else "no", thing, f"{true} {told}")
    return None


def _is_larger(speaker: Speaker) -> QA | None:
    pair = speaker.shuffled(speaker.nameable())[:2]
    larger = speaker.facts.is_larger(*pair) if len(pair) == 2 else None
    if larger is None:
        return None
    thing, told = pair[0], speaker.named(pair[1]).text
    question = speaker.put("is_larger", x=speaker.refer(thing), other=told)
    right = larger is not ("smaller" in question)
    true = f"{'larger' if larger else 'smaller'} than {told}"
    return _verdict(speaker, question, "yes" if right else "no", thing, true)


def _verdict(speaker: Speaker, question: str, kind: str, thing: Thing, what: str) -> QA:
    name = speaker.named(thing)
    return speaker.say("yesno", question, kind, (thing,), thing=name, what=what)
