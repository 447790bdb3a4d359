"""Findings as plain English: nothing that was not found, and "perhaps" where it is not sure."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator

from dask_workers.sight.findings import (
    LABEL_PERHAPS,
    LABEL_SURE,
    LINE_SURE,
    PERHAPS,
    SURE,
    Box,
    Colour,
    Findings,
    Line,
    Thing,
)
from dask_workers.sight.nouns import Noun, countable, counted, listed, many, one
from dask_workers.sight.question import Aim, Question

#: Said where nothing was found of what was asked for.
_MISSED = "Small, hidden or unusual ones are missed."
CANNOT = (
    "This model finds things, writing and colours on a picture, and cannot answer such a question."
)


def answer(question: Question, found: Findings) -> Iterator[str]:
    """Yield the sentences that answer `question`, without those about writing."""
    noun = question.noun
    match question.aim:
        case Aim.COUNT:
            yield _count(question, found)
        case Aim.PRESENCE:
            yield _presence(noun, found) if noun else _unknown(question.unknown)
        case Aim.WHERE:
            yield _where(noun, found) if noun else _unknown(question.unknown)
        case Aim.COLOUR:
            yield from _colour(question, found)
        case Aim.WHO:
            yield "This model cannot tell who anybody is."
            yield _things(found.objects)
        case Aim.OTHER:
            yield CANNOT
            yield from describe(found)
        case Aim.DESCRIBE | Aim.READ:
            yield from describe(found)


def describe(found: Findings) -> Iterator[str]:
    """Yield what is on the picture, without what is written on it."""
    if found.animated:
        yield "The picture is animated: this is about its first frame."
    whole = _whole(found)
    if found.objects or not whole:
        yield _things(found.objects)
    if whole:
        yield whole
    yield _colours(found.colours)


def line(read: Line) -> str:
    """Return a line of writing as it is told."""
    sure = read.score >= LINE_SURE and all(map(_learnt, filter(str.isalpha, read.text)))
    return f"“{read.text}”" + ("" if sure else " (perhaps)")


def _learnt(letter: str) -> bool:
    """Tell whether the reader has learnt a letter's script: others it misreads, and is sure."""
    return unicodedata.name(letter, "").startswith(("LATIN", "CJK", "HIRAGANA", "KATAKANA"))


def no_writing() -> str:
    """Return what is said where nothing could be read."""
    return "No writing was found on it."


def _things(objects: list[Thing]) -> str:
    sure = Counter(thing.label for thing in objects if thing.score >= SURE)
    perhaps = Counter(thing.label for thing in objects if PERHAPS <= thing.score < SURE)
    if not sure and not perhaps:
        return "None of the 80 kinds of things that this model knows was found on the picture."
    told = [counted(number, name) for name, number in sure.items()]
    maybe = [
        f"{'another' if number == 1 else 'more'} {name if number == 1 else many(name)}"
        if name in sure
        else counted(number, name)
        for name, number in perhaps.items()
    ]
    if not told:
        return f"Perhaps there is {listed(maybe)} on the picture."
    rest = f", and perhaps {listed(maybe)}" if maybe else ""
    plural = "are" if next(iter(sure.values())) > 1 else "is"
    return f"There {plural} {listed(told)} on the picture{rest}."


def _whole(found: Findings) -> str:
    """Return what the picture as a whole looks like; empty where that is not worth a word."""
    kind = found.kinds[0] if found.kinds else None
    label = found.labels[0] if found.labels else None
    seen = {thing.label for thing in found.objects if thing.score >= PERHAPS}
    if kind and label and kind.score >= LABEL_SURE and kind.score > label.score:
        closer = f", perhaps {one(label.label)}" if label.score >= LABEL_PERHAPS else ""
        if kind.label not in seen:
            return f"As a whole it looks like {one(kind.label)}{closer}."
        return f"It may be {one(label.label)}." if closer else ""
    if label is None or label.score < LABEL_PERHAPS or label.label in seen:
        return ""
    perhaps = "" if label.score >= LABEL_SURE else "perhaps "
    return f"As a whole it looks {perhaps}like {one(label.label)}."


def _count(question: Question, found: Findings) -> str:
    noun = question.noun
    if noun is None or not countable(noun.name):
        asked = noun.said if noun else question.unknown
        return f"This model cannot count {asked!r}: it counts the 80 kinds of things that it knows."
    scores = [thing.score for thing in found.objects if thing.label == noun.name]
    sure = sum(score >= SURE for score in scores)
    perhaps = sum(PERHAPS <= score < SURE for score in scores)
    more = f", and perhaps {perhaps} more" if perhaps and sure else ""
    if sure:
        verb = "was" if sure == 1 else "were"
        number = f"one {noun.name}" if sure == 1 else counted(sure, noun.name)
        return f"{_capital(number)} {verb} found{more}."
    if perhaps:
        return f"Perhaps {perhaps if perhaps > 1 else 'one'}; none for sure."
    return f"No {noun.name} was found. {_MISSED}"


def _presence(noun: Noun, found: Findings) -> str:
    """Tell whether it was found, as a thing or as a name for the whole."""
    things = [thing.score for thing in found.objects if thing.label == noun.name]
    wholes = [one.score for one in (*found.kinds, *found.labels) if one.label == noun.name]
    sure = sum(score >= SURE for score in things)
    if sure:
        return f"Yes: {counted(sure, noun.name)} {'was' if sure == 1 else 'were'} found."
    if any(score >= LABEL_SURE for score in wholes):
        return f"Yes: as a whole the picture looks like {one(noun.name)}."
    best = max((*things, *(score for score in wholes if score >= LABEL_PERHAPS)), default=0.0)
    if best:
        return f"Perhaps: something looks like {one(noun.name)}, with a score of {best:.0%}."
    return f"No {noun.name} was found. {_MISSED}"


def _where(noun: Noun, found: Findings) -> str:
    things = [thing for thing in found.objects if thing.label == noun.name]
    if not things:
        return f"No {noun.name} was found, so where it is cannot be told. {_MISSED}"
    places = [_place(thing.box, found.size) for thing in things if thing.score >= SURE]
    if not places:
        return f"Perhaps {_place(things[0].box, found.size)}; it is not sure."
    if len(places) == 1:
        return f"The {noun.name} is {places[0]}."
    return f"{_capital(counted(len(places), noun.name))} were found: {listed(places)}."


def _place(box: Box, size: tuple[int, int]) -> str:
    left, top, right, bottom = box
    across = ("on the left", "", "on the right")[_third((left + right) / 2 / size[0])]
    down = ("at the top", "", "at the bottom")[_third((top + bottom) / 2 / size[1])]
    return " ".join(filter(None, (down, across))) or "in the middle"


def _third(part: float) -> int:
    return min(2, max(0, int(part * 3)))


def _colour(question: Question, found: Findings) -> Iterator[str]:
    noun = question.noun
    if noun and found.colours_of_thing:
        yield _colours(found.colours_of_thing, f" about the middle of the {noun.name}")
        return
    if noun:
        yield f"No {noun.name} was found whose colour could be told; this is about the whole."
    elif question.unknown:
        yield _unknown(question.unknown)
    yield _colours(found.colours)


def _colours(colours: list[Colour], where: str = "") -> str:
    if not colours:
        return "No colour prevails."
    told = listed([colour.name for colour in colours])
    one_only = len(colours) == 1
    return f"The main colour{'' if one_only else 's'}{where} {'is' if one_only else 'are'} {told}."


def _unknown(asked: str) -> str:
    return f"This model has no name for {asked!r}, so it cannot tell."


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
