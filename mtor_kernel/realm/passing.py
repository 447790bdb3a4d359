"""What gateways pass on to each other while it happens, over the bus.

A gateway says once a second which queries it follows that others carry, and how much of each it
has. Who carries one follows it on the other's behalf, as a reader does that has come back: from
there on, and with nothing queued. So one that joins late gets the text so far, what was lost is
told again, and who says nothing for a while is forgotten. How a query ended is never said, only
that it has: the store knows how.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from msgspec import Struct, structs

from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.ngram import Chunk, Progress, Queued, RealmNGram, Requeued, Started
from mtor_kernel.realm.bus import Bus
from mtor_kernel.realm.followers import Follower
from mtor_kernel.realm.lanes import Lanes
from mtor_kernel.realm.readers import Readers
from mtor_kernel.realm.streams import Stream, replay
from mtor_kernel.storage import processes, records
from mtor_kernel.storage.store import Store

log = logging.getLogger(__name__)

#: A gateway that has not said for so long what it follows is told nothing more.
WISH_SECONDS = 5.0
#: A larger preview is not passed on.
PREVIEW_BYTES = 16 * 1024
#: The longest frame: eight queries' chunks, with room.
FRAME_BYTES = 8 * 1024 * 1024


class Wish(Struct, frozen=True, array_like=True):
    """A query that is followed, and how much of it is there already."""

    query: str
    attempt: int
    seq: int
    #: Something is missing after that, or nothing has come lately: tell it from there.
    again: bool


class Look(Struct, frozen=True, tag_field="op", tag="look"):
    """There is something new in the store."""


class Follow(Struct, frozen=True, tag_field="op", tag="follow"):
    """All that a gateway follows of what others carry."""

    gateway: int
    wishes: tuple[Wish, ...]


class Ended(Struct, frozen=True, tag_field="op", tag="ended"):
    """A query has ended, as the store says."""

    query: str


Told = Started | Requeued | Queued | Progress | Chunk | Ended


class Passed(Struct, frozen=True, tag_field="op", tag="passed"):
    """What has happened to queries, in order."""

    told: tuple[Told, ...]


def take(stream: Stream, told: Started | Requeued | Queued | Progress | Chunk) -> bool:
    """Have what happened to a query elsewhere happen to its stream here.

    What is there already changes nothing, and neither does what belongs to an older attempt.
    False: it cannot be taken, as something before it is missing.
    """
    running = stream.stage is Stage.RUNNING
    if isinstance(told, Queued):
        if not running:
            stream.show(told)
    elif isinstance(told, Requeued):
        if running and told.attempt > stream.attempt:
            stream.requeue(told.reason)
    elif isinstance(told, Started):
        if told.attempt > stream.attempt:
            begin(stream, told.attempt, told.model, told.reason)
    elif told.attempt > stream.attempt:
        return False
    elif running and told.attempt == stream.attempt:
        if isinstance(told, Progress):
            stream.show(told)
        elif told.seq > stream.length:
            return False
        elif told.next > stream.length:
            stream.add(told.text[stream.length - told.seq :], told.part)
    return True


def begin(stream: Stream, attempt: int, model: str, note: str = "") -> None:
    """Begin an attempt of a stream that another gateway carries; one that still runs is void."""
    if stream.stage is Stage.RUNNING:
        stream.requeue("another attempt has begun")
    stream.note = note
    stream.start(attempt, model)


class _Listener:
    """Another gateway, and what it is told."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.heard_at = 0.0
        self.wishes: dict[str, Wish] = {}
        self.telling: asyncio.Task[None]


