"""Seals under the ledger: what has been sealed cannot be changed without its showing.

The database refuses to change a transfer, and whoever has the file can take that refusal out. A
seal is a hash over all transfers since the seal before, and over that seal. It costs a query
nothing: seals are set now and then, in one go for many transfers, and never for none.
"""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from sqlalchemy import bindparam, func

from mtor_kernel.protocol.codec import encode
from mtor_kernel.storage.audit import GENESIS
from mtor_kernel.storage.schema import seal, transfer

#: The most transfers under one seal: others wait for the writer meanwhile.
MOST = 2000

_LAST = sa.select(seal.c.id, seal.c.upto, seal.c.hash).order_by(seal.c.id.desc()).limit(1)
_SET = sa.insert(seal)
_ALL = sa.select(seal).order_by(seal.c.id)
_NEWEST = sa.select(func.coalesce(func.max(transfer.c.id), 0))
_BETWEEN = (
    sa.select(transfer)
    .where(transfer.c.id > bindparam("after"), transfer.c.id <= bindparam("upto"))
    .order_by(transfer.c.id)
)
_NEXT = (
    sa.select(transfer.c.id)
    .where(transfer.c.id > bindparam("after"))
    .order_by(transfer.c.id)
    .offset(MOST - 1)
    .limit(1)
)


def set_seal(conn: sa.Connection, now: float) -> bool:
    """Seal the transfers that are not; tell whether some are left for another seal.

    Writing transactions come one after the other, on PostgreSQL too: so a transfer that is added
    later has a higher number than all that are sealed here.
    """
    last = conn.execute(_LAST).one_or_none()
    number, after, before = (0, 0, GENESIS) if last is None else last
    upto = conn.execute(_NEXT, {"after": after}).scalar_one_or_none()
    left = upto is not None
    if upto is None:
        upto = conn.execute(_NEWEST).scalar_one()
    if upto <= after:
        return False
    row = {"id": number + 1, "upto": upto, "at": now, "hash": _hash(conn, after, upto, before)}
    conn.execute(_SET, row)
    return left


def verify(conn: sa.Connection) -> list[str]:
    """Return which seals are broken, a sentence each; empty where none is. Reads every transfer."""
    problems = []
    before, after, expected = GENESIS, 0, 1
    for row in conn.execute(_ALL).all():
        if row.id != expected:
            problems.append(f"seal {expected} is missing")
        if row.hash != _hash(conn, after, row.upto, before):
            problems.append(
                f"transfers {after + 1} to {row.upto} are not those that were sealed, or the seal "
                "before theirs is not"
            )
        before, after, expected = row.hash, row.upto, row.id + 1
    return problems


def _hash(conn: sa.Connection, after: int, upto: int, before: str) -> str:
    told = hashlib.sha256(before.encode())
    for row in conn.execute(_BETWEEN, {"after": after, "upto": upto}):
        told.update(encode(list(row)))
    return told.hexdigest()
