"""The store: one database, one writer, a few readers, and the folder of blobs beside it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

import sqlalchemy as sa
from filelock import FileLock

from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.storage import migrations, schema, sqlite
from mtor_kernel.storage.writer import Statistics, Writer, closing

T = TypeVar("T")


class Store:
    """What the realm remembers.

    * What :meth:`write` has returned survives a crash and a power cut.
    * A work that raises, and a transaction that fails, leave nothing behind.
    * One process has the database at a time; each opening has a greater :attr:`epoch`.
    * A read sees one consistent state, and everything that was written before it began.
    """

    def __init__(self, path: Path, blob_dir: Path, engine: sa.Engine, lock: FileLock) -> None:
        self.path = path
        self.blob_dir = blob_dir
        #: Counts the openings of this database, from 1.
        self.epoch = _begin_epoch(engine, path)
        self._lock = lock
        self._writer = Writer(engine)
        self._reading = sqlite.reader_engine(path)
        self._readers = ThreadPoolExecutor(sqlite.READERS, thread_name_prefix="mtor-reader")

    @classmethod
    def open(cls, url: str, blob_dir: Path) -> Store:
        """Open the database that `url` names, made and brought up to date where needed. Blocks.

        Raises
        ------
        Unavailable
            Another process has it, a newer MTOR wrote it, or it is no database of ours.
        """
        if sqlite3.sqlite_version_info < sqlite.OLDEST:
            raise Unavailable(
                f"This Python has SQLite {sqlite3.sqlite_version}; MTOR needs "
                f"{'.'.join(map(str, sqlite.OLDEST))} or newer: use a newer Python."
            )
        path = sqlite.path_of(url)
        sqlite.prepare(path)
        blob_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = sqlite.claim(path)
        engine = sqlite.writer_engine(path)
        try:
            return cls(path, blob_dir, engine, lock)
        except BaseException:
            engine.dispose()
            lock.release()
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
        try:
            with self._reading.connect() as conn, conn.begin():
                return work(conn)
        except sa.exc.SQLAlchemyError as error:
            raise sqlite.explain(error) from error

    @property
    def statistics(self) -> Statistics:
        """What the writer has done since the store was opened."""
        return self._writer.statistics

    @property
    def waiting(self) -> int:
        """Works that wait for the writer."""
        return self._writer.waiting

    def close(self) -> None:
        """Finish the works that were given, then let go of the files. Again: nothing."""
        self._readers.shutdown()
        self._reading.dispose()
        # Last, so that SQLite folds its log into the database as this connection closes.
        self._writer.close()
        self._lock.release()


def _begin_epoch(engine: sa.Engine, path: Path) -> int:
    began = sa.insert(schema.epoch).values(opened_at=time.time()).returning(schema.epoch.c.number)
    try:
        with engine.begin() as conn:
            migrations.upgrade(conn)
            return int(conn.execute(began).scalar_one())
    except sa.exc.DatabaseError as error:
        if sqlite.is_disk_full(error):
            raise sqlite.explain(error) from error
        raise Unavailable(
            f"The database {path} cannot be used ({error.orig}): bring back a copy of it, or name "
            "another database."
        ) from error
