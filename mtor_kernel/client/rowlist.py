"""Rows of a table, and their answers, as words for a person: numbered lists in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mtor_kernel.protocol.query import (
    Data,
    Part,
    Query,
    RowAnswer,
    Rows,
    Text,
    row_answers,
    text_of,
)

#: Findings are shown in so many characters, and of a vector so many numbers.
SHOWN_CHARACTERS = 80
SHOWN_NUMBERS = 4


def asked_in(query: Query) -> str:
    """Return the questions of a query's rows, numbered from 1."""
    return _numbered((at, row.text) for at, row in enumerate(query.rows))


def in_words(parts: Sequence[Part], most: int | None = None) -> tuple[Part, ...]:
    """Return `parts` with all answers to rows as one list in the place of the first.

    A row has the number of its place in the query, from 1, and its error where it has no answer. Of
    more than `most` rows the rest are counted.
    """
    first = next((part for part in parts if isinstance(part, Rows)), None)
    if first is None:
        return tuple(parts)
    answers = sorted(row_answers(parts), key=lambda one: one.row)
    told = _numbered((one.row, _said(one)) for one in answers[:most])
    rest = len(answers[most:]) if most is not None else 0
    if rest:
        told += f"\n\n… and {rest:,} more {'row' if rest == 1 else 'rows'}"
    kept = [part for part in parts if not isinstance(part, Rows) or part is first]
    return tuple(Text(told) if isinstance(part, Rows) else part for part in kept)


def _numbered(rows: Iterable[tuple[int, str]]) -> str:
    return "\n".join(_item(f"{at + 1}. ", words.strip() or "*(no words)*") for at, words in rows)


def _item(mark: str, words: str) -> str:
    """Return an item of a list; its further lines stand below its words."""
    return mark + words.replace("\n", "\n" + " " * len(mark))


def _said(answer: RowAnswer) -> str:
    if answer.error is not None:
        return f"*({answer.error.message})*"
    found = [_short(part.value) for part in answer.parts if isinstance(part, Data)]
    return " · ".join(filter(None, [text_of(answer.parts).strip(), *found]))


def _short(value: object) -> str:
    """Return findings on one line of code: of a vector its first numbers."""
    if isinstance(value, dict) and isinstance(value.get("embedding"), list):
        vector = value["embedding"]
        numbers = [one for one in vector[:SHOWN_NUMBERS] if isinstance(one, int | float)]
        first = ", ".join(f"{number:.3f}" for number in numbers)
        return f"`[{first}{', …' if len(vector) > SHOWN_NUMBERS else ''}]` ({len(vector)} numbers)"
    line = msgspec.json.encode(value).decode().replace("`", "'")
    cut = line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"
    return f"`{cut}`"
