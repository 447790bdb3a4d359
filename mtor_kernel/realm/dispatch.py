"""What starts when: from the fair queues to the scheduler, exactly as much as can run now.

Whenever something may have changed (a query came, a slot was freed, a worker joined), the pump has
tickets picked for the slots that are free (`picking.py`), writes their attempts down, and only then
gives them to Dask. What arrives while it writes goes with the next round, so a burst costs few
commits.

A query that finds nobody waiting and a slot free takes it before it is written down, and is written
down with its first attempt: one commit, not two.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from itertools import groupby
from typing import Any

from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.task import Outcome
from mtor_kernel.realm.attempts import Attempt, Lost, Stop, Unheeded
from mtor_kernel.realm.counting import Counting
from mtor_kernel.realm.lanes import Lanes, Place
from mtor_kernel.realm.picking import Picker
from mtor_kernel.realm.slices import Slice
from mtor_kernel.realm.slots import Slots
from mtor_kernel.realm.tasks import Tasks
from mtor_kernel.realm.worker import LEASE_SECONDS
from mtor_kernel.realm.workers import Workers
from mtor_kernel.storage import caps, queries
from mtor_kernel.storage.rows import Dispatched
from mtor_kernel.storage.store import Store

log = logging.getLogger(__name__)

#: How long a worker has to heed a cancel before the query ends without it.
HEED_SECONDS = 2.0

#: What becomes of queries once their attempts are decided: `settlement.Settlement.conclude`.
Conclude = Callable[[Sequence[Attempt]], Coroutine[Any, Any, None]]


class Dispatcher:
    """Starts attempts, and keeps them until they are decided.

    Parameters
    ----------
    cap
        How many queries of a user may run at once; ``None``: as many as there are slots.
    """

    def __init__(self, store: Store, cap: Callable[[str], int | None]) -> None:
        self._store = store
        self._counting = Counting(cap, lambda user, on: self.lanes.block(user, on))
        self._slots = Slots(self._counting)
        self._picker: Picker
        #: The attempt of every running query.
        self.attempts: dict[str, Attempt] = {}
        #: What is written down and goes to the scheduler in a moment, together.
        self._ready: list[Slice] = []
        #: What was decided just now, and is seen to in a moment, together.
        self._decided: list[Attempt] = []
        self._concluding: set[asyncio.Task[None]] = set()
        self._concluded = asyncio.Event()
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        #: Whether nothing more is started, and whether nothing more is seen to.
        self._ending = False
        self._closed = False
        self.lanes: Lanes
        self.workers: Workers
        self.conclude: Conclude
        #: ``None`` until the realm has a cluster.
        self.tasks: Tasks | None = None

    def open(self, lanes: Lanes, workers: Workers, conclude: Conclude) -> None:
        """Begin to start what can be started."""
        self.lanes, self.workers, self.conclude = lanes, workers, conclude
        self._picker = Picker(lanes, workers, self._slots)
        self._pump = asyncio.create_task(self._run(), name="mtor-dispatch")

    async def drain(self, seconds: float) -> None:
        """Start nothing more, and let what runs go on for at most `seconds`."""
        self._ending = True
        if self._pump is not None:
            self._pump.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.attempts or self._concluding:
                    self._concluded.clear()
                    await self._concluded.wait()

    async def close(self) -> None:
        """Start nothing more, and leave what runs to the next start of the realm."""
        self._ending = True
        self._closed = True
        tasks = [task for task in (self._pump, *self._concluding) if task is not None]
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
        self._counting.change(user, 0)
        self._changed.set()

    def count_elsewhere(self, running: Counter[str]) -> None:
        """Other gateways run so many of each user's queries: a cap holds for all together."""
        if self._counting.take_elsewhere(running):
            self._changed.set()

    async def settle_start(self, query: str) -> None:
        """Wait until `query`, if its attempt is being written down just now, runs."""
        await self._slots.until_started(query)

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
                await self._start(self._picker.pick() if self._can_start() else [])
            except Exception:
                # The store cannot write, or worse: whatever it was, the pump goes on.
                log.exception("nothing can start just now")
                await asyncio.sleep(1.0)
                self._changed.set()

    def claim(self, place: Place) -> bool:
        """Take a slot for a query that is not written down yet, if its turn were now.

        What was claimed is begun, or given back by :meth:`let_go`.
        """
        if self._changed.is_set() or not self._can_start():
            return False
        return self._picker.claim(place)

    def let_go(self, place: Place) -> None:
        """Give back the slot of a query that will not be begun."""
        place.lane.queue.ended(place.ticket.query, 0.0)
        self._slots.not_begun(place)
        self._changed.set()

    def _can_start(self) -> bool:
        return not self._ending and self.tasks is not None and self.tasks.connected

    async def _start(self, picked: list[Place]) -> None:
        """Write the attempts down and begin them. What cannot be written down goes back."""
        if not picked:
            return
        wanted = [(place.ticket.query, place.ticket.user) for place in picked]
        epoch, now = self._store.epoch, time.time()
        limits = self._counting.caps_of({place.ticket.user for place in picked})

        def work(db: Any) -> tuple[set[str], list[Dispatched]]:
            may = caps.within(db, wanted, limits)
            return set(may), queries.dispatch(db, may, epoch, now)

        try:
            may, rows = await self._store.write(work)
            begun = {row.id: row for row in rows}
            for place in picked:
                row = begun.get(place.ticket.query)
                if place.ticket.query not in may:
                    self._wait_for_others(place)
                elif row is None:  # ended meanwhile, or another gateway has it now
                    self.let_go(place)
                    self.lanes.forget(place)
                else:
                    self.begin(place, row.attempt, row.body)
        except BaseException:
            for place in picked:
                if self._slots.is_starting(place.ticket.query):
                    place.lane.queue.put_back(place.ticket.query)
                    self._slots.not_begun(place)
            raise

    def _wait_for_others(self, place: Place) -> None:
        """Put back a query of which the store says that others run as many of its user's as may."""
        place.lane.queue.put_back(place.ticket.query)
        self._counting.full_elsewhere(place.ticket.user)
        self._slots.not_begun(place)

    def begin(self, place: Place, number: int, body: bytes) -> None:
        """Start an attempt that has its slot and is written down.

        While the realm closes it is left to the next start, which puts it back on the line.
        """
        if self._ending:
            self._slots.started(place)
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
            slice=(slot := self._slots.of(place)),
            decided=self._is_decided,
        )
        self.attempts[attempt.query] = attempt
        place.lane.attempts.add(attempt)
        # Of many that take turns one begins to be worked on: that may be told with its answer.
        quiet = slot.starting + len(slot.attempts) > 1
        slot.attempts.append(attempt)
        slot.running.add(attempt)
        self._slots.started(place)
        place.stream.start(number, place.lane.model, quiet=quiet)
        if not self._ready:
            # What one commit brought begins in the same round: a message to Dask for all of it.
            asyncio.get_running_loop().call_soon(self._hand_over)
        if slot not in self._ready:
            self._ready.append(slot)

    def _hand_over(self) -> None:
        ready, self._ready = self._ready, []
        assert self.tasks is not None
        for lane, group in groupby(ready, key=lambda slot: slot.lane):
            waiting = list(group)
            others = lane.slices.difference(waiting)
            near, far, room = self.workers.near(
                lane.model, [next(iter(slot.running)) for slot in others if slot.running]
            )
            if near and far:
                # Where the model is in memory already, as far as there is room; then elsewhere.
                for some, where in ((waiting[:room], near), (waiting[room:], far)):
                    if some:
                        self.tasks.submit(some, where)
            elif not self.workers.slots(lane.model):
                # The last one was drained, or left, while they were written down.
                _hand_back(waiting)
            else:
                self.tasks.submit(waiting, self.workers.well(lane.model))

    def _is_decided(self, attempt: Attempt) -> None:
        if not self._decided:
            asyncio.get_running_loop().call_soon(self._see_to_decided)
        self._decided.append(attempt)

    def _see_to_decided(self) -> None:
        """Free the slots of what was decided, and see to each query's end or its next attempt."""
        decided, self._decided = self._decided, []
        if self._closed:
            return
        for attempt in decided:
            self._part_with(attempt)
        self._changed.set()
        task = asyncio.create_task(self._conclude(decided), name="mtor-conclude")
        self._concluding.add(task)
        task.add_done_callback(self._has_concluded)

    def _part_with(self, attempt: Attempt) -> None:
        del self.attempts[attempt.query]
        attempt.lane.attempts.discard(attempt)
        slot = attempt.slice
        slot.running.discard(attempt)
        if isinstance(attempt.verdict, Lost | Unheeded):
            slot.given_up = True
            self.workers.stop(attempt)
            self.workers.abandon(attempt)
        else:
            self.workers.release(attempt)
        if slot.over and slot.given_up and self.tasks is not None:
            self.tasks.drop(slot)
        self._slots.vacate(slot)
        self._counting.change(attempt.place.ticket.user, -1)

    async def _conclude(self, decided: Sequence[Attempt]) -> None:
        try:
            await self.conclude(decided)
        except Exception:
            # A bug: its time ends the query at the latest, and the hold with it.
            log.exception("what follows from %d verdicts could not be done", len(decided))

    def _has_concluded(self, task: asyncio.Task[None]) -> None:
        self._concluding.discard(task)
        self._concluded.set()


def _hand_back(slices: Sequence[Slice]) -> None:
    """Put attempts that nobody can begin just now back on the line: they count as none."""
    for slot in slices:
        for attempt in slot.attempts:
            attempt.decide(Outcome(attempt.ref, cancelled=True, begun=False))