class Passing:
    """One gateway's part in it, both ways.

    Parameters
    ----------
    look
        Called when it is worth while to look at the store now.
    """

    def __init__(
        self, store: Store, lanes: Lanes, readers: Readers, look: Callable[[], None]
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._readers = readers
        self._look = look
        self._bus: Bus | None = None
        self._listeners: dict[int, _Listener] = {}
        #: Where each stream stood when it was last said, and those of which something is missing.
        self._said: dict[str, tuple[int, int]] = {}
        self._missing: set[str] = set()
        #: Gateways that are to look at the store: one word is enough for many queries.
        self._to_look: set[int] = set()
        self._prodded = asyncio.Event()
        self._prodding: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether the bus works."""
        return self._bus is not None and self._bus.up

    async def open(self, url: str) -> None:
        """Pass on from now on."""
        name = await self._store.read(processes.realm_name)
        self._bus = Bus(url, name, self._store.epoch, self._hear)
        self._bus.open()
        self._prodding = asyncio.create_task(self._prod(), name="mtor-prod")

    async def close(self) -> None:
        """Pass on nothing more."""
        for gateway in list(self._listeners):
            self._forget(gateway)
        if self._prodding is not None:
            self._prodding.cancel()
            await asyncio.gather(self._prodding, return_exceptions=True)
        if self._bus is not None:
            await self._bus.close()

    def prod(self, gateway: int = 0) -> None:
        """Have a gateway, or all (0), look at the store: there is something for it."""
        if self.up and gateway != self._store.epoch:
            self._to_look.add(gateway)
            self._prodded.set()

    async def wish(self) -> None:
        """Say what is followed here that others carry, and serve what they wish."""
        if self._bus is None or not self._bus.up:
            return
        said = self._said
        wishes = []
        self._said = {}
        for stream in self._readers.all_afar():
            running = stream.stage is Stage.RUNNING
            at = (stream.attempt, stream.length) if running else (0, 0)
            again = stream.query in self._missing or (running and said.get(stream.query) == at)
            wishes.append(Wish(stream.query, *at, again))
            self._said[stream.query] = at
        self._missing.clear()
        if wishes or said:
            await self._bus.say(0, encode(Follow(self._store.epoch, tuple(wishes))))

    async def serve(self) -> None:
        """Follow what others wish of what is carried here by now; forget who is silent."""
        for gateway, listener in list(self._listeners.items()):
            if time.monotonic() - listener.heard_at > WISH_SECONDS:
                self._forget(gateway)
            else:
                await self._serve(listener)

    async def _hear(self, frame: bytes) -> None:
        match decode(frame, Look | Follow | Passed, limit=FRAME_BYTES):  # type: ignore[arg-type]
            case Look():
                self._look()
            case Follow() as said if said.gateway != self._store.epoch:
                await self._wished(said)
            case Passed(told=told):
                for each in told:
                    self._take(each)

    def _take(self, told: Told) -> None:
        stream = self._readers.afar(told.query)
        if stream is None:
            return
        if isinstance(told, Ended):
            self._look()
        elif not take(stream, told) and told.query not in self._missing:
            self._missing.add(told.query)
            self._look()

    async def _wished(self, said: Follow) -> None:
        listener = self._listeners.get(said.gateway)
        if listener is None:
            listener = _Listener(Follower("", self._carried, lambda _: None))
            listener.telling = asyncio.create_task(
                self._tell(said.gateway, listener.follower), name=f"mtor-pass-on-{said.gateway}"
            )
            self._listeners[said.gateway] = listener
        listener.heard_at = time.monotonic()
        wishes = {wish.query: wish for wish in said.wishes}
        for query in listener.wishes.keys() - wishes.keys():
            listener.follower.leave(query)
        listener.wishes = wishes
        await self._serve(listener)

    async def _serve(self, listener: _Listener) -> None:
        for query, wish in list(listener.wishes.items()):
            if query in self._lanes.places:
                if wish.again or not listener.follower.follows(query):
                    await listener.follower.add(query, wish.attempt, wish.seq)
                if wish.again:
                    listener.wishes[query] = structs.replace(wish, again=False)

    async def _carried(self, user: str, query: str) -> Stream:
        place = self._lanes.places.get(query)
        if place is not None:
            return place.stream
        info = await self._store.read(lambda db: records.info(db, query, None))
        return replay(info, user)

    async def _tell(self, gateway: int, follower: Follower) -> None:
        assert self._bus is not None
        try:
            while True:
                told = tuple(_light(each) for each in await follower.next())
                await self._bus.say(gateway, encode(Passed(told)))
        except RealmError:
            # It will wish for the rest in a second.
            log.exception("nothing could be passed on to gateway %d", gateway)
            self._listeners.pop(gateway, None)
            follower.close()

    def _forget(self, gateway: int) -> None:
        listener = self._listeners.pop(gateway)
        listener.telling.cancel()
        listener.follower.close()

    async def _prod(self) -> None:
        assert self._bus is not None
        while True:
            await self._prodded.wait()
            self._prodded.clear()
            while self._to_look:
                await self._bus.say(self._to_look.pop(), encode(Look()))


def _light(told: RealmNGram) -> Told:
    """Return what is passed on of an event: no large pictures, and of an end only that it came."""
    if isinstance(told, Progress) and len(told.preview) > PREVIEW_BYTES:
        return structs.replace(told, preview=b"")
    if isinstance(told, Started | Requeued | Queued | Progress | Chunk):
        return told
    return Ended(getattr(told, "query", ""))
