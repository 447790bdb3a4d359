"""How well a transcript says what was said: the word error rate."""

from __future__ import annotations

import re


def words(text: str) -> list[str]:
    """The words of a text, in small letters and without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower().replace("\u2019", "'").replace("-", " "))


def word_errors(said: str, heard: str) -> int:
    """The fewest words to put in, take out or change until what was heard is what was said."""
    wanted, found = words(said), words(heard)
    row = list(range(len(found) + 1))
    for i, want in enumerate(wanted, 1):
        corner, row[0] = row[0], i
        for j, find in enumerate(found, 1):
            change = corner + (want != find)
            corner = row[j]
            row[j] = min(change, row[j] + 1, row[j - 1] + 1)
    return row[-1]


def word_error_rate(said: str, heard: str) -> float:
    """Word errors by the words that were said."""
    return word_errors(said, heard) / len(words(said))
