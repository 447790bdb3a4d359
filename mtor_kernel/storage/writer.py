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
from mtor_kernel.storage import faults
from mtor_kernel.storage.database import Ended

log = logging.getLogger(__name__)

#: A commit waits for no more works than this, and takes no more in after this time, so that the
#: first of them is not kept waiting by the last.
MOST_WORKS = 256
MOST_SECONDS = 0.01
#: How long works are carried out again, and reads done again, when their connection is lost, and
#: the pause between two tries.
PATIENCE_SECONDS = 10.0
AGAIN_SECONDS = 0.2

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
    #: Connections to the database that were lost and made anew.
    losses: int = 0


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
    * When the connection is lost, the works are carried out again on a new one for a while. Where
      it was lost in the middle of a commit, it is looked up first whether that has happened; until
      that is known, nobody is told anything.

    Parameters
    ----------
    number
        Returns the number of a transaction under way: greater by one than the last committed one's.
    """

    def __init__(
        self, engine: sa.Engine, number: Callable[[sa.Connection], int] = lambda conn: 0
    ) -> None:
        self.statistics = Statistics()
        self._engine = engine
        self._number = number
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
            with suppress(Exception):  # the database may be away
                self._connection.close()

    def _group(self, first: _Job) -> None:
        """Carry out `first`, and what else comes meanwhile, as one commit."""
        taken: list[_Job] = []
        try:
            self._carry_out(_noted(self._coming(first), taken), taken)
        except BaseException as error:  # noqa: BLE001 - the thread outlives whatever happens
            self._failed(taken or [first], error)
        else:
            refused = sum(job.error is not None for job in taken)
            self._wary = refused > 0
            self.statistics.commits += 1
            self.statistics.refused += refused
            self.statistics.works += len(taken) - refused
        _tell(taken or [first])

    def _carry_out(self, coming: Iterator[_Job], taken: list[_Job]) -> None:
        """Bring a transaction to its commit, again where the connection is lost meanwhile."""
        jobs: Iterable[_Job] = coming
        guarded = self._wary
        until = 0.0
        while True:
            try:
                self._transact(jobs, guarded=guarded)
            except _Raised:
                jobs, guarded = taken, True
                continue
            except _Unsure as unsure:
                if self._was_committed(unsure.number):
                    return
                lost: BaseException = unsure.__cause__ or unsure
            except BaseException as error:
                if not faults.is_passing(error):
                    raise
                lost = error
            else:
                return
            until = until or time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > until or self._closed or any(job.once for job in taken):
                raise lost
            self._reconnect(lost)
            jobs = taken or coming

    def _transact(self, jobs: Iterable[_Job], *, guarded: bool) -> None:
        if self._connection is None:
            self._connection = self._engine.connect()
        number, committing = 0, False
        try:
            with self._connection.begin():
                number = self._number(self._connection)
                for job in jobs:
                    job.result = job.error = None
                    guarded = guarded or job.once
                    (_guarded if guarded else _hopefully)(job, self._connection)
                committing = True
        except Exception as error:
            if committing and faults.is_passing(error):
                raise _Unsure(number) from error
            raise

    def _was_committed(self, number: int) -> bool:
        """Find out whether the transaction of this number has happened, however long it takes.

        The next transaction tells: it comes after that one, and counts on from it.
        """
        while True:
            try:
                self._reconnect(None)
                self._connection = self._engine.connect()
                with self._connection.begin() as transaction:
                    found = self._number(self._connection)
                    transaction.rollback()
            except Ended as ended:
                self._forget()
                return ended.number > number
            except Exception as error:
                if self._closed:
                    raise RealmStopping(
                        "The realm closes, and whether this was written down cannot be looked up: "
                        "ask for it when the realm is back."
                    ) from error
                if not faults.is_passing(error):
                    raise
                log.warning("not known yet whether a commit has happened: %s", error)
                self._refuse_waiting(error)
            else:
                return found > number

    def _reconnect(self, lost: BaseException | None) -> None:
        """Let go of the connection, and pause before a new one is made."""
        self._forget()
        self.statistics.losses += 1
        if lost is not None:
            log.warning("the connection to the database was lost: %s", lost)
        time.sleep(AGAIN_SECONDS)

    def _refuse_waiting(self, error: BaseException) -> None:
        """Tell the works that nothing was begun of that there is no database just now."""
        refused: list[_Job] = []
        while not self._ending:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is None:
                self._ending = True
                break
            job.error = faults.explain(error)
            refused.append(job)
        _tell(refused)

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
            job.result, job.error = None, faults.explain(error)
        conn = self._connection
        if conn is not None and (conn.in_transaction() or not faults.is_disk_full(error)):
            self._forget()

    def _forget(self) -> None:
        """Have a new connection made next time: whatever state it is in, a new one is in none."""
        conn, self._connection = self._connection, None
        if conn is not None:
            with suppress(Exception):
                conn.invalidate()
            with suppress(Exception):
                conn.close()


def closing() -> RealmStopping:
    """Return what is said of a store that has been closed."""
    return RealmStopping("The realm is closing: try again when it is back.")


class _Raised(Exception):
    """A work raised, and what is to be undone is the whole transaction."""


class _Unsure(Exception):
    """The connection was lost while the transaction of this number was being committed."""

    def __init__(self, number: int) -> None:
        super().__init__(f"whether transaction {number} was committed is not known yet")
        self.number = number


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
        if faults.is_disk_full(error) or faults.is_passing(error):
            raise
        raise _Raised from error


def _guarded(job: _Job, conn: sa.Connection) -> None:
    """Carry a work out so that it can be undone alone."""
    conn.exec_driver_sql("SAVEPOINT one")
    try:
        job.result = job.work(conn)
    except BaseException as error:
        if faults.is_disk_full(error) or faults.is_passing(error):
            raise  # the database may have undone the whole transaction already
        conn.exec_driver_sql("ROLLBACK TO SAVEPOINT one")
        # A database that cannot is not this work's fault: it may be given again later.
        broken = isinstance(error, sa.exc.OperationalError | sa.exc.InternalError)
        job.error = faults.explain(error) if broken else _deliverable(error)
    conn.exec_driver_sql("RELEASE SAVEPOINT one")


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
