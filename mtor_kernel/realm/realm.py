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
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from traitlets import Bool, Integer, Unicode
from traitlets.config import LoggingConfigurable

from mtor_kernel._version import __version__
from mtor_kernel.protocol.errors import BadInput, RealmError, RealmStopping
from mtor_kernel.protocol.identity import User
from mtor_kernel.protocol.ngram import RealmState
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.views import Me, ModelInfo, Page, QueryInfo, UsageRow
from mtor_kernel.realm import bus
from mtor_kernel.realm.acts import Acts
from mtor_kernel.realm.attemptblobs import AttemptBlobs
from mtor_kernel.realm.attempts import Stop
from mtor_kernel.realm.catalogue import CatalogueFile
from mtor_kernel.realm.chores import chores
from mtor_kernel.realm.commands import Commands
from mtor_kernel.realm.conversations import Conversations
from mtor_kernel.realm.dispatch import Dispatcher
from mtor_kernel.realm.equipment import Equipment, LinkAddress
from mtor_kernel.realm.failover import Failover
from mtor_kernel.realm.followers import Follower
from mtor_kernel.realm.intake import Intake, Quote, Submitted
from mtor_kernel.realm.lanes import Lanes
from mtor_kernel.realm.people import People
from mtor_kernel.realm.pulls import Pulls
from mtor_kernel.realm.readers import Readers
from mtor_kernel.realm.reaper import Reaper
from mtor_kernel.realm.settlement import Settlement
from mtor_kernel.realm.sharing import Sharing
from mtor_kernel.realm.sysop import Sysop
from mtor_kernel.realm.tasks import Tasks
from mtor_kernel.realm.workers import Workers
from mtor_kernel.storage import queries, records
from mtor_kernel.storage.blobs import BlobInfo, Blobs
from mtor_kernel.storage.records import Sought
from mtor_kernel.storage.store import Store


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
        catalogue = CatalogueFile(self._catalogue_path, self._folder)
        self.lanes = Lanes(catalogue.load(), self.workers)
        self.equipment = Equipment(catalogue, self.lanes, self.workers, self._dispatcher)
        moved = self._dispatcher.capacity_changed
        failover = Failover(self.store, self.lanes, self.people, moved)
        self._settlement = Settlement(self.store, self.lanes, failover, self.max_attempts, moved)
        self.readers = Readers(self.store, self.lanes, self.people, self._used)
        #: Everybody's conversations.
        self.conversations = Conversations(self.store)
        self.sysop = Sysop(self)
        self._reaper = Reaper(
            self.lanes,
            self.workers,
            self._dispatcher,
            self._settlement,
            failover,
            self.readers.followers,
            self.state,
            chores(self),
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
        self.acts = Acts(self)
        self.pulls = Pulls(self._folder, self.equipment.reload)
        #: What it does where several gateways share the store.
        self.sharing = self._sharing() if self.shared else None
        if self.sharing is not None:
            self.readers.followed_afar = self.sharing.look_soon
        self._stopping = False
        self._commands = Commands()
        self._used_at = time.monotonic()

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
        await realm._intake.enlisting.reclaim()
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

        Raises
        ------
        OSError
            It does not answer, or has moved meanwhile: the realm has no cluster yet.
        """
        self.equipment.link = LinkAddress(
            link_url, link_token, link_ca, str(self.epoch) if self.shared else ""
        )
        tasks = Tasks(scheduler, security, self.equipment.plugin())
        # Before it is open: the catalogue may change meanwhile, and the scheduler move.
        self._dispatcher.tasks = tasks
        try:
            await tasks.open()
        except BaseException:
            self._dispatcher.tasks = None
            raise
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
        for follower in list(self.readers.followers):
            follower.expel(RealmStopping("The realm is closing: connect again in a moment."))
        await self.acts.close()
        await self._reaper.close()
        await self._dispatcher.close()
        await self._commands.close()
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
        self._used()
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
        self._used()
        if self._stopping:
            raise RealmStopping("The realm is closing: ask again in a moment.")
        taken = await self._commands.whole(self._intake.admit(user, query, key))
        if self.sharing is not None:
            self.sharing.submitted(taken.model)
        return taken

    async def submit_all(
        self, user: User, asked: Sequence[tuple[Query, str]]
    ) -> list[Submitted | RealmError]:
        """Take several queries with their keys, each as :meth:`submit` does.

        Returns what became of each: what refuses one refuses no other.

        Raises
        ------
        Denied, Unavailable
            What is so of all of them: a ban, a realm that closes. Nothing was written.
        """
        self._used()
        if self._stopping:
            raise RealmStopping("The realm is closing: ask again in a moment.")
        taken = await self._commands.whole(self._intake.admit_all(user, asked))
        if self.sharing is not None:
            for model in {one.model for one in taken if isinstance(one, Submitted)}:
                self.sharing.submitted(model)
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
        return self.readers.follow(user)

    async def cancel(self, user: User, query: str) -> None:
        """Have a query of one's own stopped; one that has ended stays as it is.

        Returns once that is on its way; the end is told to its followers.

        Raises
        ------
        NotFound
            There is no such query, or it is somebody else's.
        """
        stream = await self.readers.find(user.name, query)
        if stream.end is None:
            await self._commands.whole(self._cancel(query))

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

    # With other gateways.

    @property
    def bus(self) -> str:
        """Whether the bus to other gateways is `up` or `away`; empty where there is none."""
        return "" if self.sharing is None else self.sharing.bus

    async def until_ended(self) -> None:
        """Return when another gateway has taken over what this one carried: it is of no use then.

        Of a realm that shares nothing: never.
        """
        await (asyncio.Event() if self.sharing is None else self.sharing.ended).wait()

    # Looking.

    async def info(self, user: User, query: str) -> QueryInfo:
        """Return one query of that person's, whole; raise :class:`NotFound` for any other."""
        info = await self.store.read(lambda db: records.info(db, query, user.name))
        place = self.lanes.places.get(query)
        return info if place is None else self.lanes.placed(info, place)

    async def history(self, user: User, sought: Sought, before: str = "", limit: int = 50) -> Page:
        """Return that person's queries that are `sought`, the latest first."""
        return await self.store.read(
            lambda db: records.history(db, user.name, sought, before=before, limit=limit)
        )

    async def usage(self, user: User, days: int = 30) -> list[UsageRow]:
        """Return what that person spent by day and model."""
        since = time.time() - days * 86_400
        return await self.store.read(lambda db: records.usage(db, user.name, since))

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
        if self.lanes.busy or self.readers.busy:
            self._used_at = now
        return now - self._used_at

    def caps_changed(self) -> None:
        """How many queries of a person may run at once has changed, for some."""
        waiting = {place.ticket.user for place in self.lanes.places.values()}
        for user in waiting | self.lanes.blocked:
            self._dispatcher.cap_changed(user)

    # Inside.

    def _used(self) -> None:
        self._used_at = time.monotonic()

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

    def _sharing(self) -> Sharing:
        return Sharing(
            self.store,
            self.lanes,
            self.readers,
            self._dispatcher,
            self._intake.enlisting,
            self._cancel,
            self.bus_url,
        )

    @property
    def admission_open(self) -> bool:
        """Whether queries are taken: not while the sysop pauses it, or the ledger is wrong."""
        return self._intake.open

    @admission_open.setter
    def admission_open(self, on: bool) -> None:
        self._intake.open = on
