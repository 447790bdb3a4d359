"""The life of a query between its acceptance and its end: one function a step, each a transaction.

:mod:`~mtor_kernel.storage.acceptance` begins it, :mod:`~mtor_kernel.storage.endings` ends it. Every
step holds its condition in the statement itself, so that two processes cannot take it twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.lifecycle import Stage, step
from mtor_kernel.protocol.query import Modality, Priority
from mtor_kernel.storage.prepared import Prepared
from mtor_kernel.storage.references import NAMES_ANY, keep_only
from mtor_kernel.storage.rows import Dispatched, Row, UnderWay, WaitingRow
from mtor_kernel.storage.schema import epoch as epoch_table
from mtor_kernel.storage.schema import query, question
from mtor_kernel.storage.several import Columns, Several


def into(finish: Stage, *starts: Stage) -> sa.Update:
    """Return the statement that takes queries from any of `starts` to `finish`."""
    from_ = [start for start in starts if step(start, finish)]
    # Not `in_`, whose list would be written into the text anew each time.
    return (
        sa.update(query)
        .where(sa.or_(*(query.c.stage == start for start in from_)))
        .values(stage=finish)
    )


_ID: Columns = {"id": sa.String(32)}
_DISPATCH = Several(
    _ID,
    lambda given: (
        into(Stage.RUNNING, Stage.QUEUED)
        .where(query.c.id == given.c.id)
        .values(
            attempt=query.c.attempt + 1,
            epoch=bindparam("in_epoch", type_=sa.BigInteger),
            started_at=bindparam("now", type_=sa.Double),
        )
        .returning(
            query.c.id,
            query.c.attempt,
            sa.select(question.c.body)
            .where(question.c.query == query.c.id)
            .scalar_subquery()
            .label("body"),
        )
    ),
)
_BACK = (
    into(Stage.QUEUED, Stage.RUNNING)
    .values(epoch=None, started_at=None)
    .returning(query.c.id, NAMES_ANY)
)
_REQUEUE = Prepared(
    _BACK.where(
        query.c.id == bindparam("of"),
        query.c.attempt == bindparam("of_attempt"),
        query.c.epoch == bindparam("of_epoch"),
    )
)
_MOVE = (
    sa.update(query)
    .where(query.c.id == bindparam("of"), query.c.stage == Stage.QUEUED)
    .values(model=bindparam("to"), modality=bindparam("as_modality"))
)
_BODY = sa.select(question.c.body).where(question.c.query == bindparam("of"))
#: What ran in the epochs that have ended.
_RECLAIM = _BACK.where(
    query.c.ended_at.is_(None),
    query.c.epoch.in_(sa.select(epoch_table.c.number).where(epoch_table.c.ended_at.is_not(None))),
)
#: Of every query under way: where it is, and whether somebody wants it to stop.
_UNDER_WAY = sa.select(
    query.c.id, query.c.model, query.c.stage, query.c.attempt, query.c.epoch,
    query.c.stop_at.is_not(None).label("to_stop"), query.c.person,
).where(query.c.ended_at.is_(None))  # fmt: skip
_STOP = (
    sa.update(query)
    .where(query.c.id == bindparam("of"), query.c.ended_at.is_(None))
    .values(stop_at=bindparam("now"))
)
#: By the ledger's number: the order in which they were accepted, whatever the clock did.
_WAITING = (
    sa.select(
        query.c.id, query.c.person, query.c.asked, query.c.model, query.c.modality,
        query.c.priority, query.c.tokens, query.c.created_at, query.c.expires_at, query.c.attempt,
        query.c.hold_id, query.c.hold_micro,
    )
    .where(query.c.ended_at.is_(None), query.c.stage == Stage.QUEUED)
    .order_by(query.c.hold_id)
)  # fmt: skip


def dispatch(conn: sa.Connection, ids: Iterable[str], epoch: int, now: float) -> list[Dispatched]:
    """Begin the next attempt of each query that is still queued; the others are left out."""
    wanted = list(ids)
    told = {"in_epoch": epoch, "now": now}
    rows = _DISPATCH.run(conn, [(one,) for one in wanted], told)
    begun = {row.id: Dispatched(row.id, row.attempt, row.body) for row in rows}
    return [begun[query] for query in wanted if query in begun]


def requeue(conn: sa.Connection, id: str, attempt: int, epoch: int, now: float) -> bool:
    """Put a query whose attempt is over back on the line; false where that attempt does not run."""
    told = {"of": id, "of_attempt": attempt, "of_epoch": epoch}
    return bool(_forget_written(conn, _REQUEUE.rows(conn, told)))


def move(conn: sa.Connection, id: str, model: str, modality: Modality) -> bool:
    """Have a waiting query wait for another model; false where it does not wait."""
    told = {"of": id, "to": model, "as_modality": modality}
    return conn.execute(_MOVE, told).rowcount == 1


def question_of(conn: sa.Connection, id: str) -> bytes:
    """Return the encoded query that was asked."""
    body: bytes = conn.execute(_BODY, {"of": id}).scalar_one()
    return body


def reclaim(conn: sa.Connection) -> list[WaitingRow]:
    """Put what ran in epochs that have ended back on the line; return the whole line.

    Oldest first.
    """
    put_back(conn)
    return line(conn)


def put_back(conn: sa.Connection) -> None:
    """Put what ran in epochs that have ended back on the line."""
    _forget_written(conn, conn.execute(_RECLAIM).all())


def line(conn: sa.Connection, only: Iterable[str] | None = None) -> list[WaitingRow]:
    """Return the queries that wait, or those of them that are named, oldest first."""
    if only is None:
        return [_waiting(row) for row in conn.execute(_WAITING)]
    named = _WAITING.where(query.c.id.in_(bindparam("ids", expanding=True)))
    return [_waiting(row) for row in conn.execute(named, {"ids": list(only)})]


def under_way(conn: sa.Connection) -> list[UnderWay]:
    """Return where every query stands that has not ended."""
    return [
        UnderWay(
            row.id, row.model, Stage(row.stage), row.attempt, row.epoch, row.to_stop, row.person
        )
        for row in conn.execute(_UNDER_WAY)
    ]


def ask_to_stop(conn: sa.Connection, id: str, now: float) -> None:
    """Note that a query shall be cancelled by the process that carries it; not for an ended one."""
    conn.execute(_STOP, {"of": id, "now": now})


def _waiting(row: Row) -> WaitingRow:
    return WaitingRow(
        id=row.id,
        user=row.person,
        asked=row.asked,
        model=row.model,
        modality=Modality(row.modality),
        priority=Priority(row.priority),
        tokens=row.tokens,
        created_at=row.created_at,
        expires_at=row.expires_at,
        attempt=row.attempt,
        hold_id=row.hold_id,
        hold_micro=row.hold_micro,
    )


def _forget_written(conn: sa.Connection, back: Sequence[Row]) -> Sequence[Row]:
    """Let go of what attempts have written that are over; the question's own blobs stay."""
    for row in back:
        if row.names_any:
            keep_only(conn, row.id)
    return back
