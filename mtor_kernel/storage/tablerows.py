"""Rows of tables: each is asked once under its key, in whichever query it comes.

A key is taken with the query that asks for its row, in one transaction, and is free again when that
query has ended without an answer to the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Integer, String, bindparam

from mtor_kernel.protocol.errors import RowsKnown
from mtor_kernel.protocol.query import Answer, Query, answered
from mtor_kernel.storage.prepared import Prepared
from mtor_kernel.storage.schema import question, table_row
from mtor_kernel.storage.several import Columns, Several

_query = msgspec.json.Decoder(Query)
_NONE = Answer()

_KEYS: Columns = {"key": String(128)}
_ROWS: Columns = {**_KEYS, "row": Integer()}
_WHO = bindparam("who", type_=String(255))
_OF = bindparam("of", type_=String(32))
_KNOWN = Several(
    _KEYS,
    lambda given: (
        sa.select(table_row.c.key, table_row.c.query, table_row.c.row)
        .select_from(given)
        .join(table_row, table_row.c.key == given.c.key)
        .where(table_row.c.person == _WHO)
    ),
)
_TAKE = Several(
    _ROWS,
    lambda given: sa.insert(table_row).from_select(
        ["key", "row", "person", "query"],
        sa.select(*given.c, _WHO, _OF).where(given.c.key.is_not(None)),
    ),
)
_QUESTION = Prepared(sa.select(question.c.body).where(question.c.query == bindparam("of")))
_LET_GO = Several(
    _KEYS,
    lambda given: sa.delete(table_row).where(
        table_row.c.person == _WHO,
        table_row.c.key.in_(sa.select(given.c.key)),
        table_row.c.query == _OF,
    ),
)


def check_unknown(conn: sa.Connection, user: str, keys: Sequence[str]) -> None:
    """Raise :class:`RowsKnown` where a person has asked for one of these rows already."""
    found = {row.key: row for row in _KNOWN.run(conn, [(key,) for key in keys], {"who": user})}
    if found:
        details: dict[str, Any] = {
            str(at): f"{found[key].query}:{found[key].row}"
            for at, key in enumerate(keys)
            if key in found
        }
        raise RowsKnown(
            f"You have asked for {len(details)} of these {len(keys)} rows already: see the details "
            "for the queries that did, and send the rest.",
            **details,
        )


def take(conn: sa.Connection, user: str, id: str, keys: Sequence[str]) -> None:
    """Have a query that is written down stand for its rows, of which nobody has asked for any."""
    _TAKE.run(conn, [(key, row) for row, key in enumerate(keys)], {"who": user, "of": id})


def let_go(conn: sa.Connection, user: str, id: str, count: int, answer: Answer = _NONE) -> None:
    """Have those of the `count` rows of an ended query be free that `answer` leaves open."""
    left = set(range(count)) - answered(answer.parts)
    if left:
        (body,) = _QUESTION.rows(conn, {"of": id})[0]
        rows = _query.decode(body).rows
        _LET_GO.run(conn, [(rows[at].key,) for at in left], {"who": user, "of": id})
