"""The realm: what its faces ask of it. Open, submit, follow, cancel, look, close.

The only place with effects is this layer, and the only object of it that a face needs is
:class:`Realm`. The promises of DESIGN 3 are kept by this order of things:

* a query is written down, with its hold and its key, before its submission is answered;
* an attempt is written down before Dask is given it, an end before anybody is told;
* what was on its way when the realm ended is put back on the line when it opens again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from traitlets import Bool, Integer, Unicode
from traitlets.config import LoggingConfigurable

from mtor_kernel._version import __version__
from mtor_kernel.protocol.errors import BadInput, RealmError, RealmStopping
from mtor_kernel.protocol.identity import User
from mtor_kernel.protocol.lifecycle import ENDS, Stage
from mtor_kernel.protocol.ngram import RealmState
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.views import Me, ModelInfo, Page, QueryInfo, UsageRow
from mtor_kernel.realm import bus
from mtor_kernel.realm.acts import Acts
from mtor_kernel.realm.attemptblobs import AttemptBlobs
from mtor_kernel.realm.attempts import Stop
from mtor_kernel.realm.catalogue import CatalogueFile
from mtor_kernel.realm.conversations import Conversations
from mtor_kernel.realm.dispatch import Dispatcher
from mtor_kernel.realm.failover import Failover
from mtor_kernel.realm.followers import Follower
from mtor_kernel.realm.intake import Intake, Quote, Submitted
from mtor_kernel.realm.lanes import Lanes
from mtor_kernel.realm.people import People
from mtor_kernel.realm.pulls import Pulls
from mtor_kernel.realm.reaper import Reaper
from mtor_kernel.realm.settlement import Settlement
from mtor_kernel.realm.sharing import Sharing
from mtor_kernel.realm.streams import Stream, replay
from mtor_kernel.realm.sysop import Sysop
from mtor_kernel.realm.tasks import Tasks, make_plugin
from mtor_kernel.realm.workers import Workers
from mtor_kernel.storage import queries
from mtor_kernel.storage.blobs import BlobInfo, Blobs
from mtor_kernel.storage.records import Sought
from mtor_kernel.storage.rows import WaitingRow
from mtor_kernel.storage.store import Store

T = TypeVar("T")

#: Between two checks of the ledger, each of which adds up every transfer.
CHECK_SECONDS = 900.0
#: Between two seals under what is new in the ledger.
SEAL_SECONDS = 60.0
#: Between two looks at the catalogue's file.
WATCH_SECONDS = 1.0
#: How long a close waits for commands under way.
CLOSE_SECONDS = 5.0


class Realm(LoggingConfigurable):
    """One installation: its ledger, queue, workers and people. Made by :meth:`open`."""

    data_dir = Unicode(help="Folder of the database and the blobs. No default: who opens it says.")
    database_url = Unicode(
        "",
        config=True,
        help="SQLAlchemy URL of the store; empty: realm.sqlite in the data folder. Default: empty",
    )
    catalogue_path = Unicode(
        "",
        config=True,
        help="TOML file of models and prices; empty: the built-in one. Default: empty",
    )
    shared = Bool(
        False,
        config=True,
        help="Whether other gateway processes have the same store, in PostgreSQL. Default: False",
    )
    bus_url = Unicode(
        "",
        config=True,
        help="URL of a Redis by which gateways that share a store pass on what happens, "
        "`redis://` or `rediss://`; empty: none. Default: empty",
    )
    max_attempts = Integer(
        3, config=True, help="How often a query is tried before it fails. Default: 3"
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = __version__
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        if self.bus_url:
            if not self.shared:
                raise BadInput(
                    "Realm.bus_url is for gateways that share a store: set Realm.shared."
                )
            bus.connect(self.bus_url)  # what is wrong with it is said before anything is opened
        self.store = Store.open(
            self.database_url or self._default_url(), self._folder / "blobs", shared=self.shared
        )
        self.blobs = Blobs(self.store, self._folder / "blobs")
        try:
            self.people = People(self.store, parent=self)
        except BaseException:
            self.store.close()
            raise
        self._dispatcher = Dispatcher(self.store, self.people.running_cap)
        self.workers = Workers(self._dispatcher)
        self.attempt_blobs = AttemptBlobs(self.blobs, self.people, self._dispatcher.current)
        self.catalogue_file = CatalogueFile(self._catalogue_path, self._folder)
        self.lanes = Lanes(self.catalogue_file.load(), self.workers)
        moved = self._dispatcher.capacity_changed
        failover = Failover(self.store, self.lanes, self.people, moved)
        self._settlement = Settlement(self.store, self.lanes, failover, self.max_attempts, moved)
        self.followers: set[Follower] = set()
        self._reaper = Reaper(
            self.lanes,
            self.workers,
            self._dispatcher,
            self._settlement,
            failover,
            self.followers,
            self.state,
            [
                (CHECK_SECONDS, self._check_books),
                (SEAL_SECONDS, self._seal),
                (600.0, self._collect_blobs),
                (WATCH_SECONDS, self._watch_catalogue),
                (WATCH_SECONDS, self._end_lanes),
            ],
        )
        self._intake = Intake(
            self.store,
            self.lanes,
            self.people,
            self.blobs,
            self._dispatcher,
            lambda place: self._reaper.remember(place.ticket.query, place.deadline),
            parent=self,
        )
        self.sysop = Sysop(self)
        self.acts = Acts(self)
        self.pulls = Pulls(self._folder, self.reload)
        #: What it does where several gateways share the store.
        self.sharing = Sharing(self) if self.shared else None
        self._stopping = False
        self._work: set[asyncio.Task[Any]] = set()
        self._used_at = time.monotonic()
        #: Streams that somebody follows, also after their end: many readers share one.
        self._streams: WeakValueDictionary[str, Stream] = WeakValueDictionary()
        #: Held while an ended answer is read: one at a time, as it may be long.
        self._reading = asyncio.Lock()
        #: Held while the catalogue is read and the workers are told.
        self._reloading = asyncio.Lock()
        self._equipment: dict[str, Any] = {}

    @classmethod
    async def open(cls, data_dir: Path, **kwargs: Any) -> Realm:
        """Open the realm of a folder and put on the line what was under way when it ended.

        Nothing can start before :meth:`serve` gives it a cluster.

        Parameters
        ----------
        data_dir
            Made if it is not there, for its owner only.
        kwargs
            ``config``, ``parent`` or single traits, as for any
            :class:`traitlets.config.Configurable`.
        """
        realm = await asyncio.to_thread(cls, data_dir=str(data_dir), **kwargs)
        realm._dispatcher.open(realm.lanes, realm.workers, realm._settlement.conclude)
        await realm.people.open()
        await realm.acts.open()
        if realm.sharing is not None:
            await realm.sharing.open()
        await realm._intake.reclaim()
        realm._reaper.open()
        return realm

    async def serve(
        self,
        scheduler: str,
        *,
        link_url: str,
        link_token: str,
        security: Any = None,
        link_ca: str | None = None,
    ) -> None:
        """Use a Dask scheduler, and make every worker that joins it a worker of this realm.

        Parameters
        ----------
        scheduler
            Its address.
        link_url, link_token, link_ca
            Where the workers dial in, what they show there, and the PEM of the authority that
            signed its certificate where that is a private one.
        security
            A :class:`distributed.Security`.
        """
        self._equipment = {
            "link_url": link_url,
            "token": link_token,
            "ca": link_ca,
            "gateway": str(self.epoch) if self.shared else "",
        }
        tasks = Tasks(scheduler, security, self._plugin())
        await tasks.open()
        self._dispatcher.tasks = tasks
        self._dispatcher.capacity_changed()

    async def follow_scheduler(self, address: str) -> None:
        """The scheduler was started anew at `address`."""
        if self._dispatcher.tasks is not None:
            await self._dispatcher.tasks.move(address)

    async def close(self, *, drain_seconds: float = 0.0) -> None:
        """Take nothing more, let what runs go on for a while, leave the rest to the next start."""
        self._stopping = True
        await self.pulls.close()
        await self._dispatcher.drain(drain_seconds)
        for follower in list(self.followers):
            follower.expel(RealmStopping("The realm is closing: connect again in a moment."))
        await self.acts.close()
        await self._reaper.close()
        await self._dispatcher.close()
        if self._work:
            await asyncio.wait(self._work, timeout=CLOSE_SECONDS)
        for late in self._work:
            # It waits for space on the disk; what it was to write is done after the next start.
            late.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        if self._dispatcher.tasks is not None:
            await self._dispatcher.tasks.close()
        if self.sharing is not None:
            await self.sharing.close()
        await asyncio.to_thread(self.store.close)

    # Asking.

    async def arrive(self, user: User) -> User:
        """See to it that `user` is known here; once a request or a socket.

        Raises
        ------
        Banned
            The sysop has closed the realm to them.
        """
        self._used_at = time.monotonic()
        await self.people.welcome(user)
        return user

    async def submit(self, user: User, query: Query, key: str) -> Submitted:
        """Take a query: when this returns, it is written down and will reach exactly one end.

        A submission that is repeated with the same key gives the query of the first one. Whoever
        waits may be cancelled: what was begun is then still carried to its end.

        Raises
        ------
        BadInput, Denied, Refused, Unavailable
            Nothing was written, nothing held.
        """
        self._used_at = time.monotonic()
        if self._stopping:
            raise RealmStopping("The realm is closing: ask again in a moment.")
        taken = await self._whole(self._intake.admit(user, query, key))
        if self.sharing is not None:
            self.sharing.submitted(taken.model)
        return taken

    async def quote(self, user: User, query: Query, count: int = 1) -> Quote:
        """Return what `query` would cost at most and how long it would wait, and submit nothing.

        Of `count` such queries, the wait is that of the last.
        """
        return await self._intake.quote(user, query, count)

    async def keep(self, user: User, content: bytes | AsyncIterator[bytes], mime: str) -> BlobInfo:
        """Keep a blob for a person, within their quota; see :meth:`Blobs.put`."""
        quota = self.people.quotas(user).blob_bytes
        return await self.blobs.put(user.name, content, mime, quota=quota)

    # Following.

    def follow(self, user: User) -> Follower:
        """Return a reader of that person's queries. Close it when done."""
        follower = Follower(user.name, self._find, self._unfollowed)
        self.followers.add(follower)
        return follower

    def _unfollowed(self, follower: Follower) -> None:
        self.followers.discard(follower)
        self._used_at = time.monotonic()

    async def _find(self, user: str, query: str) -> Stream:
        for _ in range(100):
            place = self.lanes.places.get(query)
            stream = place.stream if place is not None else self._streams.get(query)
            if stream is not None:
                if stream.user != user:
                    raise queries.unknown(query)
                self._streams[query] = stream
                return stream
            async with self._reading:
                if query in self._streams:
                    continue  # of several who want it at the same time, one has brought it
                info = await self.store.read(lambda db: queries.info(db, query, user))
                if info.stage in ENDS:
                    stream = self._streams[query] = replay(info, user)
                    return stream
                if not self.lanes.owns(info.model):
                    # One that runs begins in the stream when that is seen, by bus or look.
                    void = info.attempt - (info.stage is Stage.RUNNING)
                    stream = self._streams[query] = Stream(query, user, attempt=void)
                    if self.sharing is not None:
                        self.sharing.look_soon()
                    return stream
            # Written down a moment ago, and on its way to its lane.
            await asyncio.sleep(0.02)
        raise queries.unknown(query)

    async def cancel(self, user: User, query: str) -> None:
        """Have a query of one's own stopped; one that has ended stays as it is.

        Returns once that is on its way; the end is told to its followers.

        Raises
        ------
        NotFound
            There is no such query, or it is somebody else's.
        """
        stream = await self._find(user.name, query)
        if stream.end is None:
            await self._whole(self._cancel(query))

    async def _cancel(self, query: str) -> None:
        place = self.lanes.places.get(query)
        await self._dispatcher.settle_start(query)
        attempt = self._dispatcher.current(query)
        if attempt is not None:
            self._dispatcher.stop(attempt, Stop.CANCELLED)
        elif place is not None:
            # Of a query that is just being settled or put back this comes after that.
            await self._settlement.cancel_waiting(place)
        elif self.sharing is not None:
            await self.store.write(lambda db: queries.ask_to_stop(db, query, time.time()))
            self.sharing.passing.prod()

    # With other gateways: what `sharing` asks for.

    async def stop_query(self, query: str) -> None:
        """Cancel a query, as was asked for elsewhere."""
        await self._cancel(query)

    async def enlist(self, rows: list[WaitingRow]) -> None:
        """Put queries on the line whose lane is this gateway's now."""
        await self._intake.enlist(rows, self._streams)

    def streams_afar(self) -> list[Stream]:
        """Return the streams that are followed here of queries that are carried elsewhere."""
        return [
            stream
            for query, stream in self._streams.items()
            if stream.end is None and query not in self.lanes.places
        ]

    def stream_afar(self, query: str) -> Stream | None:
        """Return the stream of one such query."""
        stream = self._streams.get(query)
        if stream is None or stream.end is not None or query in self.lanes.places:
            return None
        return stream

    async def forget_gateways(self, gone: Iterable[int]) -> None:
        """Have the workers serve gateways no longer that have ended."""
        if self._dispatcher.tasks is not None:
            for epoch in gone:
                await self._dispatcher.tasks.forget(str(epoch))

    def wake(self) -> None:
        """Something may be able to start."""
        self._dispatcher.capacity_changed()

    @property
    def bus(self) -> str:
        """Whether the bus to other gateways is `up` or `away`; empty where there is none."""
        if self.sharing is None or not self.bus_url:
            return ""
        return "up" if self.sharing.passing.up else "away"

    async def until_ended(self) -> None:
        """Return when another gateway has taken over what this one carried: it is of no use then.

        Of a realm that shares nothing: never.
        """
        await (asyncio.Event() if self.sharing is None else self.sharing.ended).wait()

    # Looking.

    async def info(self, user: User, query: str) -> QueryInfo:
        """Return one query of that person's, whole; raise :class:`NotFound` for any other."""
        info = await self.store.read(lambda db: queries.info(db, query, user.name))
        place = self.lanes.places.get(query)
        return info if place is None else self.lanes.placed(info, place)

    async def history(self, user: User, sought: Sought, before: str = "", limit: int = 50) -> Page:
        """Return that person's queries that are `sought`, the latest first."""
        return await self.store.read(
            lambda db: queries.history(db, user.name, sought, before=before, limit=limit)
        )

    @property
    def conversations(self) -> Conversations:
        """Everybody's conversations."""
        return Conversations(self.store)

    async def usage(self, user: User, days: int = 30) -> list[UsageRow]:
        """Return what that person spent by day and model."""
        since = time.time() - days * 86_400
        return await self.store.read(lambda db: queries.usage(db, user.name, since))

    async def me(self, user: User) -> Me:
        """Return who that person is here and what they have."""
        return await self.people.me(user)

    def models(self) -> list[ModelInfo]:
        """Return every name that one may ask for."""
        return self.lanes.models()

    def state(self) -> RealmState:
        """Return how deep every lane is and who serves what; no names, no prompts."""
        return RealmState(
            tuple(self.lanes.infos()), tuple(self.workers.infos()), self.admission_open
        )

    def idle_seconds(self) -> float:
        """Return for how long nobody has used it; 0 while anything is followed or under way."""
        now = time.monotonic()
        if self.lanes.busy or any(each.following or each.watching for each in self.followers):
            self._used_at = now
        return now - self._used_at

    def caps_changed(self) -> None:
        """How many queries of a person may run at once has changed, for some."""
        waiting = {place.ticket.user for place in self.lanes.places.values()}
        for user in waiting | self.lanes.blocked:
            self._dispatcher.cap_changed(user)

    async def reload(self) -> None:
        """Read the catalogue again and have the workers look anew at what they can serve.

        Raises
        ------
        BadInput, OSError
            What the file says cannot be in force; what was so far still is.
        """
        async with self._reloading:
            catalogue = await asyncio.to_thread(self.catalogue_file.load)
            try:
                self.lanes.take(catalogue)
            except BadInput as error:
                self.catalogue_file.fault = error.message
                raise
            await self._equip()

    async def _equip(self) -> None:
        """Have the workers serve what the lanes are for."""
        if self._dispatcher.tasks is not None:
            self.workers.expect(spec.name for spec in self.lanes.specs)
            await self._dispatcher.tasks.equip(self._plugin())

    # Inside.

    @property
    def epoch(self) -> int:
        """Counts the starts of this realm."""
        return self.store.epoch

    @property
    def _folder(self) -> Path:
        return Path(self.data_dir)

    @property
    def _catalogue_path(self) -> Path | None:
        return Path(self.catalogue_path) if self.catalogue_path else None

    def _default_url(self) -> str:
        return f"sqlite:///{self._folder / 'realm.sqlite'}"

    def _plugin(self) -> Any:
        return make_plugin(models=self.lanes.specs, **self._equipment)

    @property
    def admission_open(self) -> bool:
        """Whether queries are taken: not while the sysop pauses it, or the ledger is wrong."""
        return self._intake.open

    @admission_open.setter
    def admission_open(self, on: bool) -> None:
        self._intake.open = on

    def _own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Carry `work` to its end even if whoever waits for it goes away."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns; it is carried to its end even if this is cancelled."""
        task = self._own(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # A refusal that nobody hears any more is no fault to be logged.
            task.add_done_callback(self._unheard)
            raise

    def _unheard(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, RealmError):
            self.log.error("what nobody waited for any more went wrong", exc_info=error)

    async def _check_books(self) -> None:
        problems = await self.sysop.check_books()
        if problems:
            self.admission_open = False
            self.log.critical("admission is closed, the ledger does not add up: %s", problems)

    async def _seal(self) -> None:
        await self.sysop.seal()

    async def _collect_blobs(self) -> None:
        await self.blobs.collect(time.time())

    async def _watch_catalogue(self) -> None:
        """Take over a catalogue whose file was changed; a fault in it changes nothing."""
        if not await asyncio.to_thread(self.catalogue_file.has_changed):
            return
        try:
            await self.reload()
            self.log.info("the catalogue was changed, and is in force")
        except (RealmError, OSError) as error:
            self.log.warning("the changed catalogue is not in force: %s", error)

    async def _end_lanes(self) -> None:
        """End the lanes of models that were taken out, once they are empty."""
        async with self._reloading:
            if self.lanes.end_retired(time.monotonic()):
                await self._equip()
