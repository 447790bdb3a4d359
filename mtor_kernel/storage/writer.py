"""The one thread that writes, many works to a commit.

Works wait in a queue. The thread takes one, begins a transaction, and carries out with it whatever
else arrives meanwhile; then it commits, which costs one sync of the disk however many works there
were; and only then does anybody hear of a result.

Most works raise nothing, so at first nothing is prepared for one that does. Where one has, the
transaction is undone and its works are done again, each in a savepoint of its own. A work that does
something beside the database says that it wants to be carried out ``once``: from it on every work
of its transaction has a savepoint.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
import sqlalchemy as sa

from mtor_kernel.protocol.errors import RealmStopping
from mtor_kernel.storage import sqlite

log = logging.getLogger(__name__)

#: A commit waits for no more works than this, and takes no more in after this time, so that the
#: first of them is not kept waiting by the last.
MOST_WORKS = 256
MOST_SECONDS = 0.01

Work = Callable[[sa.Connection], Any]


class Statistics(msgspec.Struct):
    """What a writer has done so far."""

    #: Transactions that were committed, and the works in them that succeeded.
    commits: int = 0
    works: int = 0
    #: Works that raised, each undone alone.
    refused: int = 0
    #: Transactions that failed as a whole: a full disk, a broken one.
    failures: int = 0


class _Job:
    """A work, and who waits for it."""

    __slots__ = ("error", "loop", "once", "result", "waiter", "work")

    def __init__(
        self,
        work: Work,
        waiter: asyncio.Future[Any] | Future[Any],
        loop: asyncio.AbstractEventLoop | None,
        once: bool,
    ) -> None:
        self.work = work
        #: Whether it may not be undone for another's sake and done again.
        self.once = once
        self.waiter = waiter
        #: The event loop that `waiter` belongs to; ``None`` where a thread waits.
        self.loop = loop
        self.result: Any = None
        self.error: BaseException | None = None

    def tell(self) -> None:
        """Give the waiter its result. One that was cancelled meanwhile wants none."""
        if self.waiter.done():
            return
        if self.error is None:
            self.waiter.set_result(self.result)
        else:
            self.waiter.set_exception(self.error)


class Writer:
    """The thread, its queue and its connection.

    * Works are carried out in the order in which they were given.
    * A work that raises leaves nothing behind and disturbs no other.
    * A work may be carried out twice, where another one raised, unless it is to be done once.
    * When the transaction itself fails, none of its works has happened, and each is told so; the
      next transaction is tried afresh.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.statistics = Statistics()
        self._engine = engine
        self._connection: sa.Connection | None = None
        #: ``None`` is the order to end; nothing comes after it.
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._ending = False
        #: Whether a work of the last transaction raised: the next one may have another such.
        self._wary = False
        self._thread = threading.Thread(target=self._run, name="mtor-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Work, *, once: bool = False) -> Any:
        """Have `work` carried out; return its result once it is committed."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Any] = loop.create_future()
        self._give(_Job(work, waiter, loop, once))
        return await waiter

    def write_sync(self, work: Work, *, once: bool = False) -> Any:
        """Do the same from a thread that may wait."""
        waiter: Future[Any] = Future()
        self._give(_Job(work, waiter, None, once))
        return waiter.result()

    def close(self) -> None:
        """Let nothing more in, carry out what was given, and end."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()
        self._engine.dispose()

    @property
    def waiting(self) -> int:
        """Works that wait for their turn."""
        return self._jobs.qsize()

    def _give(self, job: _Job) -> None:
        with self._gate:
            if self._closed:
                raise closing()
            self._jobs.put(job)

    def _run(self) -> None:
        while not self._ending:
            job = self._jobs.get()
            if job is None:
                break
            self._group(job)
        if self._connection is not None:
            self._connection.close()

    def _group(self, first: _Job) -> None:
        """Carry out `first`, and what else comes meanwhile, as one commit."""
        taken: list[_Job] = []
        try:
            try:
                self._transact(_noted(self._coming(first), taken), guarded=self._wary)
            except _Raised:
                self._transact(taken, guarded=True)
        except BaseException as error:  # noqa: BLE001 - the thread outlives whatever happens
            self._failed(taken or [first], error)
        else:
            refused = sum(job.error is not None for job in taken)
            self._wary = refused > 0
            self.statistics.commits += 1
            self.statistics.refused += refused
            self.statistics.works += len(taken) - refused
        _tell(taken or [first])

    def _transact(self, jobs: Iterable[_Job], *, guarded: bool) -> None:
        if self._connection is None:
            self._connection = self._engine.connect()
        with self._connection.begin():
            for job in jobs:
                guarded = guarded or job.once
                (_guarded if guarded else _hopefully)(job, self._connection)

    def _coming(self, first: _Job) -> Iterator[_Job]:
        until = time.monotonic() + MOST_SECONDS
        yield first
        for _ in range(MOST_WORKS - 1):
            if time.monotonic() >= until:
                return
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            if job is None:
                self._ending = True
                return
            yield job

    def _failed(self, taken: list[_Job], error: BaseException) -> None:
        self.statistics.failures += 1
        log.error("a transaction of %d works failed and was undone: %s", len(taken), error)
        for job in taken:
            job.result, job.error = None, sqlite.explain(error)
        conn = self._connection
        if conn is not None and (conn.in_transaction() or not sqlite.is_disk_full(error)):
            # Whatever state it is in, a new one is in none.
            with suppress(Exception):
                conn.invalidate()
            with suppress(Exception):
                conn.close()
            self._connection = None


def closing() -> RealmStopping:
    """Return what is said of a store that has been closed."""
    return RealmStopping("The realm is closing: try again when it is back.")


class _Raised(Exception):
    """A work raised, and what is to be undone is the whole transaction."""


def _noted(coming: Iterator[_Job], taken: list[_Job]) -> Iterator[_Job]:
    """Yield what comes, and keep it in `taken`."""
    for job in coming:
        taken.append(job)
        yield job


def _hopefully(job: _Job, conn: sa.Connection) -> None:
    """Carry a work out as if no work ever raised."""
    try:
        job.result = job.work(conn)
    except BaseException as error:
        if sqlite.is_disk_full(error):
            raise
        raise _Raised from error


def _guarded(job: _Job, conn: sa.Connection) -> None:
    """Carry a work out so that it can be undone alone."""
    conn.exec_driver_sql("SAVEPOINT work")
    try:
        job.result = job.work(conn)
    except BaseException as error:
        if sqlite.is_disk_full(error):
            raise  # SQLite may have undone the whole transaction already
        conn.exec_driver_sql("ROLLBACK TO work")
        job.error = _deliverable(error)
    conn.exec_driver_sql("RELEASE work")


def _deliverable(error: BaseException) -> BaseException:
    """Return `error`, or one that says the same and that a future takes and a loop survives."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"a work raised {error!r}")
    wrapped.__cause__ = error
    return wrapped


def _tell(jobs: list[_Job]) -> None:
    """Give all waiters their results: one call into each event loop, however many wait there."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = defaultdict(list)
    for job in jobs:
        if job.loop is None:
            job.tell()
        else:
            loops[job.loop].append(job)
    for loop, here in loops.items():
        with suppress(RuntimeError):  # the loop has been closed: nobody waits there any more
            loop.call_soon_threadsafe(_tell_here, here)


def _tell_here(jobs: list[_Job]) -> None:
    for job in jobs:
        job.tell()
