"""Facts of a clip -> the words for its things: names without ambiguity, and words for what is not there.

Knows no sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from sparrow.world import shapes, words
from sparrow.world.cast import SHAPE_GROUP, Thing
from sparrow.world.facts import Facts
from sparrow.world.phrasing import MOTIONS, QA, Named, Pieces, put, put_plainly, tell
from sparrow.world.picture import COLOURS, load_atlas

Item = TypeVar("Item")

_MORE_THAN_NEEDED = 0.15  # share of mentions with a colour that the noun alone does not need


@cache
def known_nouns() -> dict[str, str]:
    """Give every noun of the shipped world and its group."""
    nouns = {picture.noun: picture.group for picture in load_atlas().pictures}
    return {**nouns, **dict.fromkeys(shapes.NAMES, SHAPE_GROUP)}


class Speaker:
    """Finds words for the things of one clip; what it chooses, it chooses by its generator.

    Args:
        facts: of the clip.
        rng: where choices come from.
        plain: put each question in its plainest way, with all its marks.
    """

    def __init__(self, facts: Facts, rng: np.random.Generator, *, plain: bool = False) -> None:
        self.facts = facts
        self.rng = rng
        self._plain = plain
        self._present = (*facts.clear, *facts.vague)

    def choose(self, items: Sequence[Item]) -> Item | None:
        """Take one of the items; None where there are none."""
        return items[int(self.rng.integers(len(items)))] if items else None

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Give the items in any order."""
        return [items[int(index)] for index in self.rng.permutation(len(items))]

    def name(self, thing: Thing) -> str | None:
        """Give the shortest name that only this thing has: "the fox", "the red fox" ...; or None."""
        noun = thing.noun
        ways = (
            (f"the {noun}", lambda t: t.noun == noun),
            (f"the {thing.colour} {noun}", lambda t: (t.colour, t.noun) == (thing.colour, noun)),
            (f"the {thing.size} {noun}", lambda t: (t.size, t.noun) == (thing.size, noun)),
        )
        for text, test in ways:
            if self.facts.only(test) is thing:
                return text
        side = self.side(thing)
        return f"the {side} {noun}" if side else None

    def side(self, thing: Thing) -> str | None:
        """Say on which side of its only twin (a thing of the same noun) it is: "left" or "right"."""
        twins = self.facts.every(lambda t: t.noun == thing.noun)
        if twins is None or len(twins) != 2:
            return None
        other = twins[0] if twins[1] is thing else twins[1]
        is_left = self.facts.is_to(thing, "left", other)
        return None if is_left is None else "left" if is_left else "right"

    def named(self, thing: Thing) -> Named:
        """Give the name of a thing that has one, to be marked in an answer."""
        name = self.name(thing)
        assert name is not None, f"thing {thing.id} has no name of its own"
        return Named(name, thing.id)

    def nameable(self) -> list[Thing]:
        """List the clear things that have a name of their own."""
        return [thing for thing in self.facts.clear if self.name(thing)]

    def refer(self, thing: Thing) -> str:
        """Refer to a thing in a question by its name, now and then with more than is needed."""
        if not self._plain and self.rng.random() < _MORE_THAN_NEEDED:
            full = f"the {thing.colour} {thing.noun}"
            if self._is_only(thing, full):
                return full
        return self.named(thing).text

    def descriptions(self, thing: Thing) -> list[str]:
        """List ways to say which thing is meant by its look; none is its bare noun."""
        kinds = ["thing", "object", thing.noun]
        if self.group_is_fair(thing.group):
            kinds.append(words.group_name(thing.group))
        looks = [thing.colour, thing.size, f"{thing.size} {thing.colour}"]
        found = [
            f"the {look} {kind}"
            for kind in kinds
            for look in looks
            if self._is_only(thing, f"the {look} {kind}")
        ]
        found += [f"the {kind}" for kind in kinds[3:] if self._is_only(thing, f"the {kind}")]
        side = self.side(thing)
        if side:
            found += [f"the {side} {thing.noun}", f"the {thing.noun} on the {side}"]
        return found

    def group_is_fair(self, group: str) -> bool:
        """Say whether a group's word means the same to everybody beside what is there."""
        wider = words.WIDER_GROUPS.get(group, frozenset())
        return not any(thing.group in wider for thing in self._present)

    def kinds(self) -> list[tuple[str, str | None]]:
        """List words for a kind of thing with the group that each is limited to (None: any)."""
        fair = {t.group for t in self._present if self.group_is_fair(t.group)}
        groups = sorted(fair)
        return [("thing", None), ("object", None), *((words.group_name(g), g) for g in groups)]

    def absent_noun(self) -> str | None:
        """Choose a noun that is not there, half of the time of a group that is."""
        here = [thing.noun for thing in self.facts.things]
        groups = {thing.group for thing in self._present}
        near = self.rng.random() < 0.5
        nouns = [
            noun
            for noun, group in known_nouns().items()
            if (group in groups or not near) and not any(words.are_kin(noun, n) for n in here)
        ]
        return self.choose(nouns)

    def absent_colour(self) -> str | None:
        """Choose a colour that nothing has."""
        here = {thing.colour for thing in self.facts.things}
        return self.choose([colour for colour in COLOURS if colour not in here])

    def absent_group(self) -> str | None:
        """Choose a group that nothing belongs to, nor to a part of it."""
        here = {thing.group for thing in self.facts.things}
        groups = sorted(set(known_nouns().values()) - here)
        near = [
            g for g in groups if not any(words.WIDER_GROUPS.get(h, frozenset()) & {g} for h in here)
        ]
        return self.choose([g for g in near if self.group_is_fair(g)])

    def action(self, thing: Thing, name: Named) -> Pieces | None:
        """Say what a thing does, as a clause; None where that is not clear."""
        motion = self.facts.motion(thing)
        if motion is None:
            return None
        if motion in MOTIONS:
            return (name, f" is {MOTIONS[motion]}")
        return (name, " leaves and comes back")

    def moves(self, thing: Thing) -> bool | None:
        """Say whether it moves; None where that is not clear."""
        motion = self.facts.motion(thing)
        return None if motion is None else motion != "still"

    def put(self, kind: str, /, *, must: str = "", **slots: str) -> str:
        """Put a question of a kind (of QUESTIONS) in one of its ways; `must` is a text it needs."""
        if self._plain:
            return put_plainly(kind, must=must, **slots)
        return put(self.rng, kind, must=must, **slots)

    def say(
        self,
        family: str,
        question: str,
        kind: str,
        targets: Sequence[Thing] = (),
        pointed: Sequence[Thing] = (),
        **slots: str | Named | Pieces,
    ) -> QA:
        """Put a question and its answer (a kind of ANSWERS with its slots) together."""
        answer, phrases = tell(kind, **slots)
        about, at = (tuple(thing.id for thing in group) for group in (targets, pointed))
        return QA(family, question, answer, phrases, about, at)

    def say_motion(
        self,
        family: str,
        question: str,
        thing: Thing,
        name: Named | None = None,
        pointed: Sequence[Thing] = (),
    ) -> QA | None:
        """Answer with what a thing does; None where that is not clear."""
        clause = self.action(thing, name or self.named(thing))
        if clause is None:
            return None
        return self.say(family, question, "clause", (thing,), pointed, clause=clause)

    def _is_only(self, thing: Thing, description: str) -> bool:
        """Say whether "the <look> <kind>" fits this thing alone."""
        return self.facts.only(lambda t: _fits(t, description)) is thing


def _fits(thing: Thing, description: str) -> bool:
    """Say whether a description made of size, colour and noun, group or "thing" is true of a thing."""
    rest = description.removeprefix("the ")
    rest = rest.removeprefix(f"{thing.size} ").removeprefix(f"{thing.colour} ")
    return rest in (thing.noun, words.group_name(thing.group), "thing", "object")
