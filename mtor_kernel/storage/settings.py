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


def admission(conn: sa.Connection) -> Admission:
    """Return whether a sysop has paused admission."""
    found = conn.execute(_GET, {"of": "admission"}).scalar_one_or_none()
    return Admission() if found is None else msgspec.json.decode(found, type=Admission)


def set_admission(conn: sa.Connection, to: Admission) -> None:
    """Keep whether admission is paused."""
    told = {"of": "admission", "to": encode(to).decode()}
    if conn.execute(_UPDATE, told).rowcount == 0:
        conn.execute(_INSERT, told)
