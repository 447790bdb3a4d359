"""The ledger: double entry, append-only, in whole micro-credits.

Every row of ``transfer`` moves credits from one account to another, and no row ever changes. A
charge has two phases: :func:`hold` sets credits aside; :func:`settle` or :func:`void` ends the
hold, once. Credits come from the account :data:`MINT`, the only one of the system's own that goes
below zero, and charges go to :data:`HOUSE`; so the sum over all accounts is always zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam, func, literal, literal_column

from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.errors import BadInput, InsufficientFunds, NotFound
from mtor_kernel.storage.prepared import Prepared
from mtor_kernel.storage.rows import Row
from mtor_kernel.storage.schema import account, transfer
from mtor_kernel.storage.selfcheck import check
from mtor_kernel.storage.several import Columns, Several

__all__ = [
    "HOUSE", "IS_HOLD", "MINT", "Balance", "LedgerRefused", "account_of", "balance", "check",
    "grant", "hold", "hold_all", "open_account", "settle", "settle_all", "void",
]  # fmt: skip

MINT = "system/mint"
HOUSE = "system/house"


class LedgerRefused(AssertionError):
    """The ledger was asked for what it never does: a bug, never a user's mistake."""


class Balance(msgspec.Struct, frozen=True):
    """What an account has."""

    posted_micro: int
    held_micro: int
    #: Whether it may go below zero.
    unlimited: bool

    @property
    def available_micro(self) -> int:
        """What a new hold may take, where the account is not unlimited."""
        return self.posted_micro - self.held_micro


_BALANCE = sa.select(account.c.posted_micro, account.c.held_micro, account.c.unlimited).where(
    account.c.id == bindparam("of")
)
_OPEN = sa.insert(account).values(
    id=bindparam("of"), posted_micro=0, held_micro=0, unlimited=bindparam("free")
)
_TRANSFER = Prepared(sa.insert(transfer).values(pending_id=None).returning(transfer.c.id))
#: Nothing is found where the account lacks the funds.
_SET_ASIDE = Prepared(
    sa.update(account)
    .where(
        account.c.id == bindparam("of"),
        sa.or_(
            account.c.unlimited,
            account.c.posted_micro - account.c.held_micro >= bindparam("amount"),
        ),
    )
    .values(held_micro=account.c.held_micro + bindparam("amount"))
)
#: The row that ends a hold takes from it whose it is and how much it holds.
_END = Prepared(
    sa.insert(transfer)
    .from_select(
        ["kind", "debit", "credit", "amount_micro", "held_micro", "pending_id", "query", "reason",
         "created_at"],
        sa.select(
            bindparam("kind", type_=sa.String),
            transfer.c.debit,
            transfer.c.credit,
            bindparam("amount", type_=sa.BigInteger),
            -transfer.c.held_micro,
            transfer.c.id,
            transfer.c.query,
            literal("", sa.Text),
            bindparam("now", type_=sa.Double),
        ).where(
            transfer.c.id == bindparam("hold"),
            transfer.c.kind == "hold",
            transfer.c.held_micro >= bindparam("amount", type_=sa.BigInteger),
        ),
    )
    .returning(transfer.c.debit, transfer.c.credit, transfer.c.held_micro)
)  # fmt: skip
_POST = Prepared(
    sa.update(account)
    .where(account.c.id.in_([bindparam("debit"), bindparam("credit")]))
    .values(
        posted_micro=account.c.posted_micro
        + sa.case((account.c.id == bindparam("debit"), -bindparam("amount")),
                  else_=bindparam("amount")),
        held_micro=account.c.held_micro
        + sa.case((account.c.id == bindparam("debit"), bindparam("held")), else_=0),
    )
)  # fmt: skip
_RELEASE = Prepared(
    sa.update(account)
    .where(account.c.id == bindparam("debit"))
    .values(held_micro=account.c.held_micro + bindparam("held"))
)


