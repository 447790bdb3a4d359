"""The life of a query, as it is written down: one function a step, each within one transaction.

A query is born with its hold and ends with its settle or void, in the same transaction, so that
money and stage never disagree. What an attempt brings back counts only while the query runs, in
that attempt and that epoch; the condition is in the statement itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import ErrorInfo, KeyConflict
from mtor_kernel.protocol.lifecycle import Stage, step
from mtor_kernel.protocol.query import Answer, Audio, Image, Modality, Priority
from mtor_kernel.protocol.quota import Quotas, RuleOf, Standing
from mtor_kernel.storage import ledger, people, spending
from mtor_kernel.storage.prepared import Prepared
from mtor_kernel.storage.quotas import decode_override, standing
from mtor_kernel.storage.records import answer, for_sysop, history, info, unfinished, unknown, usage
from mtor_kernel.storage.references import NAMES_ANY, answer_with, ask_about, keep_only
from mtor_kernel.storage.rows import (
    Accepted,
    Dispatched,
    NewQuery,
    Row,
    UnderWay,
    WaitingRow,
)
from mtor_kernel.storage.schema import answer as answer_table
from mtor_kernel.storage.schema import epoch as epoch_table
from mtor_kernel.storage.schema import person, query, question, quota_rule

__all__ = [
    "Accepted",
    "Decide",
    "Dispatched",
    "NewQuery",
    "UnderWay",
    "WaitingRow",
    "accept",
    "answer",
    "ask_to_stop",
    "cancel",
    "dispatch",
    "fail",
    "for_sysop",
    "history",
    "info",
    "known",
    "line",
    "move",
    "put_back",
    "question_of",
    "reclaim",
    "requeue",
    "settle",
    "under_way",
    "unfinished",
    "unknown",
    "usage",
]  # fmt: skip

#: The charge of a query that published nothing.
FREE = Charge()
#: ``decide(standing, quotas, hold_micro, tokens, now)`` returns, or raises a ``Refused``.
Decide = Callable[[Standing, Quotas, int, int, float], None]


def _into(finish: Stage, *starts: Stage) -> sa.Update:
    """Return the statement that takes queries from any of `starts` to `finish`."""
    from_ = [start for start in starts if step(start, finish)]
    # Not `in_`, whose list would be written into the text anew each time.
    return (
        sa.update(query)
        .where(sa.or_(*(query.c.stage == start for start in from_)))
        .values(stage=finish)
    )


def _ending(finish: Stage, *starts: Stage) -> Prepared:
    """Return the statement that ends a query: whichever attempt, or the one that is named."""
    attempt = bindparam("of_attempt", type_=sa.Integer)
    epoch = bindparam("of_epoch", type_=sa.BigInteger)
    return Prepared(
        _into(finish, *starts)
        .where(
            query.c.id == bindparam("of"),
            sa.or_(attempt.is_(None), query.c.attempt == attempt),
            sa.or_(epoch.is_(None), query.c.epoch == epoch),
        )
        .values(
            ended_at=bindparam("now"),
            charge_micro=bindparam("charge"),
            usage=bindparam("used"),
            error=bindparam("because"),
        )
        .returning(query.c.hold_id, query.c.person, query.c.model, NAMES_ANY)
    )


#: One row where the person is known: whether banned, the sysop's rules, the query of this key.
_ARRIVAL = Prepared(
    sa.select(
        person.c.banned_at,
        person.c.ban_reason,
        quota_rule.c.rules,
        query.c.id,
        query.c.body_hash,
        query.c.hold_id,
        query.c.model,
        query.c.hold_micro,
        query.c.stage,
    )
    .select_from(
        person.outerjoin(
            quota_rule,
            sa.and_(quota_rule.c.subject == person.c.name, quota_rule.c.kind == RuleOf.PERSON),
        ).outerjoin(
            query, sa.and_(query.c.person == person.c.name, query.c.key == bindparam("key"))
        )
    )
    .where(person.c.name == bindparam("who"))
)
_ACCEPT = Prepared(sa.insert(query))
_ASK = Prepared(sa.insert(question))
_DISPATCH = (
    _into(Stage.RUNNING, Stage.QUEUED)
    .where(query.c.id.in_(bindparam("ids", expanding=True)))
    .values(attempt=query.c.attempt + 1, epoch=bindparam("in_epoch"), started_at=bindparam("now"))
    .returning(
        query.c.id,
        query.c.attempt,
        sa.select(question.c.body)
        .where(question.c.query == query.c.id)
        .scalar_subquery()
        .label("body"),
    )
)
_BACK = (
    _into(Stage.QUEUED, Stage.RUNNING)
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
    query.c.stop_at.is_not(None).label("to_stop"),
).where(query.c.ended_at.is_(None))  # fmt: skip
_STOP = (
    sa.update(query)
    .where(query.c.id == bindparam("of"), query.c.ended_at.is_(None))
    .values(stop_at=bindparam("now"))
)
_SETTLE = _ending(Stage.SETTLED, Stage.RUNNING)
_FAIL = _ending(Stage.FAILED, Stage.QUEUED, Stage.RUNNING)
_CANCEL = _ending(Stage.CANCELLED, Stage.QUEUED, Stage.RUNNING)
_ANSWER = Prepared(sa.insert(answer_table))
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


def accept(
    conn: sa.Connection, new: NewQuery, quotas: Quotas, decide: Decide, epoch: int | None = None
) -> Accepted:
    """Write a query down with its hold, or return the one that the same key named before.

    `quotas` are those of the person's groups and role; what a sysop has set for the person goes
    before them, rule by rule. In an `epoch` its first attempt begins in the same moment: a slot is
    kept for it.

    Raises
    ------
    KeyConflict
        The key names another query.
    Banned
        The person is.
    Refused
        `decide` said no, or :class:`InsufficientFunds`.
    NotFound
        It names a blob that the person does not keep.
    BadInput
        A blob that it names is of another kind than it says.
    LookupError
        Nobody has made the person known: :func:`people.ensure` comes first.
    """
    found = _ARRIVAL.one_or_none(conn, {"who": new.user, "key": new.key})
    if found is None:
        raise LookupError(f"{new.user!r} is not known here")
    if found.id is not None:
        return _repeated(found, new.key, new.body_hash)
    if found.banned_at is not None:
        raise people.banned(found.ban_reason)
    own = decode_override(found.rules)
    rules = quotas if own is None else own.over(quotas)
    used = standing(conn, new.user, rules, new.created_at)
    decide(used, rules, new.hold_micro, new.tokens, new.created_at)
    return _write(conn, new, epoch)


def known(conn: sa.Connection, user: str, key: str, body_hash: str) -> Accepted | None:
    """Return the query that a person's key names already; ``None`` where it names none.

    Raises
    ------
    KeyConflict
        It names another query than the one of this hash.
    """
    found = _ARRIVAL.one_or_none(conn, {"who": user, "key": key})
    if found is None or found.id is None:
        return None
    return _repeated(found, key, body_hash)


def _repeated(found: Row, key: str, body_hash: str) -> Accepted:
    if found.body_hash != body_hash:
        raise KeyConflict(
            f"The key {key!r} was used for another query: use a new key for each query."
        )
    return Accepted(
        found.id, found.hold_id, found.model, found.hold_micro, True, Stage(found.stage)
    )


def _write(conn: sa.Connection, new: NewQuery, epoch: int | None) -> Accepted:
    begins = epoch is not None
    stage = step(Stage.QUEUED, Stage.RUNNING) if begins else Stage.QUEUED
    of = ledger.account_of(new.user)
    hold_id = ledger.hold(conn, of, new.hold_micro, new.id, new.created_at)
    row = {
        "id": new.id,
        "person": new.user,
        "key": new.key,
        "body_hash": new.body_hash,
        "asked": new.asked,
        "model": new.model,
        "modality": new.modality,
        "priority": new.priority,
        "prompt": new.prompt,
        "tokens": new.tokens,
        "hold_id": hold_id,
        "hold_micro": new.hold_micro,
        "created_at": new.created_at,
        "expires_at": new.expires_at,
        "stage": stage,
        "attempt": int(begins),
        "epoch": epoch,
        "started_at": new.created_at if begins else None,
    }
    _ACCEPT.run(conn, row)
    _ASK.run(conn, {"query": new.id, "body": new.body})
    if new.blobs:
        ask_about(conn, new.id, new.user, new.blobs)
    return Accepted(new.id, hold_id, new.model, new.hold_micro, stage=stage)


def dispatch(conn: sa.Connection, ids: Iterable[str], epoch: int, now: float) -> list[Dispatched]:
    """Begin the next attempt of each query that is still queued; the others are left out."""
    wanted = list(ids)
    rows = conn.execute(_DISPATCH, {"ids": wanted, "in_epoch": epoch, "now": now})
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


def settle(
    conn: sa.Connection, id: str, attempt: int, epoch: int, answer: Answer, charge: Charge,
    now: float,
) -> bool:  # fmt: skip
    """End a query with an answer and its charge; false, and nothing, for a stale attempt.

    Raises
    ------
    LedgerRefused
        The charge is above the hold.
    """
    ended = _end(conn, _SETTLE, id, attempt, epoch, now, charge=charge)
    if ended is None:
        return False
    _keep(conn, ended, id, answer)
    _charge(conn, ended, charge, now)
    return True


def fail(
    conn: sa.Connection, id: str, error: ErrorInfo, now: float, *,
    attempt: int | None = None, epoch: int | None = None,
) -> bool:  # fmt: skip
    """End a query without answer or charge; false where it had ended, or for a stale attempt."""
    ended = _end(conn, _FAIL, id, attempt, epoch, now, error=error)
    if ended is None:
        return False
    if ended.names_any:
        keep_only(conn, id)
    ledger.void(conn, ended.hold_id, now)
    return True


def cancel(
    conn: sa.Connection, id: str, now: float, *, answer: Answer | None = None,
    charge: Charge = FREE, attempt: int | None = None, epoch: int | None = None,
) -> bool:  # fmt: skip
    """End a query by its owner's wish, with what was published of an answer, and its charge.

    False where it had ended, or for a stale attempt.
    """
    ended = _end(conn, _CANCEL, id, attempt, epoch, now, charge=charge)
    if ended is None:
        return False
    if answer is not None and answer.parts:
        _keep(conn, ended, id, answer)
    elif ended.names_any:
        keep_only(conn, id)
    if charge.amount_micro:
        _charge(conn, ended, charge, now)
    else:
        ledger.void(conn, ended.hold_id, now)
    return True


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
        UnderWay(row.id, row.model, Stage(row.stage), row.attempt, row.epoch, row.to_stop)
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


def _end(
    conn: sa.Connection, statement: Prepared, id: str, attempt: int | None, epoch: int | None,
    now: float, *, charge: Charge | None = None, error: ErrorInfo | None = None,
) -> Row | None:  # fmt: skip
    told = {
        "of": id,
        "of_attempt": attempt,
        "of_epoch": epoch,
        "now": now,
        "charge": None if charge is None else charge.amount_micro,
        "used": None if charge is None else encode(charge.usage).decode(),
        "because": None if error is None else encode(error).decode(),
    }
    try:
        return statement.one_or_none(conn, told)
    except sa.exc.IntegrityError as error:
        raise ledger.LedgerRefused(f"query {id} cannot be charged {told['charge']}") from error


def _charge(conn: sa.Connection, ended: Row, charge: Charge, now: float) -> None:
    ledger.settle(conn, ended.hold_id, charge.amount_micro, now)
    spending.add(conn, ended.person, ended.model, charge, now)


def _keep(conn: sa.Connection, ended: Row, id: str, answer: Answer) -> None:
    _ANSWER.run(conn, {"query": id, "body": encode(answer)})
    blobs = frozenset(part.blob for part in answer.parts if isinstance(part, Image | Audio))
    if blobs:
        answer_with(conn, id, ended.person, blobs)
    if ended.names_any:
        keep_only(conn, id, blobs)


def _forget_written(conn: sa.Connection, back: Sequence[Row]) -> Sequence[Row]:
    """Let go of what attempts have written that are over; the question's own blobs stay."""
    for row in back:
        if row.names_any:
            keep_only(conn, row.id)
    return back
