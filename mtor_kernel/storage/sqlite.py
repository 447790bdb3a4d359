"""SQLite as MTOR runs it: the files, the lock and the connections.

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
from mtor_kernel.protocol.errors import Unavailable

#: ``RETURNING`` came with this version.
OLDEST = (3, 35, 0)
#: Connections, and threads, that read beside the writer.
READERS = 4

#: How SQLite tells ``synchronous = FULL``.
_FULL = 2
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


class SqliteFile:
    """A database in a file, which one process has at a time. See :class:`Database`."""

    readers = READERS
    shared = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._lock = FileLock(
            # Not a thread's own: a realm opens in one thread and closes in another.
            f"{path}.lock",
            mode=0o600,
            blocking=False,
            thread_local=False,
        )
        self._holder = Path(f"{path}.holder")
        #: Device and number of the file that was claimed.
        self._mark: tuple[int, int] | None = None

    @classmethod
    def of(cls, url: sa.URL) -> SqliteFile:
        """Return the file that a URL names; :class:`Unavailable` where it names none."""
        if not url.database or ":" in url.database:
            raise Unavailable(
                f"The store {url.render_as_string()!r} is not a SQLite file: use "
                "sqlite:////absolute/path/realm.db."
            )
        return cls(Path(url.database).expanduser().absolute())

    def claim(self) -> None:
        """Take the database until it is released or the process dies, made where it is not there.

        Raises
        ------
        Unavailable
            Another realm has it; says which. Or this Python's SQLite is too old.
        """
        if sqlite3.sqlite_version_info < OLDEST:
            raise Unavailable(
                f"This Python has SQLite {sqlite3.sqlite_version}; MTOR needs "
                f"{'.'.join(map(str, OLDEST))} or newer: use a newer Python."
            )
        _prepare(self.path)
        try:
            self._lock.acquire()
        except Timeout:
            raise Unavailable(
                f"The database {self.path} is in use by {self._told()}: stop that realm first, or "
                "name another database."
            ) from None
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(self._holder, flags, 0o600), "wb") as file:
            since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
            file.write(encode(f"process {os.getpid()} on {socket.gethostname()} since {since}"))
        self._mark = _mark(self.path)

    def is_there(self) -> bool:
        """Tell whether the file is the one that was claimed.

        Of one that was deleted SQLite says nothing: it goes on writing to what has no name.
        """
        return self._mark is not None and _mark(self.path) == self._mark

    def release(self) -> None:
        """Let go of the lock."""
        self._lock.release()

    def _told(self) -> str:
        try:
            return self._holder.read_text().strip('"') or "another process"
        except OSError:
            return "another process"

    def writer(self) -> sa.Engine:
        """Return the engine of the one connection that writes."""
        engine = _engine(self.path, 1, ("journal_mode = WAL", *_PRAGMAS))
        # IMMEDIATE: to begin as a reader and turn writer later can fail half-way.
        sa.event.listen(engine, "begin", _saying("BEGIN IMMEDIATE"))
        # In words: of a transaction that is not there any more, the driver's own commit says
        # nothing.
        sa.event.listen(engine, "commit", _saying("COMMIT"))
        return engine

    def reader(self) -> sa.Engine:
        """Return the engine of the connections that only read, each from one snapshot."""
        engine = _engine(self.path, READERS, (*_PRAGMAS, "query_only = ON"))
        sa.event.listen(engine, "begin", _saying("BEGIN"))
        return engine

    def opened(self, epoch: int) -> None:
        """Nothing: no two processes write to one file."""

    def number(self, conn: sa.Connection) -> int:
        """Return 0: SQLite's commit has always happened or not, since it is this process's own."""
        return 0


def durable() -> bool:
    """Tell whether this SQLite gives a realm's connections a sync for each commit, as they ask."""
    connection = sqlite3.connect(":memory:")
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return bool(connection.execute("PRAGMA synchronous").fetchone()[0] == _FULL)
    finally:
        connection.close()


def _prepare(path: Path) -> None:
    """Make the folder (0700) and the empty file (0600) of a database where there are none.

    SQLite gives its log and its shared memory the file's mode.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


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


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
