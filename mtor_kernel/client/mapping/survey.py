"""A look over all rows before the first is asked: what cannot be, and what the rest may cost.

**The estimate.** A hold is the price of the worst case and grows with the prompt. The prompts fall
into classes by their length, files included (powers of two); of each class the longest is quoted,
and each of its rows is taken to cost as much. Where answers have a form, each row is taken to be
asked as often as it may be, with the longest answer and complaint that a model is shown. So what is
charged is never more, unless recordings of several formats are mixed: there a smaller file may be
the longer one.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtor_kernel.client.aio import Quote
from mtor_kernel.client.mapping.job import Job
from mtor_kernel.client.mapping.rows import Rows
from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.errors import BadInput, RealmError, TooLarge
from mtor_kernel.protocol.query import Query

#: Returns what so many queries like this one would cost each, and when the last would start.
Ask = Callable[[Query, int], Awaitable[Quote]]
#: Makes the query of a row, its media sent to the realm.
Make = Callable[[Rows, int, str], Awaitable[Query]]


@dataclass(slots=True)
class Class:
    """Rows whose prompts are about as long."""

    count: int = 0
    longest: int = -1
    #: Where the longest is: its part, and its place in that.
    part: int = 0
    at: int = 0


@dataclass(slots=True)
class Survey:
    """What was seen."""

    #: Rows of each part.
    counts: list[int] = field(default_factory=list)
    #: Rows that cannot be asked, by part and place.
    failures: dict[tuple[int, int], RealmError] = field(default_factory=dict)
    #: By the bit length of the prompt's.
    classes: dict[int, Class] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows in all."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a map may cost, and how long it may take. ``str()`` of it is a sentence."""

    rows: int
    #: The model whose lane the rows wait in, after aliases and fallbacks.
    model: str
    #: Never more than this is charged, answers that are asked again for their form included.
    most_micro: int
    #: Until the last row starts; ``None`` where the realm cannot know yet.
    seconds: float | None
    #: Never more than this where each answer has its form at once; ``None`` where it has none.
    once_micro: int | None = None

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        told = f"{rows} of {self.model}: at most {show_credits(self.most_micro)} credits"
        if self.once_micro is not None and self.once_micro < self.most_micro:
            told += f" ({show_credits(self.once_micro)} if each answer fits its form at once)"
        return told if self.seconds is None else f"{told}, about {_spell(self.seconds)}"


def survey(job: Job) -> Survey:
    """Look at every row, and ask nobody.

    Raises
    ------
    BadInput
        There are no rows, or none that can be asked; or one cannot be and `on_error` is "raise".
    """
    seen = Survey()
    for part in range(job.source.parts):
        rows = job.source.load(part)
        seen.counts.append(len(rows))
        for at in range(len(rows)):
            try:
                length = sum(_size(value) for value in job.media(rows, at))
                length += len(job.words(rows, at))
            except RealmError as error:
                if job.on_error == "raise":
                    raise BadInput(
                        f"Row {sum(seen.counts[:part]) + at}: {error.message} Nothing was asked."
                    ) from error
                seen.failures[part, at] = error
                continue
            kind = seen.classes.setdefault(length.bit_length(), Class())
            kind.count += 1
            if length > kind.longest:
                kind.longest, kind.part, kind.at = length, part, at
    if not seen.total:
        raise BadInput("There are no rows: there is nothing to ask.")
    if not seen.classes:
        first = next(iter(seen.failures.values()))
        raise BadInput(f"No row can be asked. The first: {first.message}")
    return seen


async def estimate(job: Job, seen: Survey, load: Callable[[int], Awaitable[Rows]], make: Make,
                   ask: Ask) -> Estimate:  # fmt: skip
    """Return what the rows may cost.

    Raises
    ------
    RealmError
        No row can be asked of this model, or the realm cannot be reached.
    """
    asked = sum(kind.count for kind in seen.classes.values())
    once, again, quote, too_large = 0, 0, None, None
    mendings = job.retries if job.form is not None else 0
    for kind in sorted(seen.classes.values(), key=lambda kind: (kind.part, kind.at)):
        rows = await load(kind.part)
        try:
            query = await make(rows, kind.at, job.words(rows, kind.at))
            quote = await ask(query, asked)
        except TooLarge as error:  # the longest of these; each row will be told by itself
            too_large = error
            continue
        once += kind.count * quote.hold_micro
        if mendings:
            again += kind.count * mendings * await _mending(job, query, quote, ask)
    if quote is None:
        assert too_large is not None
        raise too_large
    most, form = once + again, job.form
    return Estimate(asked, quote.model, most, quote.eta_seconds, None if form is None else once)


async def _mending(job: Job, query: Query, quote: Quote, ask: Ask) -> int:
    """Return what it costs at most to ask for a row's form again, in micro-credits."""
    try:
        return (await ask(job.mended_at_worst(query), 1)).hold_micro
    except TooLarge:  # with a short answer it would fit, and no prompt that does is much dearer
        return quote.hold_micro


def _size(media: Any) -> int:
    """Return how large a file is; what is no file yet counts for nothing."""
    if isinstance(media, str | os.PathLike):
        return Path(media).expanduser().stat().st_size
    return len(media) if isinstance(media, bytes | bytearray) else 0


def _spell(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
