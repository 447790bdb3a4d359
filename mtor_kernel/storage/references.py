"""Which queries name which blobs. A blob that a query names stays as long as the query does.

A question names blobs when it is accepted, an attempt as it writes them. When the attempt is over,
those remain that the question or the answer names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.check import check_kept
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import Part, Query
from mtor_kernel.storage.rows import Row
from mtor_kernel.storage.schema import blob, query, query_blob, question

_KEPT = sa.select(blob.c.id, blob.c.mime).where(
    blob.c.person == bindparam("who"), blob.c.id.in_(bindparam("ids", expanding=True))
)
_NAMED = sa.select(query_blob.c.blob).where(query_blob.c.query == bindparam("of"))
_REFER = sa.insert(query_blob)
_FORGET = sa.delete(query_blob).where(
    query_blob.c.query == bindparam("of"),
    query_blob.c.blob.in_(bindparam("ids", expanding=True)),
)
_RUNS = sa.select(query.c.id).where(
    query.c.id == bindparam("of"),
    query.c.stage == Stage.RUNNING,
    query.c.attempt == bindparam("of_attempt"),
    query.c.epoch == bindparam("of_epoch"),
)
_QUESTION = sa.select(question.c.body).where(question.c.query == bindparam("of"))
#: Whether any blob is named, as a column of a statement on `query`: most queries name none.
NAMES_ANY = sa.exists().where(query_blob.c.query == query.c.id).correlate(query).label("names_any")

_query = msgspec.json.Decoder(Query)


def ask_about(conn: sa.Connection, query: str, owner: str, blobs: Mapping[str, type[Part]]) -> None:
    """Note that a question names `blobs`, each as a part of some kind.

    Raises
    ------
    NotFound
        The owner does not keep one of them.
    BadInput
        One of them is of another kind.
    """
    kept = {row.id: row.mime for row in _kept(conn, owner, blobs)}
    for one in sorted(blobs):
        if one not in kept:
            raise NotFound(f"You have no blob {one}: upload it first.")
        check_kept(one, blobs[one], kept[one])
    conn.execute(_REFER, [{"query": query, "blob": one} for one in sorted(kept)])


def answer_with(conn: sa.Connection, query: str, owner: str, blobs: frozenset[str]) -> None:
    """Note that an answer names `blobs`, of those that its owner keeps."""
    kept = {row.id for row in _kept(conn, owner, blobs)}
    new = kept - set(conn.scalars(_NAMED, {"of": query}))
    if new:
        conn.execute(_REFER, [{"query": query, "blob": one} for one in sorted(new)])


def _kept(conn: sa.Connection, owner: str, blobs: Iterable[str]) -> Sequence[Row]:
    return conn.execute(_KEPT, {"who": owner, "ids": sorted(blobs)}).all()


def refer_written(conn: sa.Connection, ref: AttemptRef, blob: str) -> None:
    """Note that the query of a running attempt names a blob, which the attempt has written.

    Raises
    ------
    NotFound
        That attempt does not run.
    """
    told = {"of": ref.query, "of_attempt": ref.attempt, "of_epoch": ref.epoch}
    if conn.execute(_RUNS, told).one_or_none() is None:
        raise not_for_this_attempt()
    if blob not in set(conn.scalars(_NAMED, {"of": ref.query})):
        conn.execute(_REFER, {"query": ref.query, "blob": blob})


def keep_only(conn: sa.Connection, query: str, answer: frozenset[str] = frozenset()) -> None:
    """Have a query name the blobs of its question and of `answer`, and no others any more."""
    named = set(conn.scalars(_NAMED, {"of": query}))
    body = conn.execute(_QUESTION, {"of": query}).scalar_one() if named - answer else None
    spare = named - answer - (_query.decode(body).blobs if body is not None else frozenset())
    if spare:
        conn.execute(_FORGET, {"of": query, "ids": sorted(spare)})


def not_for_this_attempt() -> NotFound:
    """Return the one refusal of whatever an attempt may not read or write."""
    return NotFound("That attempt is not under way here, or its query names no such blob.")
