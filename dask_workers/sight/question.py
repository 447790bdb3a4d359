"""What a question asks of a picture: a few plain forms in English, known by their words.

Whatever has none of these forms is answered with a description, and the answer says so.
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

from dask_workers.sight.nouns import Noun, find


class Aim(enum.Enum):
    """What is asked for."""

    DESCRIBE = "what is on it"
    READ = "what is written on it"
    COUNT = "how many of something"
    PRESENCE = "whether something is on it"
    COLOUR = "its colours, or those of something"
    WHERE = "where something is"
    WHO = "who somebody is"
    OTHER = "something that sight cannot answer"


class Question(NamedTuple):
    """A question, understood as far as sight can."""

    aim: Aim
    #: What it is about, where that is named and known.
    noun: Noun | None = None
    #: What it is about, in its own words, where that is named and not known.
    unknown: str = ""


#: In this order; the first that is met, and about something, is what is asked for.
_FORMS = (
    (Aim.COUNT, re.compile(r"\bhow many\b|\b(?:count|number of)\b")),
    (Aim.READ, re.compile(r"\b(?:read|transcribe|ocr|says?|spell)\b")),
    (Aim.COLOUR, re.compile(r"\bcolou?r(?:s|ed)?\b")),
    (Aim.WHERE, re.compile(r"\bwhere\b|\bon which side\b")),
    (Aim.WHO, re.compile(r"\bwho\b|\bwhose\b|\bname of the (?:person|man|woman)\b")),
    (
        Aim.PRESENCE,
        re.compile(
            r"^(?!what|why|when|which|how)(?:.*\b(?:is|are) there\b|.*\b(?:can|do|did) you "
            r"(?:see|find|spot)\b|.*\b(?:any|contains?)\b|(?:is|are) (?:this|that|it|these|those)"
            r"\b|does (?:it|this|that) (?:have|show)\b)"
        ),
    ),
    (
        Aim.READ,
        re.compile(r"\b(?:text|words?|writing|written|letters?|caption|headline|title)\b"),
    ),
    (
        Aim.DESCRIBE,
        re.compile(
            r"\bdescribe\b|\btell me\b|\bwhat(?:'s| is| are) "
            r"(?:this|that|it|these|those|here|there|on|in|shown)\b"
            r"|\bwhat (?:do|can|did) you see\b|\bwhat does (?:it|this|that) show\b"
        ),
    ),
)
_ABOUT_THINGS = (Aim.COUNT, Aim.PRESENCE, Aim.WHERE)
#: What may stand between the form and the thing that is asked about.
_ASKED = {
    Aim.COUNT: re.compile(r"\b(?:how many|count|number of)\s+(?:the\s+|all\s+)?([a-z][a-z -]*)"),
    Aim.PRESENCE: re.compile(r"\b(?:an?|any|some|the)\s+([a-z][a-z -]*)"),
    Aim.WHERE: re.compile(r"\bwhere(?:'s| is| are)?\s+(?:the|an?|my)\s+([a-z][a-z -]*)"),
    Aim.COLOUR: re.compile(r"\bcolou?rs?\s+(?:is|are|has|have|of)\s+(?:the|an?)\s+([a-z][a-z -]*)"),
}
#: Ends the name of a thing.
_AFTER = re.compile(
    r"\s+(?:are|is|do|does|can|on|in|at|of|here|there|you|this|that|picture|image|photo|and|or"
    r"|have|has|to|with|anywhere)\b.*"
)
#: Words that stand where a thing is named, and name none.
_NO_THINGS = re.compile(
    r"\b(?:picture|image|photo(?:graph)?|things?|objects?|text|writing|words?)\b"
)


def understand(words: str) -> Question:
    """Return what `words` ask."""
    lower = " ".join(words.lower().split())
    for aim, form in _FORMS:
        if form.search(lower):
            question = _about(aim, lower)
            if question.noun or question.unknown or aim not in _ABOUT_THINGS:
                return question
    return Question(Aim.OTHER if lower.endswith("?") else Aim.DESCRIBE)


def _about(aim: Aim, words: str) -> Question:
    """Return the question with what it is about."""
    if aim not in _ASKED:
        return Question(aim)
    met = _ASKED[aim].search(words)
    asked = _AFTER.sub("", met[1]).strip() if met else ""
    noun = find(asked or words)
    return Question(aim, noun, "" if noun or _NO_THINGS.search(asked) else asked)
