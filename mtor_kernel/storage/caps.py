"""How many queries may be under way, and run of one person, where several gateways start them.

Each counts its own as it goes; only the store sees all of them, and takes one transaction after the
other. So it has the last word, in the transaction that begins the attempts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy import bindparam, func

from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.storage.schema import query

_RUNNING = (
    sa.select(query.c.person, func.count().label("running"))
    .where(
        query.c.ended_at.is_(None),
        query.c.stage == Stage.RUNNING,
        query.c.person.in_(bindparam("people", expanding=True)),
    )
    .group_by(query.c.person)
)


_OPEN = sa.select(func.count()).select_from(query).where(query.c.ended_at.is_(None))


def under_way(conn: sa.Connection) -> int:
    """Return how many queries wait or run, with whichever gateway."""
    return int(conn.execute(_OPEN).scalar_one())


def within(
    conn: sa.Connection, wanted: Iterable[tuple[str, str]], caps: Mapping[str, int]
) -> list[str]:
    """Return those of the `wanted` (query, person) that may begin, in order.

    Of each person in `caps`, no more than that run with them; the others have no cap.
    """
    running: Counter[str] = Counter()
    if caps:
        for row in conn.execute(_RUNNING, {"people": list(caps)}):
            running[row.person] = row.running
    may = []
    for query_id, person in wanted:
        cap = caps.get(person)
        if cap is None or running[person] < cap:
            running[person] += 1
            may.append(query_id)
    return may
