"""Days and times as people write them, as seconds since the epoch."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta

from mtor_kernel.protocol.errors import BadInput

#: A moment: ``2026-11-22``, ``2026-11-22 14:30``, ``2026-11``, ``today``, a date or a time.
Moment = str | date | datetime | float | None

_MONTH = re.compile(r"(\d{4})-(\d{2})")


def since(moment: Moment) -> float | None:
    """Return when a moment begins: of a day its first second, in local time.

    Raises
    ------
    BadInput
        It is none.
    """
    return None if moment is None else _span(moment)[0]


def until(moment: Moment) -> float | None:
    """Return when a moment is over: of a day the first second of the next one, in local time.

    Raises
    ------
    BadInput
        It is none.
    """
    return None if moment is None else _span(moment)[1]


def _span(moment: str | date | datetime | float) -> tuple[float, float]:
    if isinstance(moment, int | float):
        return _seconds(moment), _seconds(moment)
    if isinstance(moment, datetime):
        return moment.timestamp(), moment.timestamp()
    if isinstance(moment, date):
        return _days(moment, moment + timedelta(days=1))
    if not isinstance(moment, str):
        raise _no_moment(moment)
    today, word = date.today(), moment.strip().lower()  # noqa: DTZ011 - a person's own day
    if word in ("today", "yesterday"):
        return _span(today - timedelta(days=word == "yesterday"))
    try:
        if found := _MONTH.fullmatch(word):
            first = date(int(found[1]), int(found[2]), 1)
            return _days(first, (first + timedelta(days=31)).replace(day=1))
        if len(word) <= 10:
            return _span(date.fromisoformat(word))
        return _span(datetime.fromisoformat(word))
    except (ValueError, OverflowError):
        raise _no_moment(moment) from None


def _seconds(moment: float) -> float:
    try:
        seconds = float(moment)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise _no_moment(moment)
    return seconds


def _no_moment(given: object) -> BadInput:
    return BadInput(
        f"{given!r:.60} is no day or time: write 2026-11-22, 2026-11, 2026-11-22T14:30, today or "
        "yesterday."
    )


def _days(first: date, after: date) -> tuple[float, float]:
    # Local midnights: days of 23 and 25 hours come out right.
    return (
        datetime.combine(first, time()).timestamp(),
        datetime.combine(after, time()).timestamp(),
    )
