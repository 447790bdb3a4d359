"""What the store asks of a database: connections that write, connections that read, one owner."""

from __future__ import annotations

from typing import Protocol

import sqlalchemy as sa

from mtor_kernel.protocol.errors import Unavailable


class Owned(Exception):
    """Another process has the database; the words say which. It may be what is left of this one."""

    #: A database's code for a lock that is not to be had just now: another try may succeed.
    sqlstate = "55P03"


class Ended(Exception):
    """The epoch of this process was ended by another one: it writes nothing any more."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        #: As :meth:`Database.number`, of the transaction that found out.
        self.number = number


class Database(Protocol):
    """One database, claimed for this process by :meth:`claim`."""

    #: How messages call it. It holds no password.
    name: str
    #: Connections, and threads, that read beside the writer.
    readers: int
    #: Whether other processes that share it too may have it at the same time.
    shared: bool

    def claim(self) -> None:
        """Take it for this process; raise :class:`Unavailable` where another one has it."""

    def release(self) -> None:
        """Let go of it."""

    def is_there(self) -> bool:
        """Tell whether what was claimed can still be found by who looks for it."""

    def writer(self) -> sa.Engine:
        """Return the engine of the one connection that writes.

        Its transactions come one after the other, whoever else writes to the same database.
        """

    def reader(self) -> sa.Engine:
        """Return the engine of the connections that only read, each from one snapshot."""

    def opened(self, epoch: int) -> None:
        """Have the writer's transactions be those of this epoch from now on."""

    def number(self, conn: sa.Connection) -> int:
        """Return the number of the writer's transaction under way.

        It is greater by one than that of the last one which was committed. So whether a commit has
        happened whose answer was lost can be looked up.
        """


def database_of(url: str, *, shared: bool = False) -> Database:
    """Return the database that a SQLAlchemy URL names.

    Raises
    ------
    Unavailable
        It names none that MTOR knows, none that outlives the process, or none that can be shared.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # It is not shown: there may be a password in what was meant for a URL.
        raise Unavailable(
            "The store's URL cannot be read: use sqlite:////absolute/path/realm.db or "
            "postgresql://user@host/database."
        ) from None
    kind = parsed.get_backend_name()
    if kind == "postgresql":
        from mtor_kernel.storage.postgres import Postgres

        database = Postgres(parsed)
        database.shared = shared
        return database
    if shared:
        raise Unavailable(
            "Several gateways share a store in PostgreSQL only: name one by "
            "postgresql://user@host/database."
        )
    if kind == "sqlite":
        from mtor_kernel.storage.sqlite import SqliteFile

        return SqliteFile.of(parsed)
    raise Unavailable(
        f"MTOR does not keep its store in {kind}: use sqlite:////absolute/path/realm.db or "
        "postgresql://user@host/database."
    )
