"""What a person may read of their queries: one, many, the answer, what they spent."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import ErrorInfo, NotFound
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Answer, Modality, Query
from mtor_kernel.protocol.views import Page, QueryInfo, SysopQueryInfo, UsageRow
from mtor_kernel.storage import spending
from mtor_kernel.storage.rows import Row
from mtor_kernel.storage.schema import answer as answer_table
from mtor_kernel.storage.schema import query, question

#: The most that one page of the history holds.
MOST_ITEMS = 200

_QUERY = msgspec.json.Decoder(Query)
_ANSWER = msgspec.json.Decoder(Answer)
_USAGE = msgspec.json.Decoder(Usage)
_ERROR = msgspec.json.Decoder(ErrorInfo)

_ROW = sa.select(
    query.c.id, query.c.person, query.c.asked, query.c.model, query.c.modality, query.c.stage,
    query.c.created_at, query.c.attempt, query.c.started_at, query.c.ended_at, query.c.hold_micro,
    query.c.charge_micro, query.c.usage, query.c.error, query.c.prompt,
)  # fmt: skip
_INFO = (
    _ROW.add_columns(question.c.body.label("question"), answer_table.c.body.label("answer"))
    .join(question, question.c.query == query.c.id)
    .outerjoin(answer_table, answer_table.c.query == query.c.id)
    .where(query.c.id == bindparam("of"))
)
_GET_ANSWER = sa.select(answer_table.c.body).where(answer_table.c.query == bindparam("of"))
_UNFINISHED = (
    sa.select(query.c.id)
    .where(query.c.person == bindparam("who"), query.c.ended_at.is_(None))
    .order_by(query.c.hold_id)
)
_HISTORY = (
    _ROW.where(query.c.person == bindparam("who"))
    .order_by(query.c.created_at.desc(), query.c.id.desc())
    .limit(bindparam("most"))
)
_ALL_UNFINISHED = (
    _ROW.where(query.c.ended_at.is_(None)).order_by(query.c.hold_id).limit(bindparam("most"))
)
_LAST_SEEN = (
    sa.select(query.c.created_at, query.c.id)
    .where(query.c.person == bindparam("who"), query.c.id == bindparam("before"))
    .scalar_subquery()
)


def info(conn: sa.Connection, id: str, user: str | None) -> QueryInfo:
    """Return one query with its question and answer; `user` ``None`` sees everybody's.

    Raises
    ------
    NotFound
        There is none, or it is somebody else's: the two cannot be told apart.
    """
    row = conn.execute(_INFO, {"of": id}).one_or_none()
    if row is None or user not in (None, row.person):
        raise unknown(id)
    return msgspec.structs.replace(
        _shown(row),
        query=_QUERY.decode(row.question),
        answer=None if row.answer is None else _ANSWER.decode(row.answer),
    )


class Sought(msgspec.Struct, frozen=True):
    """Which of a person's queries are looked for; what is empty restricts nothing."""

    #: Words that the beginning of the question contains, in either case.
    search: str = ""
    #: As it was asked for, or the one that answered.
    model: str = ""
    stage: Stage | None = None
    #: Asked at this time or later, and before that one; in seconds since the epoch.
    since: float | None = None
    until: float | None = None


_ALL = Sought()


def history(
    conn: sa.Connection,
    user: str,
    sought: Sought = _ALL,
    *,
    before: str = "",
    limit: int = 50,
) -> Page:
    """Return a person's queries, newest first.

    Parameters
    ----------
    sought
        Which of them.
    before
        The cursor: ``next`` of the page before.
    limit
        How many at most, up to :data:`MOST_ITEMS`.
    """
    most = max(1, min(limit, MOST_ITEMS))
    statement = _HISTORY.where(*_conditions(sought))
    if before:
        statement = statement.where(sa.tuple_(query.c.created_at, query.c.id) < _LAST_SEEN)
    # One more than asked for tells whether there is a next page.
    told = {"who": user, "most": most + 1, "before": before}
    rows = conn.execute(statement, told).all()
    items = tuple(_shown(row) for row in rows[:most])
    return Page(items, items[-1].id if len(rows) > most else "")


def for_sysop(conn: sa.Connection, user: str, limit: int, *, prompts: bool) -> list[SysopQueryInfo]:
    """Return the latest queries of one person; without a name, everybody's that are under way."""
    most = max(1, min(limit, MOST_ITEMS))
    told = {"who": user, "most": most} if user else {"most": most}
    rows = conn.execute(_HISTORY if user else _ALL_UNFINISHED, told)
    return [_metadata(row, prompts) for row in rows]


def _conditions(sought: Sought) -> list[sa.ColumnElement[bool]]:
    found = []
    if sought.search:
        found.append(query.c.prompt.icontains(sought.search, autoescape=True))
    if sought.model:
        found.append(sa.or_(query.c.asked == sought.model, query.c.model == sought.model))
    if sought.stage is not None:
        found.append(query.c.stage == sought.stage.value)
    if sought.since is not None:
        found.append(query.c.created_at >= sought.since)
    if sought.until is not None:
        found.append(query.c.created_at < sought.until)
    return found


def answer(conn: sa.Connection, id: str) -> Answer | None:
    """Return what came back for a query, if anything did."""
    body = conn.execute(_GET_ANSWER, {"of": id}).scalar_one_or_none()
    return None if body is None else _ANSWER.decode(body)


def unfinished(conn: sa.Connection, user: str) -> list[str]:
    """Return the ids of a person's queries that have not ended, oldest first."""
    return list(conn.scalars(_UNFINISHED, {"who": user}))


def usage(conn: sa.Connection, user: str, since: float) -> list[UsageRow]:
    """Return what a person has spent from the day of `since` on, a row a day and model."""
    return spending.since(conn, user, since)


def _shown(row: Row) -> QueryInfo:
    charge = None
    if row.charge_micro is not None:
        charge = Charge(row.charge_micro, _USAGE.decode(row.usage))
    return QueryInfo(
        id=row.id,
        asked=row.asked,
        model=row.model,
        modality=Modality(row.modality),
        stage=Stage(row.stage),
        created_at=row.created_at,
        attempt=row.attempt,
        started_at=row.started_at,
        ended_at=row.ended_at,
        hold_micro=row.hold_micro,
        charge=charge,
        error=None if row.error is None else _ERROR.decode(row.error),
        prompt=row.prompt,
    )


def _metadata(row: Row, prompts: bool) -> SysopQueryInfo:
    return SysopQueryInfo(
        row.id,
        row.person,
        row.asked,
        row.model,
        Modality(row.modality),
        Stage(row.stage),
        row.created_at,
        row.attempt,
        row.started_at,
        row.ended_at,
        row.hold_micro,
        row.charge_micro,
        # Its sentence may quote what was asked.
        "" if row.error is None else _ERROR.decode(row.error).code,
        row.prompt if prompts else "",
    )


def unknown(id: str) -> NotFound:
    """Return the error for a query that is unknown, or somebody else's: nobody can tell which."""
    return NotFound(f"You have no query {id}: look in your history for its id.")
