"""The words for what sight can find: one and many of each, and what else people call it."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from dask_workers.sight.kinds import KINDS
from dask_workers.sight.networks import names

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MANY = {
    "person": "people", "knife": "knives", "mouse": "mice", "sheep": "sheep", "skis": "skis",
    "scissors": "scissors", "wolf": "wolves", "fish": "fish",
}  # fmt: skip
#: Of these there are only many.
_PAIRS = frozenset({"skis", "scissors"})
#: The detector's names where people would say another, and the other way about.
_ALSO = {
    "people": "person", "persons": "person", "human": "person", "humans": "person",
    "somebody": "person", "someone": "person", "anybody": "person", "anyone": "person",
    "man": "person", "men": "person", "woman": "person", "women": "person", "child": "person",
    "children": "person", "kid": "person", "kids": "person", "girl": "person", "boy": "person",
    "bike": "bicycle", "bikes": "bicycle", "motorbike": "motorcycle", "motorbikes": "motorcycle",
    "plane": "airplane", "planes": "airplane", "aeroplane": "airplane", "ship": "boat",
    "ships": "boat", "sofa": "couch", "sofas": "couch", "television": "tv", "phone": "cell phone",
    "phones": "cell phone", "mobile phone": "cell phone", "smartphone": "cell phone",
    "fridge": "refrigerator", "plant": "potted plant", "plants": "potted plant",
    "table": "dining table", "tables": "dining table", "doughnut": "donut", "doughnuts": "donut",
    "puppy": "dog", "kitten": "cat", "mug": "cup", "mugs": "cup", "mushrooms": "mushroom",
    "rucksack": "backpack", "hairdryer": "hair drier", "kitty": "cat", "ape": "monkey",
}  # fmt: skip
_AN = re.compile(r"^(?!uni|eu|one)[aeiou]|^hour", re.IGNORECASE)
_ENDS_IN_ES = re.compile(r"(?:s|x|z|ch|sh)$")


class Noun(NamedTuple):
    """A word in a question for something that sight may find."""

    #: As the networks call it.
    name: str
    #: As the question does.
    said: str


def one(name: str) -> str:
    """Return a name with its article: ``a cat``, ``an apple``."""
    if name in _PAIRS:
        return f"a pair of {name}" if name == "scissors" else f"{name}"
    return f"{'an' if _AN.search(name) else 'a'} {name}"


def many(name: str) -> str:
    """Return the plural of a name."""
    if name in _MANY:
        return _MANY[name]
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if _ENDS_IN_ES.search(name) else "s")


def counted(number: int, name: str) -> str:
    """Return so many of them, in words up to ten."""
    if number == 1:
        return one(name)
    return f"{_NUMBERS[number] if number < len(_NUMBERS) else number} {many(name)}"


def listed(items: list[str]) -> str:
    """Return ``a, b and c``."""
    *before, last = items
    return f"{', '.join(before)} and {last}" if before else last


def find(words: str) -> Noun | None:
    """Return the first thing that `words` name and that sight could find; the longest name wins."""
    met = _pattern().search(words.lower())
    return Noun(_known()[met[0]], met[0]) if met else None


def countable(name: str) -> bool:
    """Tell whether the detector can find each one of them."""
    return name in names("objects.txt")


@cache
def _known() -> dict[str, str]:
    """Return the network's names by what they may be called."""
    named = (*names("labels.txt"), *KINDS, *names("objects.txt"))
    known = {many(name).lower(): name for name in named}
    known |= {name.lower(): name for name in named}
    return known | _ALSO


@cache
def _pattern() -> re.Pattern[str]:
    longest_first = sorted(_known(), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")