#: In words, so that the index of the holds is seen to serve.
IS_HOLD = transfer.c.kind == literal_column("'hold'")
_HELD: Columns = {"query": sa.String(32), "amount": sa.BigInteger(), "at": sa.Double()}
_HOLDS = Several(
    _HELD,
    lambda given: sa.insert(transfer).from_select(
        ["query", "held_micro", "created_at", "kind", "debit", "credit", "amount_micro", "reason"],
        sa.select(
            *given.c,
            literal("hold"),
            bindparam("of", type_=sa.String),
            literal(HOUSE),
            literal(0, sa.BigInteger),
            literal("", sa.Text),
        ).where(given.c.query.is_not(None)),
    ),
)
_ENDS: Columns = {"query": sa.String(32), "amount": sa.BigInteger()}


def _held(given: sa.CTE) -> sa.ColumnElement[bool]:
    """Tell of a transfer that it is the hold of what is given, and large enough."""
    return sa.and_(
        transfer.c.query == given.c.query, IS_HOLD, transfer.c.held_micro >= given.c.amount
    )


#: What the ends of holds come to, for each pair of accounts.
_SUMS = Several(
    _ENDS,
    lambda given: (
        sa.select(
            transfer.c.debit,
            transfer.c.credit,
            func.sum(given.c.amount).label("amount"),
            func.sum(transfer.c.held_micro).label("held"),
            func.count().label("count"),
        )
        .select_from(given)
        .join(transfer, _held(given))
        .group_by(transfer.c.debit, transfer.c.credit)
    ),
)
_SETTLE = Several(
    _ENDS,
    lambda given: sa.insert(transfer).from_select(
        ["kind", "debit", "credit", "amount_micro", "held_micro", "pending_id", "query", "reason",
         "created_at"],
        sa.select(
            literal("settle"),
            transfer.c.debit,
            transfer.c.credit,
            given.c.amount,
            -transfer.c.held_micro,
            transfer.c.id,
            transfer.c.query,
            literal("", sa.Text),
            bindparam("now", type_=sa.Double),
        ).select_from(given).join(transfer, _held(given)),
    ),
)  # fmt: skip


def account_of(person: str) -> str:
    """Return the account of a person."""
    return f"person/{person}"


def open_account(conn: sa.Connection, account: str, *, unlimited: bool) -> None:
    """Make an account with nothing in it."""
    conn.execute(_OPEN, {"of": account, "free": unlimited})


def balance(conn: sa.Connection, account: str) -> Balance:
    """Return what an account has; :class:`NotFound` where there is none."""
    row = conn.execute(_BALANCE, {"of": account}).one_or_none()
    if row is None:
        raise NotFound(f"There is no account {account!r}: check the name.")
    return Balance(row.posted_micro, row.held_micro, row.unlimited)


def grant(conn: sa.Connection, account: str, amount: int, reason: str, now: float) -> int:
    """Move credits from the mint to an account; return the transfer's number.

    A negative amount takes them back.

    Raises
    ------
    NotFound
        There is no such account.
    InsufficientFunds
        More is to be taken back than is there and not held.
    """
    if amount == 0:
        raise BadInput("A grant is of more than nothing: give an amount.")
    has = balance(conn, account)
    if -amount > has.available_micro and amount < 0 and not has.unlimited:
        raise _not_to_take(has, -amount)
    debit, credit = (MINT, account) if amount > 0 else (account, MINT)
    number = _write(conn, "grant", debit, credit, abs(amount), 0, None, reason, now)
    told = {"debit": debit, "credit": credit, "amount": abs(amount), "held": 0}
    _POST.run(conn, told)
    return number


def hold(conn: sa.Connection, account: str, amount: int, query: str | None, now: float) -> int:
    """Set credits aside for a query; return the hold's number.

    Raises
    ------
    InsufficientFunds
        The amount is more than balance − holds, and the account is not unlimited.
    LedgerRefused
        The amount is negative.
    """
    if amount < 0:
        raise LedgerRefused(f"a hold of {amount}")
    if _SET_ASIDE.run(conn, {"of": account, "amount": amount}) != 1:
        raise _insufficient(balance(conn, account), amount)
    return _write(conn, "hold", account, HOUSE, 0, amount, query, "", now)


