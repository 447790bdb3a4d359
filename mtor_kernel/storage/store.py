"""The store: one database, one writer, a few readers, and the folder of blobs beside it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

import sqlalchemy as sa

from mtor_kernel.storage import faults, migrations, processes
from mtor_kernel.storage.database import Database, Owned, database_of
from mtor_kernel.storage.refusals import refusal
from mtor_kernel.storage.writer import (
    AGAIN_SECONDS,
    PATIENCE_SECONDS,
    Statistics,
    Writer,
    closing,
)

#: How long a server may take to notice that the process which had a database has gone.
OWNED_SECONDS = 3.0

T = TypeVar("T")


class Store:
    """What the realm remembers.

    * What :meth:`write` has returned survives a crash and a power cut.
    * A work that raises, and a transaction that fails, leave nothing behind.
    * One process has the database at a time; each opening has a greater :attr:`epoch`.
    * A connection that is lost is made anew. Whether a commit has happened whose answer was lost is
      looked up, and its works are carried out again only where it has not.
    * A read sees one consistent state, and everything that was written before it began.
    """

    def __init__(self, database: Database, blob_dir: Path, engine: sa.Engine) -> None:
        self.database = database
        self.blob_dir = blob_dir
        #: Counts the openings of this database, from 1.
        self.epoch = _begin_epoch(engine, database)
        database.opened(self.epoch)
        self._closed = False
        self._writer = Writer(engine, database.number)
        self._reading = database.reader()
        self._readers = ThreadPoolExecutor(database.readers, thread_name_prefix="mtor-reader")

    @classmethod
    def open(cls, url: str, blob_dir: Path, *, shared: bool = False) -> Store:
        """Open the database that `url` names, made and brought up to date where needed. Blocks.

        Parameters
        ----------
        shared
            Other processes that share it too may have it at the same time.

        Raises
        ------
        Unavailable
            Another process has it, a newer MTOR wrote it, or it is no database of ours.
        """
        database = database_of(url, shared=shared)
        blob_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        database.claim()
        engine = database.writer()
        try:
            return cls(database, blob_dir, engine)
        except BaseException:
            engine.dispose()
            database.release()
            raise

    async def write(self, work: Callable[[sa.Connection], T], *, once: bool = False) -> T:
        """Carry out `work` in the writer's thread and return its result once it is durable.

        To cancel the wait does not undo the work.

        Parameters
        ----------
        work
            What to do; called again where another work of the same transaction has raised.
        once
            Call it once only: it does something beside the database.

        Raises
        ------
        StorageFull
            The disk is full: nothing was written.
        RealmStopping
            The store has been closed.
        BaseException
            Whatever `work` raised: nothing of it was written.
        """
        return cast(T, await self._writer.write(work, once=once))

    def write_sync(self, work: Callable[[sa.Connection], T], *, once: bool = False) -> T:
        """Do what :meth:`write` does, from a thread that may wait."""
        return cast(T, self._writer.write_sync(work, once=once))

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what `work` finds, in one of the readers' threads; it cannot write."""
        loop = asyncio.get_running_loop()
        try:
            reading = loop.run_in_executor(self._readers, self.read_sync, work)
        except RuntimeError:  # what an executor raises that has been shut down
            raise closing() from None
        return await reading

    def read_sync(self, work: Callable[[sa.Connection], T]) -> T:
        """Do what :meth:`read` does, in the calling thread."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self._reading.connect() as conn, conn.begin():
                    return work(conn)
            except sa.exc.SQLAlchemyError as error:
                if not faults.is_passing(error) or time.monotonic() > until or self._closed:
                    raise faults.explain(error) from error
            time.sleep(AGAIN_SECONDS)

    @property
    def statistics(self) -> Statistics:
        """What the writer has done since the store was opened."""
        return self._writer.statistics

    @property
    def waiting(self) -> int:
        """Works that wait for the writer."""
        return self._writer.waiting

    def is_there(self) -> bool:
        """Tell whether what is written is kept: nobody has deleted or replaced it meanwhile."""
        try:
            return self.database.is_there() and self.blob_dir.is_dir()
        except OSError:
            return True  # the disk gives no answer just now

    def close(self) -> None:
        """Finish the works that were given, then let go of the database. Again: nothing."""
        self._closed = True
        self._readers.shutdown()
        self._reading.dispose()
        # Last, so that SQLite folds its log into the database as this connection closes.
        self._writer.close()
        self.database.release()


def _begin_epoch(engine: sa.Engine, database: Database) -> int:
    """Bring the schema up to date and begin an epoch, in one transaction.

    The older ones end, but for those of processes that share the database and live.
    """
    until = time.monotonic() + OWNED_SECONDS
    try:
        while True:
            try:
                with engine.begin() as conn:
                    migrations.upgrade(conn)
                    return processes.begin(conn, _whoami(), alone=not database.shared)
            except Owned:
                if time.monotonic() > until:
                    raise
                time.sleep(AGAIN_SECONDS)
    except (sa.exc.SQLAlchemyError, Owned) as error:
        if faults.is_disk_full(error) or isinstance(error, Owned):
            raise faults.explain(error) from error
        raise refusal(database.name, error) from error


def _whoami() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"[:255]
