"""English for the world: plurals, articles, numbers and the names of groups. Knows no scene."""

from __future__ import annotations

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")

MASS_NOUNS = frozenset(
    {
        *("bacon", "bread", "broccoli", "butter", "candy", "cheese", "chocolate", "corn", "garlic"),
        *("ice cream", "popcorn", "pudding", "soap"),
        *("beer", "champagne", "coffee", "milk", "whiskey", "wine"),
    }
)
"""Nouns that are neither counted nor given an article."""

GROUP_NAMES = {
    "clothing": "piece of clothing",
    "food": "piece of food",
    "furniture": "piece of furniture",
    "kitchenware": "piece of kitchenware",
}
"""What one of a group is called, where it is not the group's own word."""

WIDER_GROUPS = {
    "animal": frozenset({"bird", "sea animal", "insect"}),
    "plant": frozenset({"flower", "fruit", "vegetable"}),
    "food": frozenset({"fruit", "vegetable", "dessert", "drink"}),
    "vehicle": frozenset({"boat", "aircraft"}),
    "toy": frozenset({"ball"}),
    "sports item": frozenset({"ball"}),
    "tool": frozenset({"kitchenware", "household item", "office item", "device"}),
    "device": frozenset({"instrument", "household item", "tool", "vehicle", "aircraft"}),
    "household item": frozenset(
        {"kitchenware", "furniture", "tool", "device", "office item", "bag"}
    ),
    "fruit": frozenset({"vegetable"}),
    "vegetable": frozenset({"fruit"}),
}
"""Groups that people may count to another one; beside such a thing the wider word is not used."""

KIN = (
    frozenset({"car", "race car", "taxi", "police car", "pickup truck", "ambulance"}),
    frozenset({"truck", "pickup truck", "fire truck", "tractor"}),
    frozenset({"train", "tram"}),
    frozenset({"bicycle", "motorcycle", "scooter"}),
    frozenset({"shoe", "sneaker", "boot"}),
    frozenset({"handbag", "purse", "suitcase", "briefcase", "backpack"}),
    frozenset({"phone", "telephone"}),
    frozenset({"watch", "alarm clock"}),
    frozenset({"soccer ball", "football", "volleyball", "basketball", "baseball", "tennis ball"}),
    frozenset({"melon", "watermelon"}),
    frozenset({"bear", "teddy bear", "panda", "koala"}),
    frozenset({"ship", "sailboat", "speedboat", "canoe"}),
    frozenset({"wine", "champagne", "cocktail", "whiskey", "beer"}),
    frozenset({"cake", "cupcake", "pie"}),
    frozenset({"candy", "lollipop", "chocolate"}),
    frozenset({"bread", "croissant", "bagel"}),
    frozenset({"pen", "pencil", "crayon", "paintbrush"}),
    frozenset({"bee", "fly", "mosquito"}),
    frozenset({"rose", "hibiscus", "tulip", "bouquet", "daisy", "lotus", "sunflower"}),
    frozenset({"tree", "palm tree", "potted plant", "seedling"}),
    frozenset({"cap", "top hat", "helmet"}),
    frozenset({"lantern", "candle", "light bulb", "flashlight"}),
    frozenset({"doll", "robot", "teddy bear"}),
    frozenset({"chick", "rooster", "duck", "goose", "swan"}),
    frozenset({"donkey", "horse", "unicorn", "zebra"}),
    frozenset({"dog", "wolf", "fox"}),
    frozenset({"dragon", "dinosaur", "crocodile", "lizard"}),
    frozenset({"diamond", "square"}),
    frozenset({"circle", "ring"}),
)
"""Nouns close enough that "there is no ..." could be called wrong beside the other."""

_IRREGULAR = {
    "bison": "bison",
    "deer": "deer",
    "fish": "fish",
    "goose": "geese",
    "knife": "knives",
    "leaf": "leaves",
    "mango": "mangoes",
    "moose": "moose",
    "mouse": "mice",
    "potato": "potatoes",
    "scarf": "scarves",
    "sheep": "sheep",
    "shrimp": "shrimp",
    "snowman": "snowmen",
    "squid": "squid",
    "tomato": "tomatoes",
    "wolf": "wolves",
}
_VOICED_U = ("unicorn",)
_SILENT_H = ("hourglass",)


def plural(noun: str) -> str:
    """Give the plural of a noun of one or more words: "maple leaves", "pieces of clothing"."""
    head, of, rest = noun.partition(" of ")
    before, space, last = head.rpartition(" ")
    return before + space + _plural_word(last) + of + rest


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun; nothing before a mass noun."""
    if noun in MASS_NOUNS:
        return noun
    vowel = (noun[0] in "aeiou" and not noun.startswith(_VOICED_U)) or noun.startswith(_SILENT_H)
    return f"{'an' if vowel else 'a'} {noun}"


def counted(count: int, noun: str) -> str:
    """Write a number of things: "no foxes", "one fox", "two foxes"."""
    return f"{NUMBERS[count]} {noun if count == 1 else plural(noun)}"


def group_name(group: str) -> str:
    """Name one thing of a group: "animal", "piece of clothing"."""
    return GROUP_NAMES.get(group, group)


def are_kin(one: str, other: str) -> bool:
    """Say whether one noun could be taken for the other."""
    return one == other or any(one in kin and other in kin for kin in KIN)


def _plural_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
