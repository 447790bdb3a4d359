"""Several gateway processes on one store: each owns some lanes, and sees after the others' queries.

Every query is in the store; who owns its lane carries it. Once a second each process looks there:
it takes what waits in its lanes and lets go of what waits in others', cancels what was asked for
elsewhere, and tells its followers how the queries stand that others carry. Two that think for a
moment that they own one lane do no harm: an attempt begins only where the store says so.

With a bus between them (`passing.py`) they look as soon as there is something to see, and pass on
what happens in between. Nothing depends on it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mtor_kernel.protocol.errors import RealmStopping, Unavailable
from mtor_kernel.protocol.lifecycle import ENDS, Stage
from mtor_kernel.realm.dispatch import Dispatcher
from mtor_kernel.realm.enlisting import Enlisting
from mtor_kernel.realm.lanes import Lanes
from mtor_kernel.realm.passing import Passing, begin
from mtor_kernel.realm.readers import Readers
from mtor_kernel.realm.streams import Stream
from mtor_kernel.realm.tasks import Tasks
from mtor_kernel.scheduling.owners import owner
from mtor_kernel.storage import blobmark, processes, queries, records
from mtor_kernel.storage.rows import UnderWay
from mtor_kernel.storage.store import Store

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
#: Between two looks where the bus says that there is something new; and at least so many times as
#: long as the look takes.
SOON_SECONDS, SOON_TIMES = 0.03, 4.0
#: Between two signs of life; :data:`processes.LEASE_SECONDS` without one, and the lanes move.
BEAT_SECONDS = 3.0


class Sharing:
    """One process of several. See :meth:`open`.

    Parameters
    ----------
    cancel
        Cancels a query that this process carries.
    bus_url
        Empty: there is no bus.
    """

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        readers: Readers,
        dispatcher: Dispatcher,
        enlisting: Enlisting,
        cancel: Callable[[str], Awaitable[None]],
        bus_url: str,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._readers = readers
        self._dispatcher = dispatcher
        self._enlisting = enlisting
        self._cancel = cancel
        self._bus_url = bus_url
        #: The epochs of all processes that live, this one's among them.
        self.living: tuple[int, ...] = (store.epoch,)
        #: Set when another process has ended this one: it writes nothing any more.
        self.ended = asyncio.Event()
        self._beat_at = float("-inf")
        self._soon = asyncio.Event()
        self.passing = Passing(store, lanes, readers, self.look_soon)
        self._looking: asyncio.Task[None] | None = None
        self._forgetting: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Find out who lives, and look from now on.

        Raises
        ------
        Unavailable
            The others have another folder of blobs; the store is closed again.
        """
        await self._beat()
        await self._check_blobs()
        self._lanes.owns = self.owns
        if self._bus_url:
            await self.passing.open(self._bus_url)
        self._looking = asyncio.create_task(self._run(), name="mtor-sharing")

    async def close(self) -> None:
        """Hand the lanes to the others at once."""
        ending = [*self._forgetting, *([] if self._looking is None else [self._looking])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self.passing.close()
        epoch = self._store.epoch
        # Where it cannot be said, the others notice by themselves.
        with suppress(Unavailable):
            await self._store.write(lambda db: processes.end(db, epoch))

    @property
    def bus(self) -> str:
        """Whether the bus is `up` or `away`; empty where there is none."""
        return ("up" if self.passing.up else "away") if self._bus_url else ""

    async def _check_blobs(self) -> None:
        store = self._store
        mark = await asyncio.to_thread(blobmark.read, store.blob_dir)
        alone = self.living == (store.epoch,)
        if await store.write(lambda db: blobmark.belongs(db, mark, alone=alone)):
            return
        await store.write(lambda db: processes.end(db, store.epoch))
        await asyncio.to_thread(store.close)
        raise Unavailable(
            f"{store.blob_dir} is not the folder that the other gateways of this realm keep their "
            "blobs in: have it be the same one, on a file system that they share."
        )

    def owns(self, model: str) -> bool:
        """Tell whether the lane of a model is this process's."""
        return owner(model, self.living) == self._store.epoch

    def look_soon(self) -> None:
        """Look now, or as soon as is good for the store."""
        self._soon.set()

    def submitted(self, model: str) -> None:
        """Something was written down for a lane: its owner need not find it by itself."""
        self.passing.prod(owner(model, self.living))

    async def _run(self) -> None:
        while True:
            self._soon.clear()
            began = time.monotonic()
            try:
                if time.monotonic() - self._beat_at > BEAT_SECONDS:
                    await self._beat()
                await self._look()
            except RealmStopping as error:
                self.ended.set()
                log.critical("this gateway carries nothing any more: %s", error)
                return
            except Exception:
                log.exception("could not look after the shared store")
            await self._rest(time.monotonic() - began)

    async def _rest(self, took: float) -> None:
        """Wait for the next look, of which the last one took so long."""
        least = min(LOOK_SECONDS, max(SOON_SECONDS, SOON_TIMES * took))
        await asyncio.sleep(least)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS - least):
                await self._soon.wait()

    async def _beat(self) -> None:
        epoch, now = self._store.epoch, time.monotonic()
        living, dead = await self._store.write(lambda db: processes.beat(db, epoch))
        self._beat_at = now
        if tuple(living) != self.living:
            log.info("gateways that live: %s", living)
            gone = set(self.living) - set(living) | set(dead)
            self.living = tuple(living)
            if self._dispatcher.tasks is not None:
                for one in gone:  # the workers need not serve them any more
                    self._forget(self._dispatcher.tasks, one)

    def _forget(self, tasks: Tasks, epoch: int) -> None:
        """Tell the workers that a gateway is gone, beside the beats: a frozen one hears nothing."""
        forgetting = asyncio.create_task(tasks.forget(str(epoch)), name="mtor-forget")
        self._forgetting.add(forgetting)
        forgetting.add_done_callback(self._forgetting.discard)

    async def _look(self) -> None:
        await self.passing.wish()
        seen = {one.id: one for one in await self._store.read(queries.under_way)}
        self._count_running(seen)
        self._let_go(seen)
        await self._take(seen)
        self._count_waiting(seen)
        for one in seen.values():
            if one.to_stop and one.id in self._lanes.places:
                await self._cancel(one.id)
        for stream in list(self._readers.all_afar()):
            await self._follow(stream, seen.get(stream.query))
        await self.passing.serve()
        self._dispatcher.capacity_changed()

    def _count_running(self, seen: dict[str, UnderWay]) -> None:
        """Count what others run: it fills the same workers, and their users' caps."""
        mine = self._store.epoch
        theirs = [one for one in seen.values() if one.stage is Stage.RUNNING and one.epoch != mine]
        running = Counter(one.model for one in theirs)
        for lane in self._lanes:
            lane.elsewhere = running[lane.model]
        self._dispatcher.count_elsewhere(Counter(one.user for one in theirs))

    def _count_waiting(self, seen: dict[str, UnderWay]) -> None:
        """Count what is on no line of this one, for whoever asks how long the realm's are."""
        lanes = self._lanes
        afar = [one for one in seen.values() if one.id not in lanes.places]
        waiting = Counter(one.model for one in afar if one.stage is Stage.QUEUED)
        for lane in lanes:
            lane.waiting_elsewhere = waiting[lane.model]
        lanes.elsewhere = len(afar)

    def _let_go(self, seen: dict[str, UnderWay]) -> None:
        """Let go of what waits in a lane that is another's now, or runs elsewhere."""
        lanes, mine = self._lanes, self._store.epoch
        for query, place in list(lanes.places.items()):
            one = seen.get(query)
            waits = query in place.lane.queue
            taken = one is not None and one.stage is Stage.RUNNING and one.epoch != mine
            if waits and (taken or not self.owns(place.lane.model)):
                place.lane.queue.remove(query)
                lanes.places.pop(query, None)

    async def _take(self, seen: dict[str, UnderWay]) -> None:
        """Put on this one's lines what waits in its lanes and is not there."""
        places = self._lanes.places
        new = [
            one.id
            for one in seen.values()
            if one.stage is Stage.QUEUED and one.id not in places and self.owns(one.model)
        ]
        if new:
            rows = await self._store.read(lambda db: queries.line(db, new))
            await self._enlisting.enlist(rows, self._readers.streams)

    async def _follow(self, stream: Stream, one: UnderWay | None) -> None:
        """Tell the followers of a query that another carries how it stands."""
        if one is None:
            query = stream.query
            info = await self._store.read(lambda db: records.info(db, query, None))
            if info.stage in ENDS and stream.end is None:
                stream.adopt(info)
        elif one.stage is Stage.RUNNING and one.attempt > stream.attempt:
            begin(stream, one.attempt, one.model)
        elif (
            one.stage is Stage.QUEUED
            and stream.stage is Stage.RUNNING
            and one.attempt >= stream.attempt  # else the bus was faster than the look
        ):
            stream.requeue("another gateway takes it over")
