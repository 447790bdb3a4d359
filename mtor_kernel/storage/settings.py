"""What a sysop has set and a restart does not change."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.codec import encode
from mtor_kernel.storage.schema import setting

T = TypeVar("T")

_GET = sa.select(setting.c.value).where(setting.c.name == bindparam("of"))
_UPDATE = sa.update(setting).where(setting.c.name == bindparam("of")).values(value=bindparam("to"))
_INSERT = sa.insert(setting).values(name=bindparam("of"), value=bindparam("to"))


class Admission(msgspec.Struct, frozen=True):
    """Whether queries are taken, as a sysop wants it."""

    paused: bool = False
    reason: str = ""


class Aside(msgspec.Struct, frozen=True):
    """The names of workers, linked or not, that a sysop has set aside until they may resume."""

    #: They take nothing new.
    drained: frozenset[str] = frozenset()
    #: They take nothing new, and go when they have nothing to do.
    removed: frozenset[str] = frozenset()

    @property
    def both(self) -> frozenset[str]:
        """Those that take nothing new."""
        return self.drained | self.removed


def admission(conn: sa.Connection) -> Admission:
    """Return whether a sysop has paused admission."""
    return _get(conn, "admission", Admission())


def set_admission(conn: sa.Connection, to: Admission) -> None:
    """Keep whether admission is paused."""
    _set(conn, "admission", to)


def aside(conn: sa.Connection) -> Aside:
    """Return which workers a sysop has set aside."""
    return Aside(_get(conn, "drained", frozenset()), _get(conn, "removed", frozenset()))


def drain(conn: sa.Connection, worker: str) -> None:
    """Keep that a worker shall take nothing new."""
    _set(conn, "drained", sorted(aside(conn).drained | {worker}))


def remove(conn: sa.Connection, worker: str) -> None:
    """Keep that a worker shall be away."""
    _set(conn, "removed", sorted(aside(conn).removed | {worker}))


def resume(conn: sa.Connection, worker: str) -> None:
    """Keep that a worker may take work again."""
    now = aside(conn)
    _set(conn, "drained", sorted(now.drained - {worker}))
    _set(conn, "removed", sorted(now.removed - {worker}))


def blob_mark(conn: sa.Connection) -> str:
    """Return the mark of the folder that this database's blobs are in; empty: none is known."""
    return _get(conn, "blob_mark", "")


def set_blob_mark(conn: sa.Connection, mark: str) -> None:
    """Keep it."""
    _set(conn, "blob_mark", mark)


def _get(conn: sa.Connection, name: str, otherwise: T) -> T:
    found = conn.execute(_GET, {"of": name}).scalar_one_or_none()
    return otherwise if found is None else msgspec.json.decode(found, type=type(otherwise))


def _set(conn: sa.Connection, name: str, to: object) -> None:
    told = {"of": name, "to": encode(to).decode()}
    if conn.execute(_UPDATE, told).rowcount == 0:
        conn.execute(_INSERT, told)
