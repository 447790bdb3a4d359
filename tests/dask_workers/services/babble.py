"""What the doubles of chat services say: words drawn by the prompt, with a model's manners."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

_WORDS = "the sea was grey and a small boat went out under the stars while gulls cried far off"


@dataclass(frozen=True)
class Babble:
    """An answer, and why it ends."""

    words: list[str]
    #: ``stop``, ``length``, or ``stop_sequence`` with the `sequence`.
    reason: str
    sequence: str = ""


def babble(prompt: str, limit: int, stop: Sequence[str] = (), seed: int = 0) -> Babble:
    """Answer in at most `limit` words, fifty at the most, and end before a stop sequence."""
    draw = random.Random(f"{seed}:{prompt}")
    words: list[str] = []
    for _ in range(min(limit, 50)):
        word = draw.choice(_WORDS.split()) + " "
        for sequence in stop:
            if sequence in word:
                return Babble(words, "stop_sequence", sequence)
        words.append(word)
    return Babble(words, "length" if limit < 50 else "stop")


def tokens(text: str) -> int:
    """A word is a token."""
    return len(text.split())
