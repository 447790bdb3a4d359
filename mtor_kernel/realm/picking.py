"""Which queries start now: from every lane as many tickets as it has free slots, in their order.

Small queries of the class batch take turns in a slot, one Dask task for all of them; see
`slices.py`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator

from mtor_kernel.protocol.query import Priority
from mtor_kernel.realm.lanes import Lane, Lanes, Place
from mtor_kernel.realm.slices import Slice, gathers, has_room
from mtor_kernel.realm.slots import Slots
from mtor_kernel.realm.workers import Workers
from mtor_kernel.scheduling.fairqueue import Ticket
from mtor_kernel.scheduling.residency import Turn, in_turn


class Picker:
    """Takes tickets out of the fair queues, and a slot for each or for several."""

    def __init__(self, lanes: Lanes, workers: Workers, slots: Slots) -> None:
        self._lanes = lanes
        self._workers = workers
        self._slots = slots

    def claim(self, place: Place) -> bool:
        """Take a slot for a query that is not written down yet, if nobody waits and one is free."""
        lane, now = place.lane, time.monotonic()
        if len(lane.queue) or lane.joining or not self._lanes.owns(lane.model):
            return False
        if _may_share(place.ticket, lane):
            return False
        free = lane.free(self._workers.slots(lane.model))
        if min(free, self._free_threads()) <= 0 or not lane.breaker.allows(now):
            return False
        lane.queue.push(place.ticket)
        if lane.queue.pop() is None:  # as many of the user's run as may
            lane.queue.remove(place.ticket.query)
            return False
        self._slots.take(place, Slice(lane, place.ticket.user, now), asyncio.Event(), now)
        return True

    def pick(self) -> list[Place]:
        """Take the tickets that can start now; each lane in its own order."""
        now, done = time.monotonic(), asyncio.Event()
        threads = self._free_threads()
        picked: list[Place] = []
        for lane, free in self._in_turn(now):
            before = len(picked)
            while free > 0 and threads > 0 and lane.breaker.allows(now):
                if _gathers(lane, now) or (ticket := lane.queue.pop()) is None:
                    break
                slot = Slice(lane, ticket.user, now)
                share = math.ceil((len(lane.queue) + 1) / free)
                for one in _slice(lane, ticket, share, now):
                    place = self._lanes.places[one.query]
                    picked.append(place)
                    self._slots.take(place, slot, done, now)
                free, threads = free - 1, threads - 1
            if len(picked) > before:
                lane.behind_since = None
        return picked

    def _free_threads(self) -> int:
        return self._workers.threads() - self._slots.taken

    def _in_turn(self, now: float) -> list[tuple[Lane, int]]:
        """Return the lanes that may start something, and how much; what is in memory first."""
        able: dict[Lane, int] = {}
        for lane in self._lanes:
            wanted = len(lane.queue) and self._lanes.owns(lane.model)
            able[lane] = lane.free(self._workers.slots(lane.model)) if wanted else 0
            if able[lane] <= 0:
                lane.behind_since = None
            elif lane.behind_since is None:
                lane.behind_since = now
        turns = [
            (lane, Turn(self._workers.has_loaded(lane.model), lane.behind_since))
            for lane in able
            if lane.behind_since is not None
        ]
        return [(lane, able[lane]) for lane in in_turn(turns, now)]


def _may_share(ticket: Ticket, lane: Lane) -> bool:
    """Tell whether a query is one of those that may take turns in a slot."""
    return ticket.priority is Priority.BATCH and has_room(1, lane.estimator.work(ticket.cost), 1)


def _gathers(lane: Lane, now: float) -> bool:
    """Tell whether the rows whose turn it is wait for more of them."""
    found = lane.queue.peek()
    if found is None or not _may_share(found[0], lane):
        return False
    first, waiting = found
    seconds = waiting * lane.estimator.work(first.cost)
    return gathers(lane.slices, first.user, waiting, seconds, now)


def _slice(lane: Lane, first: Ticket, share: int, now: float) -> Iterator[Ticket]:
    """Yield the tickets that take turns in one slot: `first`, and more of its person's.

    Each must have been taken before the next one is asked for: a person may be at their cap.
    """
    yield first
    rows, seconds = 1, lane.estimator.work(first.cost)
    while (
        first.priority is Priority.BATCH
        and has_room(rows, seconds, share)
        and lane.breaker.allows(now)
        and (following := lane.queue.pop_batch(first.user)) is not None
    ):
        yield following
        rows, seconds = rows + 1, seconds + lane.estimator.work(following.cost)
