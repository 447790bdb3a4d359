"""The processes that have the store: each opening is an epoch, and each epoch one process.

Where several share the store, each says now and then that it lives, by the database's clock. One
that has not said so for :data:`LEASE_SECONDS` is ended by whoever notices: from then on it writes
nothing, and what it ran is back on the line.
"""

from __future__ import annotations

import hashlib
import time

import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.storage import queries
from mtor_kernel.storage.schema import epoch

#: How long a process that shares the store may be silent.
LEASE_SECONDS = 15.0

_BEGIN = (
    sa.insert(epoch)
    .values(opened_at=bindparam("now"), name=bindparam("who"), written=0, beat_at=bindparam("beat"))
    .returning(epoch.c.number)
)
_OPEN = epoch.c.ended_at.is_(None)
_END_ALL = sa.update(epoch).where(_OPEN).values(ended_at=bindparam("now"))
_END = sa.update(epoch).where(_OPEN, epoch.c.number == bindparam("of")).values(
    ended_at=bindparam("now")
)  # fmt: skip
_END_SILENT = (
    sa.update(epoch)
    .where(_OPEN, sa.or_(epoch.c.beat_at.is_(None), epoch.c.beat_at < bindparam("then")))
    .values(ended_at=bindparam("now"))
    .returning(epoch.c.number)
)
_BEAT = sa.update(epoch).where(epoch.c.number == bindparam("of")).values(beat_at=bindparam("now"))
_FIRST = sa.select(epoch.c.number, epoch.c.opened_at).order_by(epoch.c.number).limit(1)
_LIVING = sa.select(epoch.c.number).where(_OPEN).order_by(epoch.c.number)


def begin(conn: sa.Connection, who: str, *, alone: bool) -> int:
    """Begin an epoch for this process and return its number; `alone`: all others end."""
    now = _clock(conn)
    if alone:
        conn.execute(_END_ALL, {"now": now})
    else:
        conn.execute(_END_SILENT, {"now": now, "then": now - LEASE_SECONDS})
    return int(conn.execute(_BEGIN, {"now": now, "who": who, "beat": now}).scalar_one())


def beat(conn: sa.Connection, mine: int) -> tuple[list[int], list[int]]:
    """Say that this process lives; return the epochs that live, and those that it found dead.

    What the dead ones ran is on the line again when this is committed.
    """
    now = _clock(conn)
    conn.execute(_BEAT, {"of": mine, "now": now})
    dead = list(conn.scalars(_END_SILENT, {"now": now, "then": now - LEASE_SECONDS}))
    if dead:
        queries.put_back(conn)
    return list(conn.scalars(_LIVING)), dead


def end(conn: sa.Connection, mine: int) -> None:
    """End the epoch of this process: what it ran is on the line again, for the others."""
    conn.execute(_END, {"of": mine, "now": _clock(conn)})
    queries.put_back(conn)


def realm_name(conn: sa.Connection) -> str:
    """Return a name that this database has for all its processes, and no other one has."""
    first = conn.execute(_FIRST).one()
    return hashlib.blake2b(repr(tuple(first)).encode(), digest_size=8).hexdigest()


def _clock(conn: sa.Connection) -> float:
    """Return the time as every process of this database sees it."""
    if conn.dialect.name != "postgresql":
        return time.time()
    said = "SELECT extract(epoch FROM clock_timestamp())::float8"
    return float(conn.exec_driver_sql(said).scalar_one())
