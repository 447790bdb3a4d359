"""What an echo says in words."""

from __future__ import annotations

import random
import re

from mtor_kernel.protocol.query import Options

_WORD = re.compile(r"\s*\S+\s*")
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+|\n|$)")


def words_of(text: str, count: int, options: Options) -> list[str]:
    """Return `count` words of `text`, each with a space after it, the same for the same seed.

    In their turn, without a seed, they keep the ends of their lines: Markdown stays what it is.
    """
    words = text.split() or [text]
    if options.seed is None:
        lined = [w if "\n" in w else f"{w.strip()} " for w in pieces_of(text)]
        return [lined[i % len(lined)] for i in range(count)]
    draw = random.Random(f"{options.seed}:{text}")  # noqa: S311 - no secret hangs on it
    return [draw.choice(words) + " " for _ in range(count)]


def pieces_of(text: str) -> list[str]:
    """Return the words of `text` with the blanks around them: joined, they are `text` again."""
    return _WORD.findall(text) or [text]


def sentences_of(text: str) -> list[str]:
    """Return the sentences of `text`, at least one."""
    found = [sentence.strip() for sentence in _SENTENCE.findall(text)]
    return [sentence for sentence in found if sentence] or [text]


def cut(pieces: list[str], stop: tuple[str, ...], limit: int) -> tuple[list[str], str]:
    """End an answer before the first stop word, and at `limit` words; tell why it ends there."""
    text = "".join(pieces)
    end = min((found for word in stop if (found := text.find(word)) >= 0), default=len(text))
    reason = "stop"
    words = list(_WORD.finditer(text, 0, end))
    if len(words) > limit:
        end, reason = words[limit - 1].end(), "length"
    kept: list[str] = []
    for piece in pieces:
        if end <= 0:
            break
        kept.append(piece[:end])
        end -= len(piece)
    return kept, reason
