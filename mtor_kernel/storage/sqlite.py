"""SQLite as MTOR runs it: the files, the lock, the connections and what its errors mean.

**One connection writes and checkpoints, and nothing else does.** SQLite from 3.7.0 to 3.51.2 can
corrupt a database in WAL mode when two connections write or checkpoint at the same moment; with a
single one that cannot happen, whatever version the interpreter was built with. Readers are
``query_only``, and are closed before the writer, so that the last to close is the writer.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.pool import QueuePool

from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import StorageFull, Unavailable

#: ``RETURNING`` came with this version.
OLDEST = (3, 35, 0)
#: Connections, and threads, that read beside the writer.
READERS = 4

_PRAGMAS = (
    # The whole database needs no more than this for a lab, and the page cache of the system helps.
    "cache_size = -16000",
    # FULL: a power cut loses no commit that was acknowledged. NORMAL would, in WAL mode.
    "synchronous = FULL",
    "foreign_keys = ON",
    # Without this, INSERT OR REPLACE would slip past the triggers that refuse a DELETE.
    "recursive_triggers = ON",
    "busy_timeout = 10000",
    "temp_store = MEMORY",
    "mmap_size = 0",
    # After a long reader has let the log grow, give the space back.
    "journal_size_limit = 67108864",
)


def path_of(url: str) -> Path:
    """Return the file that a SQLAlchemy URL names.

    Raises
    ------
    Unavailable
        It names another database than SQLite, or none that outlives the process.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or ":" in parsed.database:
        shown = parsed.render_as_string(hide_password=True)
        raise Unavailable(
            f"The store {shown!r} is not a SQLite file: use sqlite:////absolute/path/realm.db."
        )
    return Path(parsed.database).expanduser().absolute()


def prepare(path: Path) -> None:
    """Make the folder (0700) and the empty file (0600) of a database where there are none.

    SQLite gives its log and its shared memory the file's mode.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def claim(path: Path) -> FileLock:
    """Take the database for this process until the lock is released or the process dies.

    Raises
    ------
    Unavailable
        Another realm has it; says which.
    """
    # Not a thread's own: a realm opens in one thread and closes in another.
    lock = FileLock(f"{path}.lock", mode=0o600, blocking=False, thread_local=False)
    holder = Path(f"{path}.holder")
    try:
        lock.acquire()
    except Timeout:
        raise Unavailable(
            f"The database {path} is in use by {_told(holder)}: stop that realm first, or name "
            "another database."
        ) from None
    descriptor = os.open(holder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        file.write(encode(f"process {os.getpid()} on {socket.gethostname()} since {since}"))
    return lock


def _told(holder: Path) -> str:
    try:
        return holder.read_text().strip('"') or "another process"
    except OSError:
        return "another process"


def writer_engine(path: Path) -> sa.Engine:
    """Return the engine of the one connection that writes."""
    engine = _engine(path, 1, ("journal_mode = WAL", *_PRAGMAS))
    # IMMEDIATE: to begin as a reader and turn writer later can fail half-way.
    sa.event.listen(engine, "begin", _saying("BEGIN IMMEDIATE"))
    # In words: of a transaction that is not there any more, the driver's own commit says nothing.
    sa.event.listen(engine, "commit", _saying("COMMIT"))
    return engine


def reader_engine(path: Path) -> sa.Engine:
    """Return the engine of the connections that only read, each from one snapshot."""
    engine = _engine(path, READERS, (*_PRAGMAS, "query_only = ON"))
    sa.event.listen(engine, "begin", _saying("BEGIN"))
    return engine


def _engine(path: Path, size: int, pragmas: tuple[str, ...]) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_reset_on_return="rollback",
        # The pool and the writer's thread take care that no two threads share one at once.
        connect_args={"check_same_thread": False, "cached_statements": 512},
    )

    def connected(connection: sqlite3.Connection, _record: Any) -> None:
        # Python's own idea of when a transaction begins is switched off: see `_saying`.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    sa.event.listen(engine, "connect", connected)
    return engine


def _saying(statement: str) -> Callable[[sa.Connection], None]:
    def say(conn: sa.Connection) -> None:
        conn.exec_driver_sql(statement)

    return say


def is_disk_full(error: BaseException) -> bool:
    """Tell whether SQLite failed because there is no space left."""
    original = getattr(error, "orig", error)
    # No space for the shared memory of the log is reported as a failed read or write of it, and a
    # quota of the file system that is used up as a failed write.
    full = (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
    )
    return getattr(original, "sqlite_errorcode", None) in full


def explain(error: BaseException) -> BaseException:
    """Return what the works of a failed transaction are told of `error`."""
    told = error
    if is_disk_full(error):
        told = StorageFull(
            "The realm's disk is full: nothing was written and nothing charged. Try again "
            "later, or ask the sysop to make space."
        )
    elif isinstance(error, sa.exc.SQLAlchemyError):
        told = Unavailable(
            "The realm's store could not write or read: nothing was charged. Try again, and tell "
            "the sysop if it goes on."
        )
    elif not isinstance(error, Exception):
        told = RuntimeError(f"the transaction ended with {error!r}")
    if told is not error:
        told.__cause__ = error
    return told
