"""The books, added up again from nothing but the transfers."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import and_, func

from mtor_kernel.storage.schema import account, query, transfer, usage

_hold = transfer.alias("hold")
_end = transfer.alias("ended_by")

_TOTAL = sa.select(func.coalesce(func.sum(account.c.posted_micro), 0))
_OUT = sa.select(
    transfer.c.debit.label("id"),
    (-transfer.c.amount_micro).label("posted"),
    transfer.c.held_micro.label("held"),
)
_IN = sa.select(
    transfer.c.credit.label("id"), transfer.c.amount_micro.label("posted"), sa.literal(0)
)
_moves = sa.union_all(_OUT, _IN).subquery()
_fold = (
    sa.select(
        _moves.c.id,
        func.sum(_moves.c.posted).label("posted"),
        func.sum(_moves.c.held).label("held"),
    )
    .group_by(_moves.c.id)
    .subquery()
)
_DRIFTED = (
    sa.select(account.c.id)
    .outerjoin(_fold, _fold.c.id == account.c.id)
    .where(
        sa.or_(
            account.c.posted_micro != func.coalesce(_fold.c.posted, 0),
            account.c.held_micro != func.coalesce(_fold.c.held, 0),
        )
    )
)
_OVERDRAWN = sa.select(account.c.id).where(
    ~account.c.unlimited, account.c.posted_micro < account.c.held_micro
)
_holds_and_ends = _hold.outerjoin(_end, _end.c.pending_id == _hold.c.id)
#: A hold whose end is of another size or between other accounts.
_CROOKED = (
    sa.select(_hold.c.id)
    .select_from(_holds_and_ends)
    .where(
        _hold.c.kind == "hold",
        sa.or_(
            _end.c.held_micro != -_hold.c.held_micro,
            _end.c.debit != _hold.c.debit,
            _end.c.credit != _hold.c.credit,
        ),
    )
)
#: A hold for a query that is open although the query has ended, or the reverse.
_LEFT_OVER = (
    sa.select(_hold.c.query)
    .select_from(_holds_and_ends.outerjoin(query, query.c.hold_id == _hold.c.id))
    .where(
        _hold.c.kind == "hold",
        _hold.c.query.is_not(None),
        sa.or_(
            query.c.id.is_(None),
            query.c.id != _hold.c.query,
            query.c.hold_micro != _hold.c.held_micro,
            and_(query.c.ended_at.is_(None), _end.c.id.is_not(None)),
            and_(query.c.ended_at.is_not(None), _end.c.id.is_(None)),
            func.coalesce(query.c.charge_micro, 0) != func.coalesce(_end.c.amount_micro, 0),
        ),
    )
)
#: A query whose hold is none, or is another's.
_UNHELD = (
    sa.select(query.c.id)
    .outerjoin(transfer, and_(transfer.c.id == query.c.hold_id, transfer.c.kind == "hold"))
    .where(sa.or_(transfer.c.id.is_(None), transfer.c.query != query.c.id))
)
_CHARGED = sa.select(func.coalesce(func.sum(query.c.charge_micro), 0))
_TALLIED = sa.select(func.coalesce(func.sum(usage.c.charge_micro), 0))

_SENTENCES = (
    (_DRIFTED, "account {} is not the sum of its transfers"),
    (_OVERDRAWN, "account {} is below its floor"),
    (_CROOKED, "hold {} was ended by a transfer that does not fit it"),
    (_LEFT_OVER, "the hold of query {} and the query do not agree"),
    (_UNHELD, "query {} has no hold of its own"),
)


def check(conn: sa.Connection) -> list[str]:
    """Return what is wrong with the books, a sentence each; empty where nothing is.

    Reads every transfer: for a timer and for tests.
    """
    problems = []
    total = conn.execute(_TOTAL).scalar_one()
    if total:
        problems.append(f"all accounts together have {total} instead of 0")
    for statement, sentence in _SENTENCES:
        problems += [sentence.format(found) for found in conn.scalars(statement)]
    charged, tallied = conn.execute(_CHARGED).scalar_one(), conn.execute(_TALLIED).scalar_one()
    if charged != tallied:
        problems.append(f"queries were charged {charged}, and usage says {tallied}")
    return problems