def hold_all(conn: sa.Connection, account: str, holds: Sequence[tuple[str, int, float]]) -> bool:
    """Set credits aside for queries (id, amount, time), a hold each; false, and nothing, without.

    Raises
    ------
    LedgerRefused
        An amount is negative.
    """
    amounts = [amount for _, amount, _ in holds]
    if min(amounts) < 0:
        raise LedgerRefused(f"a hold of {min(amounts)}")
    if _SET_ASIDE.run(conn, {"of": account, "amount": sum(amounts)}) != 1:
        return False
    _HOLDS.run(conn, holds, {"of": account})
    return True


def settle_all(conn: sa.Connection, charges: Sequence[tuple[str, int]], now: float) -> None:
    """End the holds of queries by a charge each (id, amount), as :func:`settle` ends one.

    Raises
    ------
    LedgerRefused
        One of them has no hold, or one that has ended, or is smaller than the amount.
    """
    if min(amount for _, amount in charges) < 0:
        raise LedgerRefused("a charge below zero")
    sums = _SUMS.run(conn, charges, {})
    if sum(row.count for row in sums) < len(charges):
        raise LedgerRefused("one of them has no hold that is large enough")
    try:
        _SETTLE.run(conn, charges, {"now": now})
    except sa.exc.IntegrityError as error:
        raise LedgerRefused("the hold of one of them has ended already") from error
    for row in sums:
        # A sum has a type of its own in some databases.
        told = {"debit": row.debit, "credit": row.credit}
        _POST.run(conn, {**told, "amount": int(row.amount), "held": -int(row.held)})


def settle(conn: sa.Connection, hold_id: int, amount: int, now: float) -> None:
    """End a hold by a charge, which goes to the house; the rest of it is free again.

    Raises
    ------
    LedgerRefused
        There is no such hold, it has ended, or it is smaller than the amount.
    """
    if amount < 0:
        raise LedgerRefused(f"a charge of {amount}")
    ended = _end(conn, "settle", hold_id, amount, now)
    _POST.run(
        conn,
        {"debit": ended.debit, "credit": ended.credit, "amount": amount, "held": ended.held_micro},
    )


def void(conn: sa.Connection, hold_id: int, now: float) -> None:
    """End a hold without a charge; raise :class:`LedgerRefused` as :func:`settle` does."""
    ended = _end(conn, "void", hold_id, 0, now)
    _RELEASE.run(conn, {"debit": ended.debit, "held": ended.held_micro})


def _end(conn: sa.Connection, kind: str, hold_id: int, amount: int, now: float) -> Row:
    told = {"kind": kind, "amount": amount, "hold": hold_id, "now": now}
    try:
        ended = _END.one_or_none(conn, told)
    except sa.exc.IntegrityError as error:
        raise LedgerRefused(f"hold {hold_id} has ended already") from error
    if ended is None:
        raise LedgerRefused(f"no hold {hold_id} of at least {amount}")
    return ended


def _write(
    conn: sa.Connection, kind: str, debit: str, credit: str, amount: int, held: int,
    query: str | None, reason: str, now: float,
) -> int:  # fmt: skip
    row = {
        "kind": kind,
        "debit": debit,
        "credit": credit,
        "amount_micro": amount,
        "held_micro": held,
        "query": query,
        "reason": reason,
        "created_at": now,
    }
    return int(_TRANSFER.rows(conn, row)[0].id)


def _insufficient(has: Balance, amount: int) -> InsufficientFunds:
    available = max(0, has.available_micro)
    held = f", {show_credits(has.held_micro)} more are held for queries under way" * bool(
        has.held_micro
    )
    return InsufficientFunds(
        f"This may cost up to {show_credits(amount)} credits and you have "
        f"{show_credits(available)}{held}: ask for fewer tokens, wait for a query to end, or ask "
        "the sysop for a grant.",
        rule="funds",
        needed=amount,
        available=available,
    )


def _not_to_take(has: Balance, amount: int) -> InsufficientFunds:
    available = max(0, has.available_micro)
    return InsufficientFunds(
        f"{show_credits(amount)} credits cannot be taken back: {show_credits(available)} are there "
        "and not held. Take less.",
        rule="funds",
        needed=amount,
        available=available,
    )
