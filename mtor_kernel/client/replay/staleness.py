"""Say which cell asks what was not recorded, and how it differs from what was."""

from __future__ import annotations

from collections.abc import Collection

from mtor_kernel.client.replay.book import Book
from mtor_kernel.client.replay.record import Cell, Record, question_of
from mtor_kernel.protocol.errors import NotRecorded
from mtor_kernel.protocol.query import Query

#: How much of a question is shown, in characters.
SHOWN_CHARACTERS = 60

_ANEW = (
    "To record it anew, run the notebook where there is a realm, with %mtor replay on and without "
    "MTOR_REPLAY=only."
)


def not_recorded(
    book: Book, query: Query, cell: Cell, asked: Collection[tuple[str, int]]
) -> NotRecorded:
    """Return the error of a question without a recorded answer; `asked` are those asked before."""
    where = f"{cell} is stale" if cell.number else "This is not recorded"
    name = book.path.name
    if not book.records:
        why = f"{name} has no answers yet" if book.path.exists() else f"there is no {name} yet"
        return NotRecorded(f"{where}: {why}, so there is nothing to replay. {_ANEW}")
    times = sum(record.question == question_of(query) for record in book.records)
    if times:
        why = f"its question was recorded {_times(times)} in {name}, and is asked once more"
        return NotRecorded(f"{where}: {why}. {_ANEW}")
    meant = _meant(book.records, query, cell, asked)
    changed = f" {_difference(meant.query, query)}." if meant else ""
    return NotRecorded(f"{where}: its question has no answer in {name}.{changed} {_ANEW}")


def nothing_taken(book: Book, device: str, cell: Cell) -> NotRecorded:
    """Return the error of a camera or microphone where only what is recorded may be used."""
    where = f"{cell} waits for the {device}" if cell.number else f"The {device} is waited for"
    return NotRecorded(
        f"{where}, and {book.path.name} has nothing that it took. Run the cell once where somebody "
        "looks at it, with %mtor replay on and without MTOR_REPLAY=only."
    )


def _meant(
    records: list[Record], query: Query, cell: Cell, asked: Collection[tuple[str, int]]
) -> Record | None:
    """Return the record that this cell had most likely: its own, or the next in order."""
    open_ = [one for one in records if (one.question, one.number) not in asked]
    own = [one for one in open_ if cell.id and one.cell.id == cell.id]
    alike = [one for one in open_ if cell.line and one.cell.line == cell.line]
    words = query.messages[-1].text
    said = [one for one in records if one.query.messages[-1].text == words]
    return next(iter([*own, *alike, *said, *open_]), None)


def _difference(before: Query, now: Query) -> str:
    """Return in words what has changed between two questions."""
    was, asks = before.messages[-1], now.messages[-1]
    if was.text != asks.text:
        old, new = _around(was.text, asks.text), _around(asks.text, was.text)
        return f"Recorded was “{old}”, and now it is “{new}”"
    if was.parts != asks.parts:
        return f"Its words “{_cut(asks.text)}” are the same, but a picture or a sound has changed"
    if before.model != now.model:
        return f"Its words are the same, but it was asked of {before.model}, and now of {now.model}"
    if before.messages[:-1] != now.messages[:-1]:
        return "Its words are the same, but what is said before them has changed"
    if [row.text for row in before.rows] != [row.text for row in now.rows]:
        return "Its first row is the same, but others have changed"
    names = [
        name
        for name in now.options.__struct_fields__
        if getattr(before.options, name) != getattr(now.options, name)
    ]
    return f"Its words are the same, but the options have changed: {', '.join(names)}"


def _around(text: str, other: str) -> str:
    """Return the words of `text` from a little before where it leaves `other`."""
    at = next((at for at, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), 0)
    start = max(0, at - SHOWN_CHARACTERS // 3) if at > SHOWN_CHARACTERS // 2 else 0
    return ("…" if start else "") + _cut(text[start:])


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
