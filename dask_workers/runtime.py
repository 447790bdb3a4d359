"""What one worker is for MTOR: its models, its attempts and its link, whoever hosts them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

import psutil

from dask_workers.alarm import Alarm
from dask_workers.attempts import Attempts
from dask_workers.blobs import Blobs
from dask_workers.discovery import Found
from dask_workers.link import BEAT_SECONDS, Link
from dask_workers.memory import Memory
from dask_workers.models import Model, Models
from dask_workers.publisher import Publisher
from dask_workers.room import BOUNDLESS, Room
from mtor_kernel.protocol.link import (
    AttemptRef,
    Beat,
    Drain,
    Health,
    LinkNGram,
    Load,
    Stop,
    Unload,
    WorkerHello,
    WorkerNGram,
)
from mtor_kernel.protocol.task import ROWS_SECONDS

log = logging.getLogger(__name__)

#: How long an attempt goes on while nobody can hear it; as long as the realm's leases.
LEASE_SECONDS = 15.0


class Stock:
    """What a worker has once, however many gateways it serves: its models and their memory."""

    def __init__(self, budget: Room = BOUNDLESS) -> None:
        self.models = Models(self._tell, Memory(budget))
        #: Whether it takes nothing new, by the order of any gateway.
        self.draining = False
        #: One for each gateway.
        self.runtimes: list[Runtime] = []

    def _tell(self) -> None:
        for runtime in tuple(self.runtimes):
            runtime.tell_health()


class Runtime:
    """The MTOR part of one worker, for one gateway.

    Outlives a link, and a new registration of the plugin.

    Parameters
    ----------
    stock
        What it shares with the worker's runtimes for other gateways, where there are any.
    name, address, threads, version
        As :class:`~mtor_kernel.protocol.link.WorkerHello` tells them.
    budget
        What all models together may have of the machine's memory.
    """

    def __init__(
        self,
        name: str,
        *,
        address: str = "",
        threads: int = 1,
        version: str = "",
        budget: Room = BOUNDLESS,
        beat_seconds: float = BEAT_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        rows_seconds: float = ROWS_SECONDS,
        stock: Stock | None = None,
    ) -> None:
        self.name, self.address, self.threads, self.version = name, address, threads, version
        self._blobs: Blobs | None = None
        self.attempts = Attempts(lambda: self._blobs)
        self._stock = Stock(budget) if stock is None else stock
        self._stock.runtimes.append(self)
        self.models = self._stock.models
        #: How long the rows of one query may take together; the first is seen through.
        self.rows_seconds = rows_seconds
        #: What stops each slice that runs here, by its Dask key.
        self.slices: dict[str, Callable[[], None]] = {}
        #: Whoever looks after it now: the plugin.
        self.owner: object | None = None
        self._beat_seconds, self._lease_seconds = beat_seconds, lease_seconds
        self._alarm = Alarm()
        # What takes a while and nobody waits for, in the order in which it was asked for.
        self._orders = Alarm("mtor-orders")
        # What is served, from time to time: whoever changes it waits for no gateway's link.
        self._news = Alarm("mtor-news")
        self._looking = threading.Lock()
        self._link: Link | None = None
        self._goodbye: threading.Thread | None = None
        self._process = psutil.Process()

    # What publishers need of a link, whichever link there is now.

    @property
    def connection(self) -> int:
        """Number of the connection that is open, unlike any other; 0 while there is none."""
        link = self._link
        return link.connection if link else 0

    def send(self, ngram: WorkerNGram, connection: int) -> bool:
        """Write to that connection; tell whether it was written."""
        link = self._link
        return link.send(ngram, connection) if link else False

    @property
    def draining(self) -> bool:
        """Whether the worker takes nothing new."""
        return self._stock.draining

    @property
    def alone(self) -> bool:
        """Whether the worker serves no other gateway."""
        return self._stock.runtimes == [self]

    def publisher(self, ref: AttemptRef, *, patient: bool = False) -> Publisher:
        """Return where an attempt's answer goes.

        A patient one waits with what it has until it is flushed, it is much, or it ends.
        """
        return Publisher(ref, self, None if patient else self._alarm)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have `action` called at `when` on the monotonic clock, in a thread that others share."""
        self._alarm.at(when, action)

    def serve(self, found: Iterable[Found]) -> None:
        """Serve what of the catalogue this machine can, and nothing else."""
        looked = list(found)
        able = [(one.spec, one.backend) for one in looked if one.backend and not one.missing]
        self.models.serve(able, {one.spec.name: one.missing for one in looked if one.missing})
        for model in self.models.all():
            if model.spec.preload and not model.loaded:
                self._order(_load, model)

    def slots(self) -> dict[str, int]:
        """Return how many attempts of each model Dask may run here.

        Also while it drains: what is on its way would wait in the scheduler for ever.
        """
        return {model.spec.name: model.spec.slots for model in self.models.all()}

    def connect(self, url: str, token: str, *, ca: str | None = None) -> None:
        """Link this worker to a gateway, from now on until :meth:`disconnect`."""
        self.disconnect(None)
        if self._goodbye:
            self._goodbye.join()  # the realm hears the old link's end before the new one's hello
        self._blobs = Blobs(url, token, ca)
        self._link = Link(
            url,
            token,
            ca=ca,
            hello=self._hello,
            beat=self._beat,
            hear=self.hear,
            opened=self._resend,
            tick=self._lapse,
            beat_seconds=self._beat_seconds,
        )
        self._link.start()

    def disconnect(self, reason: str | None, *, wait: bool = True) -> None:
        """Say goodbye, or nothing where a new link follows; the attempts under way go on.

        Waits two seconds at most, or not.
        """
        link, self._link = self._link, None
        if link is None:
            return
        if wait:
            link.close(reason)
        else:
            self._goodbye = threading.Thread(target=link.close, args=(reason,), daemon=True)
            self._goodbye.start()

    def close(self, reason: str) -> None:
        """Stop everything: attempts, link, models."""
        self.attempts.cancel_all(reason)
        self.disconnect(reason)
        if self.alone:
            self.models.serve((), {})
        with suppress(ValueError):
            self._stock.runtimes.remove(self)
        self._alarm.close()
        self._orders.close()
        self._news.close()

    def hear(self, ngram: LinkNGram) -> None:
        """Do what the realm says; never waits."""
        match ngram:
            case Stop(query=query, attempt=attempt):
                self.attempts.cancel(query, attempt)
            case Load(model=name):
                self._order(_fetch_and_load, self.models.get(name))
            case Unload(model=name):
                self._order(Model.unload, self.models.get(name))
            case Drain(on=on):
                self._stock.draining = on
                for runtime in tuple(self._stock.runtimes):
                    runtime.tell_health()

    def _hello(self) -> WorkerHello:
        served = self.models.served(draining=self.draining)
        return WorkerHello(self.name, self.address, served, self.threads, self.version)

    def _beat(self) -> Beat:
        return Beat(
            self.attempts.refs(),
            self._process.memory_info().rss,
            self._process.cpu_percent(None),
        )

    def tell_health(self) -> None:
        """Have said what is served now; never waits.

        What is seen is written in the order in which it was seen, and to the connection that was
        open then: the hello of a later one holds it.
        """
        with self._looking:
            connection = self.connection
            health = Health(self.models.served(draining=self.draining))
            self._news.at(0, partial(self._say, health, connection))

    def _say(self, health: Health, connection: int) -> None:
        self.send(health, connection)

    def _resend(self) -> None:
        """Have every running attempt's answer sent again: a new connection knows none of it."""
        for attempt in self.attempts.all():
            self._alarm.at(time.monotonic(), attempt.resend)

    def _lapse(self, down_since: float | None) -> None:
        """Stop the attempts whose lease must have run out, since nobody could hear of them."""
        limit = time.monotonic() - self._lease_seconds
        if down_since is not None and down_since < limit:
            self.attempts.cancel_all("the link was down too long", started_before=limit)

    def _order(self, action: Callable[..., None], *arguments: object) -> None:
        self._orders.at(0, partial(action, *arguments))


def _load(model: Model) -> None:
    try:
        model.load()
    except Exception:
        log.exception("%s could not be loaded", model.spec.name)


def _fetch_and_load(model: Model) -> None:
    try:
        model.fetch()
    except Exception:
        log.exception("%s could not be fetched", model.spec.name)
    else:
        _load(model)
