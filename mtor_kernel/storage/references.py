"""Which queries name which blobs. A blob that a query names stays as long as the query does."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.storage.schema import blob, query_blob

_KEPT = sa.select(blob.c.id).where(
    blob.c.person == bindparam("who"), blob.c.id.in_(bindparam("ids", expanding=True))
)
_NAMED = sa.select(query_blob.c.blob).where(query_blob.c.query == bindparam("of"))
_REFER = sa.insert(query_blob)


def refer(
    conn: sa.Connection, query: str, owner: str, blobs: frozenset[str], *, strict: bool = True
) -> None:
    """Note that a query names `blobs`, of those that its owner keeps.

    Raises
    ------
    NotFound
        The owner does not keep one of them (`strict` only; otherwise it is left out).
    """
    kept = set(conn.scalars(_KEPT, {"who": owner, "ids": sorted(blobs)}))
    if strict and kept != blobs:
        missing = min(blobs - kept)
        raise NotFound(f"You have no blob {missing}: upload it first.")
    new = kept - set(conn.scalars(_NAMED, {"of": query}))
    if new:
        conn.execute(_REFER, [{"query": query, "blob": one} for one in sorted(new)])
