"""What the errors of a database mean, whichever database it is."""

from __future__ import annotations

import sqlite3
from typing import Any, cast

import sqlalchemy as sa

from mtor_kernel.protocol.errors import RealmError, RealmStopping, StorageFull, Unavailable
from mtor_kernel.storage.database import Ended, Owned

#: No space for the shared memory of the log is reported as a failed read or write of it, and a
#: quota of the file system that is used up as a failed write.
_SQLITE_FULL = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
)
_POSTGRES_FULL = "53100"
#: What PostgreSQL says when it ends a session, cannot take one just now, or gave way to another
#: transaction: classes of codes and single ones.
_PASSING = (
    "08",  # the connection failed
    "57P",  # it is stopping, has crashed, or is starting
    "25P03",  # the session was idle in its transaction for too long
    "53300",  # too many connections
    "55P03",  # a lock was not to be had in time
    "40",  # rolled back for another transaction's sake
)
_NO_CODE = object()


def is_disk_full(error: BaseException) -> bool:
    """Tell whether the database failed because there is no space left."""
    original = getattr(error, "orig", error)
    if getattr(original, "sqlite_errorcode", None) in _SQLITE_FULL:
        return True
    return getattr(original, "sqlstate", None) == _POSTGRES_FULL


def is_passing(error: BaseException) -> bool:
    """Tell whether the connection or the transaction was lost, and a new one may succeed."""
    original = getattr(error, "orig", error)
    code = getattr(original, "sqlstate", _NO_CODE)
    if code is None:
        # The driver's own: nothing came from the server, or nothing more.
        return type(original).__name__ in ("OperationalError", "InterfaceError")
    return isinstance(code, str) and code.startswith(_PASSING)


def explain(error: BaseException) -> BaseException:
    """Return what the works of a failed transaction are told of `error`."""
    told = error
    if isinstance(error, RealmError):
        return error
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
    elif isinstance(error, Owned):
        told = Unavailable(str(error))
    elif isinstance(error, Ended):
        told = RealmStopping(
            "Another process has taken over what this one had of the database: start this realm "
            "again."
        )
    elif not isinstance(error, Exception):
        told = RuntimeError(f"the transaction ended with {error!r}")
    if told is not error:
        told.__cause__ = error
    return told


def as_sqlalchemys(error: Any, text: str, dialect: sa.Dialect) -> Exception:
    """Return the error that SQLAlchemy makes of a driver's; values are not shown in it."""
    hush(error)
    return cast(
        Exception,
        sa.exc.DBAPIError.instance(
            text, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
        ),
    )


def hush(error: Any) -> None:
    """Take out of a driver's error what the server said of rows: there are people's words in it."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if primary:
        error.args = (primary,)
