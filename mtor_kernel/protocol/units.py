"""Where a stream of an answer stands.

The answer of an attempt is a sequence of units: each character of text (a Unicode code point) is
one, each other part is one. ``seq`` is the position of a chunk's first unit, as in TCP, and
``next`` the position after its last. So a chunk may be split or joined on the way without
renumbering, a gap or a repeat is seen at once, and ``(attempt, next)`` of the last chunk one saw is
the cursor from which :class:`~mtor_kernel.protocol.ngram.Resume` goes on, from a live stream and
from a stored answer alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from mtor_kernel.protocol.query import Part, Text, text_of


def units(text: str, part: Part | None) -> int:
    """Return how many units of an answer a chunk carries (see the module's docstring)."""
    return len(text) + (part is not None)


def parts_of(pieces: Iterable[Part]) -> tuple[Part, ...]:
    """Return the parts of an answer from its pieces: neighbouring words are one."""
    parts: list[Part] = []
    for words, group in groupby(pieces, lambda piece: isinstance(piece, Text)):
        alike = tuple(group)
        parts += [Text(text_of(alike))] if words else alike
    return tuple(parts)


def after(parts: tuple[Part, ...], seq: int) -> list[Part]:
    """Return what of an answer lies at or after position `seq`."""
    rest: list[Part] = []
    for part in parts:
        size = len(part.text) if isinstance(part, Text) else 1
        if seq < size:
            rest.append(Text(part.text[seq:]) if isinstance(part, Text) else part)
        seq = max(0, seq - size)
    return rest
