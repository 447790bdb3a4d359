"""How a query ends: settled, failed or cancelled, in one transaction with its settle or void.

So money and stage never disagree. What an attempt brings back counts only while the query runs,
in that attempt and that epoch; the condition is in the statement itself.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Answer, Audio, Image
from mtor_kernel.storage import ledger, spending, tablerows
from mtor_kernel.storage.prepared import Prepared
from mtor_kernel.storage.queries import into
from mtor_kernel.storage.references import NAMES_ANY, answer_with, keep_only
from mtor_kernel.storage.rows import Row
from mtor_kernel.storage.schema import answer as answer_table
from mtor_kernel.storage.schema import query

#: The charge of a query that published nothing.
FREE = Charge()


def _ending(finish: Stage, *starts: Stage) -> Prepared:
    """Return the statement that ends a query: whichever attempt, or the one that is named."""
    attempt = bindparam("of_attempt", type_=sa.Integer)
    epoch = bindparam("of_epoch", type_=sa.BigInteger)
    return Prepared(
        into(finish, *starts)
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
        .returning(query.c.hold_id, query.c.person, query.c.model, query.c.rows, NAMES_ANY)
    )


_SETTLE = _ending(Stage.SETTLED, Stage.RUNNING)
_FAIL = _ending(Stage.FAILED, Stage.QUEUED, Stage.RUNNING)
_CANCEL = _ending(Stage.CANCELLED, Stage.QUEUED, Stage.RUNNING)
_ANSWER = Prepared(sa.insert(answer_table))


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
    tablerows.let_go(conn, ended.person, id, ended.rows)
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
    else:
        if ended.names_any:
            keep_only(conn, id)
        tablerows.let_go(conn, ended.person, id, ended.rows)
    if charge.amount_micro:
        _charge(conn, ended, charge, now)
    else:
        ledger.void(conn, ended.hold_id, now)
    return True


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
    spending.add(conn, ended.person, ended.model, [charge], now)


def _keep(conn: sa.Connection, ended: Row, id: str, answer: Answer) -> None:
    _ANSWER.run(conn, {"query": id, "body": encode(answer)})
    blobs = named_by(answer)
    if blobs:
        answer_with(conn, id, ended.person, blobs)
    if ended.names_any:
        keep_only(conn, id, blobs)
    tablerows.let_go(conn, ended.person, id, ended.rows, answer)


def named_by(answer: Answer) -> frozenset[str]:
    """Return the blobs that an answer names."""
    return frozenset(part.blob for part in answer.parts if isinstance(part, Image | Audio))
