"""PostgreSQL as MTOR runs it: the URL, the settings, the locks and the connections.

**Writers come one after the other**, as they do in SQLite: every transaction that writes begins by
taking one lock of the database, so that no two can stand in each other's way and what one reads is
not changed by another before it writes. A commit carries many works, which pays for the wait.

Each of them also counts in its epoch's row. Where the answer to a COMMIT was lost, the next count
tells whether it has happened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.storage import faults
from mtor_kernel.storage.database import Ended, Owned

log = logging.getLogger(__name__)

#: The oldest that is tested or used by anybody here.
OLDEST = 13
#: Connections, and threads, that read beside the writer.
READERS = 4
#: The first half of the keys of MTOR's advisory locks: "MTOR". The second is of the schema.
LOCKS = 0x4D544F52

#: A connection whose other end is silent is given up within about half a minute, by either side.
_CONNECT = {
    "autocommit": True,  # MTOR says itself where a transaction begins
    "application_name": "mtor",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_SETTINGS = (
    "SET timezone = 'UTC'",
    # Nobody waits for ever behind a process that was frozen in the middle of a transaction.
    "SET idle_in_transaction_session_timeout = '10s'",
    "SET lock_timeout = '15s'",
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    # What is acknowledged is on the disk. More than `on`, where a server has it, stays.
    (
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    ),
)
_OWNER = "hashtext('owner of ' || current_schema())"
_TAKE = f"SELECT pg_try_advisory_lock({LOCKS}, {_OWNER})"
_TAKE_PART = f"SELECT pg_try_advisory_lock_shared({LOCKS}, {_OWNER})"
_HOLDER = f"""
    SELECT coalesce(max(session.client_addr::text), 'this machine') FROM pg_locks AS lock
    JOIN pg_stat_activity AS session ON session.pid = lock.pid
    WHERE lock.locktype = 'advisory' AND lock.granted
    AND lock.classid = {LOCKS} AND lock.objid = ({_OWNER})::oid
"""  # noqa: S608 - of constants
_BEGIN = f"""
    BEGIN;
    SELECT pg_advisory_xact_lock({LOCKS}, hashtext('writer of ' || current_schema()))
"""
_COUNT = """;
    UPDATE epoch SET written = written + 1 WHERE number = {epoch:d} RETURNING written, ended_at
"""
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_NUMBER = "mtor_number"


class Postgres:
    """A database on a PostgreSQL server. See :class:`Database`.

    The password is libpq's business: from ``~/.pgpass``, the file that ``PGPASSFILE`` names, or
    ``PGPASSWORD``; one in the URL works too.
    """

    readers = READERS

    def __init__(self, url: sa.URL) -> None:
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise Unavailable(
                f"PostgreSQL's driver cannot be used ({error}): pip install "
                "'mtor-kernel[postgres]'."
            ) from None
        if not url.database:
            raise Unavailable("The store's URL names no database: postgresql://user@host/database.")
        self._url = url.set(drivername="postgresql+psycopg")
        shown = url.set(drivername="postgresql", query={}, password=None)
        self.name = shown.render_as_string()
        self._epoch: int | None = None
        self.shared = False

    def claim(self) -> None:
        """Nothing yet: the writer's connection takes the lock, and has it as long as it stands."""

    def is_there(self) -> bool:
        """Return true: a server that is away comes back with what it had."""
        return True

    def release(self) -> None:
        """Nothing more: the lock went with the connection."""

    def writer(self) -> sa.Engine:
        """Return the engine of the one connection that writes."""
        engine = self._engine(1)
        sa.event.listen(engine, "connect", self._own)
        sa.event.listen(engine, "begin", self._begin)
        sa.event.listen(engine, "commit", _commit)
        return engine

    def reader(self) -> sa.Engine:
        """Return the engine of the connections that only read, each from one snapshot."""
        engine = self._engine(READERS)
        sa.event.listen(engine, "begin", _saying(_BEGIN_READING))
        return engine

    def opened(self, epoch: int) -> None:
        """Have the writer's transactions count in the row of this epoch, and end where it has."""
        self._epoch = epoch

    def number(self, conn: sa.Connection) -> int:
        """Return the count of the transaction under way."""
        return int(conn.info[_NUMBER])

    def _engine(self, size: int) -> sa.Engine:
        engine = sa.create_engine(
            self._url,
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            pool_reset_on_return="rollback",
            use_native_hstore=False,
            hide_parameters=True,
            connect_args={k: v for k, v in _CONNECT.items() if k not in self._url.query},
        )
        sa.event.listen(engine, "connect", _settle_in)
        sa.event.listen(engine, "handle_error", _hushed)
        return engine

    def _own(self, connection: Any, _record: Any) -> None:
        """Take the lock of who has the database, alone or with others, for as long as it stands."""
        if connection.execute(_TAKE_PART if self.shared else _TAKE).fetchone()[0]:
            return
        where = connection.execute(_HOLDER).fetchone()[0]
        connection.close()
        raise Owned(
            f"The database {self.name} is in use by another realm, connected from {where}: stop "
            "that one first, or name another database."
        )

    def _begin(self, conn: sa.Connection) -> None:
        said = _BEGIN
        if self._epoch is not None:
            said += _COUNT.format(epoch=self._epoch)
        row = _say(conn, said).fetchone()
        if self._epoch is None:
            return
        number, ended_at = row if row is not None else (0, 0.0)
        conn.info[_NUMBER] = number
        if ended_at is not None:
            raise Ended(number)


def _settle_in(connection: Any, _record: Any) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST:
        connection.close()
        raise Unavailable(f"PostgreSQL {version} is too old: MTOR needs {OLDEST} or newer.")
    connection.adapters.register_dumper(str, _text_dumper())
    connection.execute("; ".join(_SETTINGS), prepare=False)


@cache
def _text_dumper() -> type[Any]:
    from psycopg.types.string import StrDumperUnknown

    class TextDumper(StrDumperUnknown):
        """PostgreSQL keeps no NUL in a text. Questions and answers are bytes, and whole."""

        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    return TextDumper


def _hushed(context: Any) -> Exception | None:
    if not isinstance(context.sqlalchemy_exception, sa.exc.DBAPIError):
        return None
    return faults.as_sqlalchemys(
        context.original_exception, context.statement or "", context.dialect
    )


def _say(conn: sa.Connection, said: str) -> Any:
    """Have the server carry out some statements; return the driver's cursor, at the last result."""
    cursor = conn.connection.cursor()
    try:
        cursor.execute(said, prepare=False)  # type: ignore[call-arg]  # psycopg's own
        while cursor.nextset():
            pass
    except conn.dialect.loaded_dbapi.Error as error:
        raise faults.as_sqlalchemys(error, said, conn.dialect) from error
    return cursor


def _saying(said: str) -> Callable[[sa.Connection], None]:
    def say(conn: sa.Connection) -> None:
        _say(conn, said).close()

    return say


def _commit(conn: sa.Connection) -> None:
    if conn.connection.dbapi_connection.info.transaction_status.name != "INTRANS":  # type: ignore[union-attr]
        # The server would say COMMIT to a transaction that has failed, and undo it, and to none.
        raise sa.exc.InvalidRequestError("a work has ended the transaction, or went on in vain")
    _say(conn, "COMMIT").close()
