"""A slot that is taken: by one attempt, or by a slice of them that take turns in it.

Small queries of the class batch share a slot, and with it one Dask task. To everything but the slot
and the task each of them is what it would be alone: written down, leased, cancelled, fenced and
settled by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mtor_kernel.protocol.task import MAX_ROWS

if TYPE_CHECKING:
    from mtor_kernel.realm.attempts import Attempt
    from mtor_kernel.realm.lanes import Lane

#: What a slice may take, in seconds, by estimate when it is made and by the clock on its worker:
#: who is waiting for a slot waits no longer for a slice, but for the attempt that has its turn.
SLICE_SECONDS = 0.25
#: A slice is as long as this before another slot is taken: a task costs milliseconds by itself.
LEAST_SECONDS = 0.05


@dataclass(slots=True, eq=False)
class Slice:
    """One slot of a lane, from when it is taken until all that shares it is decided."""

    lane: Lane
    #: Whose, and since when, in monotonic seconds.
    user: str
    since: float
    #: Queries that share it and whose attempts are being written down.
    starting: int = 0
    #: The attempts, in turn.
    attempts: list[Attempt] = field(default_factory=list)
    #: Those that are not decided.
    running: set[Attempt] = field(default_factory=set)
    #: Whether the realm has given one of them up: its task may not end by itself.
    given_up: bool = False
    #: Attempts that have a verdict, and whether all of them have.
    verdicts: int = 0
    decided: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        """Whether the slot is free again."""
        return not (self.starting or self.running)

    def has_verdict(self) -> None:
        """One more of the attempts has a verdict."""
        self.verdicts += 1
        if self.verdicts == len(self.attempts):
            self.decided.set()


def gathers(slices: Iterable[Slice], user: str, rows: int, seconds: float, now: float) -> bool:
    """Tell whether rows that wait had better wait for more of their kind, as in Nagle's algorithm.

    They are few, and a slice of their person's is under way: what follows from its end comes soon.
    One that has had its time counts no more; a row of it may hang.

    Parameters
    ----------
    rows, seconds
        How many small rows of the person wait, and how long they will probably take.
    """
    return has_room(rows, seconds, 0) and any(
        slot.user == user and now - slot.since < SLICE_SECONDS for slot in slices
    )


def has_room(rows: int, seconds: float, share: int) -> bool:
    """Tell whether one more query joins a slice.

    Parameters
    ----------
    rows, seconds
        How many it has, and how long they will probably take.
    share
        How many each free slot would get of those that wait.
    """
    if rows >= MAX_ROWS or seconds >= SLICE_SECONDS:
        return False
    return rows < share or seconds < LEAST_SECONDS
