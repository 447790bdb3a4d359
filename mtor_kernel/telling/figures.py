"""Figures as a person reads them."""

from __future__ import annotations

import re
import time

from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.errors import RealmError

#: Nobody can tell a shorter time from none.
SHORTEST_SECONDS = 0.1
#: How a sentence says by itself when to try again.
_SAID_WHEN = re.compile(r"try again (in|after) \d", re.IGNORECASE)


def show_seconds(seconds: float) -> str:
    """Return a duration: ``0.4 s``, ``42 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds < SHORTEST_SECONDS:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def show_cost(micro: int) -> str:
    """Return an amount with its unit."""
    return f"{show_credits(micro)} credits"


def show_time(at: float, now: float) -> str:
    """Return a moment in local time: the clock today, the day and the clock before that."""
    then = time.localtime(at)
    same_day = time.strftime("%F", then) == time.strftime("%F", time.localtime(now))
    return time.strftime("%H:%M:%S" if same_day else "%F %H:%M", then)


def show_count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 token``, ``1,200 tokens``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def show_retry(error: RealmError) -> str:
    """Return when to try again, where that is known and the error's sentence does not say it."""
    seconds = error.retry_after_seconds
    if seconds is None or _SAID_WHEN.search(error.message):
        return ""
    return f"try again in {show_seconds(seconds)}"
