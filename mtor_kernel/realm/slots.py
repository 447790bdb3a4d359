"""The slots that are taken, and by whom, from before an attempt is written down until its end."""

from __future__ import annotations

import asyncio

from mtor_kernel.realm.counting import Counting
from mtor_kernel.realm.lanes import Place
from mtor_kernel.realm.slices import Slice


class Slots:
    """The books of all lanes' slots."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        #: Queries whose attempt is being written down; each has its slot, or shares one.
        self._starting: dict[str, tuple[asyncio.Event, Slice]] = {}
        #: How many of all lanes are taken.
        self.taken = 0

    def take(self, place: Place, slot: Slice, done: asyncio.Event, now: float) -> None:
        """Count the slot of a query as taken; `done` is set when it runs, or does not."""
        if slot not in place.lane.slices:
            place.lane.slices.add(slot)
            self.taken += 1
        slot.starting += 1
        self._starting[place.ticket.query] = done, slot
        place.lane.breaker.started(now)
        self._counting.change(place.ticket.user, 1)

    def of(self, place: Place) -> Slice:
        """Return the slot that is taken for a query."""
        return self._starting[place.ticket.query][1]

    def is_starting(self, query: str) -> bool:
        """Tell whether the attempt of `query` is being written down."""
        return query in self._starting

    async def until_started(self, query: str) -> None:
        """Wait until `query`, if its attempt is being written down just now, runs."""
        if query in self._starting:
            await self._starting[query][0].wait()

    def started(self, place: Place) -> None:
        """The query of that place runs, or does not."""
        done, slot = self._starting.pop(place.ticket.query)
        slot.starting -= 1
        done.set()
        self.vacate(slot)

    def not_begun(self, place: Place) -> None:
        """Count the slot of a query as free again; if it was to probe its lane, another may."""
        self.started(place)
        self._counting.change(place.ticket.user, -1)
        place.lane.record(None)

    def vacate(self, slot: Slice) -> None:
        """Count a slot as free if nobody is in it any more."""
        if slot.over:
            slot.lane.slices.discard(slot)
            self.taken -= 1
