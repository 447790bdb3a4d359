"""What time brings about: leases lapse, queries expire, figures are told, books are checked."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable

from mtor_kernel.protocol.ngram import RealmState
from mtor_kernel.realm.attempts import Lost, Stop
from mtor_kernel.realm.chores import Chore
from mtor_kernel.realm.dispatch import Dispatcher
from mtor_kernel.realm.failover import Failover
from mtor_kernel.realm.followers import Follower
from mtor_kernel.realm.lanes import Lanes
from mtor_kernel.realm.settlement import Settlement
from mtor_kernel.realm.workers import Workers

log = logging.getLogger(__name__)

#: How often it looks.
TICK_SECONDS = 0.5
#: How often places in the queue are worked out for at most this many queries.
PLACES_A_TICK = 200
#: Deadlines of queries that have ended are kept up to about this many.
SPARE_DEADLINES = 1_000


class Reaper:
    """Looks twice a second.

    Parameters
    ----------
    chores
        What else is done now and then.
    """

    def __init__(
        self,
        lanes: Lanes,
        workers: Workers,
        dispatcher: Dispatcher,
        settlement: Settlement,
        failover: Failover,
        followers: set[Follower],
        state: Callable[[], RealmState],
        chores: list[Chore],
    ) -> None:
        self._lanes = lanes
        self._workers = workers
        self._dispatcher = dispatcher
        self._settlement = settlement
        self._failover = failover
        self._followers = followers
        self._state = state
        self._told: RealmState | None = None
        self._deadlines: list[tuple[float, str]] = []
        self._chores = chores
        self._due = [time.monotonic() + every for every, _ in chores]
        self._at = 0
        self._running: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to look."""
        # A task each: what waits for the store or for a chore keeps no other from looking.
        for look in (
            self._leases,
            self._expired,
            self._hopeless,
            self._failover.look,
            self._places,
            self._pictures,
            self._do_chores,
        ):
            name = f"mtor-reaper{look.__name__}"
            self._running.append(asyncio.create_task(self._repeat(look), name=name))

    async def close(self) -> None:
        """Look no more."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def remember(self, query: str, deadline: float) -> None:
        """Have `query` expire at the monotonic time `deadline`, unless it has ended by then."""
        heapq.heappush(self._deadlines, (deadline, query))
        if len(self._deadlines) > 2 * len(self._lanes.places) + SPARE_DEADLINES:
            self._deadlines = [one for one in self._deadlines if one[1] in self._lanes.places]
            heapq.heapify(self._deadlines)

    async def _repeat(self, look: Callable[[float], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await look(time.monotonic())
            except Exception:
                log.exception("the reaper stumbled")

    async def _leases(self, now: float) -> None:
        self._workers.sweep(now)
        for attempt in list(self._dispatcher.attempts.values()):
            if now > attempt.lease_until:
                attempt.decide(Lost("its worker did not renew the lease"))
            elif now - attempt.heard_at > attempt.spec.silence_seconds:
                attempt.decide(Lost(f"nothing came for {attempt.spec.silence_seconds:.0f} s"))
        # A breaker that was open may let a probe through by now.
        self._dispatcher.capacity_changed()

    async def _expired(self, now: float) -> None:
        due = []
        while self._deadlines and self._deadlines[0][0] <= now:
            due.append(heapq.heappop(self._deadlines)[1])
        # Side by side: one commit takes many.
        await asyncio.gather(*(self._expire(query, now) for query in due), return_exceptions=True)

    async def _expire(self, query: str, now: float) -> None:
        place, ended = self._lanes.places.get(query), False
        if place is None:
            return
        try:
            await self._dispatcher.settle_start(query)
            attempt = self._dispatcher.current(query)
            if attempt is not None:
                self._dispatcher.stop(attempt, Stop.EXPIRED)
                ended = True
            else:
                ended = await self._settlement.expire_waiting(place)
        finally:
            if not ended:  # between two stages just now, or not written down: look again soon
                self.remember(query, now + TICK_SECONDS)

    async def _hopeless(self, now: float) -> None:
        for place, error in self._lanes.hopeless():
            # Each takes its time, in which the model may be back.
            if not self._lanes.is_hopeless(place.lane):
                continue
            if await self._failover.move(place, "cannot answer"):
                continue
            # It may have started since.
            if place.ticket.query in place.lane.queue and self._lanes.is_hopeless(place.lane):
                await self._settlement.fail_waiting(place, error.info())

    async def _places(self, now: float) -> None:
        """Tell who follows waiting queries where these stand, in turns where there are many."""
        waiting = [
            query
            for query, place in self._lanes.places.items()
            if place.stream.followers and query not in self._dispatcher.attempts
        ]
        if self._at >= len(waiting):
            self._at = 0
        turn = waiting[self._at : self._at + PLACES_A_TICK]
        self._at += PLACES_A_TICK
        for query in turn:
            self._lanes.refresh(query)
            # A position takes O(users): chunks must not wait for all of them.
            await asyncio.sleep(0)

    async def _pictures(self, now: float) -> None:
        watching = [follower for follower in self._followers if follower.watching]
        if not watching:
            return
        state = self._state()
        if self._told is None or state != self._told:
            self._told = state
        for follower in watching:
            follower.picture(self._told)

    async def _do_chores(self, now: float) -> None:
        for number, (every, work) in enumerate(self._chores):
            if now >= self._due[number]:
                self._due[number] = now + every
                await work()
