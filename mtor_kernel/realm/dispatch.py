"""What starts when: from the fair queues to the scheduler, exactly as much as can run now.

Whenever something may have changed (a query came, a slot was freed, a worker joined), the pump
takes from every lane as many tickets as it has free slots, in the fair queue's order, writes their
attempts down, and only then gives them to Dask. What arrives while it writes goes with the next
round, so a burst costs few commits.

A query that finds nobody waiting and a slot free takes it before it is written down, and is written
down with its first attempt: one commit, not two.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from itertools import groupby
from typing import Any

from mtor_kernel.protocol.ngram import AttemptRef
from mtor_kernel.realm.attempts import Attempt, Lost, Stop, Unheeded, Verdict
from mtor_kernel.realm.lanes import Lane, Lanes, Place
from mtor_kernel.realm.tasks import Tasks
from mtor_kernel.realm.workers import LEASE_SECONDS, Workers
from mtor_kernel.scheduling.residency import Turn, in_turn
from mtor_kernel.storage import queries
from mtor_kernel.storage.store import Store

log = logging.getLogger(__name__)

#: How long a worker has to heed a cancel before the query ends without it.
HEED_SECONDS = 2.0

#: What becomes of a query once its attempt is decided: `settlement.Settlement.conclude`.
Conclude = Callable[[Attempt, Verdict], Coroutine[Any, Any, None]]


class Dispatcher:
    """Starts attempts, and keeps them until they are decided.

    Parameters
    ----------
    cap
        How many queries of a user may run at once; ``None``: as many as there are slots.
    """

    def __init__(self, store: Store, cap: Callable[[str], int | None]) -> None:
        self._store = store
        self._cap = cap
        self._running_of: Counter[str] = Counter()
        #: The attempt of every running query.
        self.attempts: dict[str, Attempt] = {}
        #: Queries whose attempt is being written down; each has its slot.
        self._starting: dict[str, asyncio.Event] = {}
        #: Attempts that are written down and go to the scheduler in a moment, together.
        self._ready: list[Attempt] = []
        self._carriers: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        #: Whether nothing more is started.
        self._ending = False
        self.lanes: Lanes
        self.workers: Workers
        self.conclude: Conclude
        #: ``None`` until the realm has a cluster.
        self.tasks: Tasks | None = None

    def open(self, lanes: Lanes, workers: Workers, conclude: Conclude) -> None:
        """Begin to start what can be started."""
        self.lanes, self.workers, self.conclude = lanes, workers, conclude
        self._pump = asyncio.create_task(self._run(), name="mtor-dispatch")

    async def drain(self, seconds: float) -> None:
        """Start nothing more, and let what runs go on for at most `seconds`."""
        self._ending = True
        if self._pump is not None:
            self._pump.cancel()
        if self._carriers and seconds:
            await asyncio.wait(self._carriers, timeout=seconds)

    async def close(self) -> None:
        """Start nothing more, and leave what runs to the next start of the realm."""
        self._ending = True
        tasks = [task for task in (self._pump, *self._carriers) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def current(self, query: str) -> Attempt | None:
        """Return the attempt of `query` that counts now."""
        return self.attempts.get(query)

    def capacity_changed(self) -> None:
        """Something may be able to start."""
        self._changed.set()

    def cap_changed(self, user: str) -> None:
        """A user may run more or fewer queries at once from now on."""
        self._count(user, 0)
        self._changed.set()

    async def settle_start(self, query: str) -> None:
        """Wait until `query`, if its attempt is being written down just now, runs."""
        starting = self._starting.get(query)
        if starting is not None:
            await starting.wait()

    def stop(self, attempt: Attempt, why: Stop) -> None:
        """Have an attempt stopped by its worker; decide it without the worker if need be."""
        if attempt.stopping is None:
            attempt.stopping = why
            self.workers.stop(attempt)
            loop = asyncio.get_running_loop()
            loop.call_later(HEED_SECONDS, attempt.decide, Unheeded())

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._start(self._pick())
            except Exception:
                # The store cannot write, or worse: whatever it was, the pump goes on.
                log.exception("nothing can start just now")
                await asyncio.sleep(1.0)
                self._changed.set()

    def claim(self, place: Place) -> bool:
        """Take a slot for a query that is not written down yet, if its turn were now.

        What was claimed is begun, or given back by :meth:`let_go`.
        """
        lane, now = place.lane, time.monotonic()
        if len(lane.queue) or lane.joining or self._changed.is_set() or not self._can_start():
            return False
        if not self.lanes.owns(lane.model):
            return False
        free = lane.free(self.workers.slots(lane.model))
        if min(free, self._free_threads()) <= 0 or not lane.breaker.allows(now):
            return False
        lane.queue.push(place.ticket)
        if lane.queue.pop() is None:  # as many of the user's run as may
            lane.queue.remove(place.ticket.query)
            return False
        self._take(place, asyncio.Event(), now)
        return True

    def let_go(self, place: Place) -> None:
        """Give back the slot of a query that will not be begun."""
        place.lane.queue.ended(place.ticket.query, 0.0)
        self._not_begun(place)
        self._changed.set()

    def _can_start(self) -> bool:
        return not self._ending and self.tasks is not None and self.tasks.connected

    def _free_threads(self) -> int:
        return self.workers.threads() - len(self.attempts) - len(self._starting)

    def _take(self, place: Place, done: asyncio.Event, now: float) -> None:
        """Count the slot of a query as taken; `done` is set when it runs, or does not."""
        self._starting[place.ticket.query] = done
        place.lane.starting += 1
        place.lane.breaker.started(now)
        self._count(place.ticket.user, 1)

    def _taken(self, place: Place) -> None:
        place.lane.starting -= 1
        self._starting.pop(place.ticket.query).set()

    def _not_begun(self, place: Place) -> None:
        """Count the slot of a query as free again; if it was to probe its lane, another may."""
        self._taken(place)
        self._count(place.ticket.user, -1)
        place.lane.record(None)

    def _pick(self) -> list[Place]:
        """Take the tickets that can start now; each lane in its own order."""
        if not self._can_start():
            return []
        now, done = time.monotonic(), asyncio.Event()
        threads = self._free_threads()
        picked: list[Place] = []
        for lane, free in self._in_turn(now):
            before = len(picked)
            while free > 0 and len(picked) < threads and lane.breaker.allows(now):
                ticket = lane.queue.pop()
                if ticket is None:
                    break
                place = self.lanes.places[ticket.query]
                picked.append(place)
                self._take(place, done, now)
                free -= 1
            if len(picked) > before:
                lane.behind_since = None
        return picked

    def _in_turn(self, now: float) -> list[tuple[Lane, int]]:
        """Return the lanes that may start something, and how much; what is in memory first."""
        able: dict[Lane, int] = {}
        for lane in self.lanes:
            wanted = len(lane.queue) and self.lanes.owns(lane.model)
            able[lane] = lane.free(self.workers.slots(lane.model)) if wanted else 0
            if able[lane] <= 0:
                lane.behind_since = None
            elif lane.behind_since is None:
                lane.behind_since = now
        turns = [
            (lane, Turn(self.workers.has_loaded(lane.model), lane.behind_since))
            for lane in able
            if lane.behind_since is not None
        ]
        return [(lane, able[lane]) for lane in in_turn(turns, now)]

    async def _start(self, picked: list[Place]) -> None:
        """Write the attempts down and begin them. What cannot be written down goes back."""
        if not picked:
            return
        ids = [place.ticket.query for place in picked]
        epoch, now = self._store.epoch, time.time()
        try:
            rows = await self._store.write(lambda db: queries.dispatch(db, ids, epoch, now))
            begun = {row.id: row for row in rows}
            for place in picked:
                row = begun.get(place.ticket.query)
                if row is None:  # ended meanwhile
                    self.let_go(place)
                else:
                    self.begin(place, row.attempt, row.body)
        except BaseException:
            for place in picked:
                if place.ticket.query in self._starting:
                    place.lane.queue.put_back(place.ticket.query)
                    self._not_begun(place)
            raise

    def begin(self, place: Place, number: int, body: bytes) -> None:
        """Start an attempt that has its slot and is written down.

        While the realm closes it is left to the next start, which puts it back on the line.
        """
        if self._ending:
            self._taken(place)
            return
        now = time.monotonic()
        attempt = Attempt(
            AttemptRef(place.ticket.query, number, self._store.epoch),
            place.lane,
            place,
            place.lane.spec,
            body,
            place.stream,
            started=now,
            lease_until=now + LEASE_SECONDS,
            heard_at=now,
            verdict=asyncio.get_running_loop().create_future(),
        )
        self.attempts[attempt.query] = attempt
        place.lane.attempts.add(attempt)
        self._taken(place)
        place.stream.start(number, place.lane.model)
        carrier = asyncio.create_task(self._carry(attempt), name=f"mtor-carry-{attempt.query}")
        self._carriers.add(carrier)
        carrier.add_done_callback(self._carriers.discard)
        if not self._ready:
            # What one commit brought begins in the same round: a message to Dask for all of it.
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._ready.append(attempt)

    def _hand_over(self) -> None:
        attempts, self._ready = self._ready, []
        assert self.tasks is not None
        for lane, group in groupby(attempts, key=lambda attempt: attempt.lane):
            waiting = list(group)
            others = lane.attempts.difference(waiting)
            near, far, room = self.workers.near(lane.model, others)
            if near and far:
                # Where the model is in memory already, as far as there is room; then elsewhere.
                for some, where in ((waiting[:room], near), (waiting[room:], far)):
                    if some:
                        self.tasks.submit(some, where)
            else:
                self.tasks.submit(waiting, self.workers.well(lane.model))

    async def _carry(self, attempt: Attempt) -> None:
        """Wait for the verdict, free the slot, and see to the query's end or its next attempt."""
        verdict = await attempt.verdict
        del self.attempts[attempt.query]
        attempt.lane.attempts.discard(attempt)
        if isinstance(verdict, Lost | Unheeded):
            self.workers.stop(attempt)
            self.workers.abandon(attempt)
            if self.tasks is not None:
                self.tasks.drop(attempt)
        else:
            self.workers.release(attempt)
        self._count(attempt.place.ticket.user, -1)
        self._changed.set()
        try:
            await self.conclude(attempt, verdict)
        except Exception:
            # A bug: its time ends the query at the latest, and the hold with it.
            log.exception("what follows from %s could not be done", attempt.ref)

    def _count(self, user: str, change: int) -> None:
        """Keep users at their cap of running queries out of the lanes."""
        self._running_of[user] += change
        running = self._running_of[user]
        if running <= 0:
            del self._running_of[user]
        cap = self._cap(user)
        self.lanes.block(user, cap is not None and running >= cap)
