"""How a query is written down: with its hold, once for each key of its person, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.errors import KeyConflict
from mtor_kernel.protocol.lifecycle import Stage, step
from mtor_kernel.protocol.quota import Quotas, RuleOf, Standing
from mtor_kernel.storage import ledger, people, tablerows
from mtor_kernel.storage.prepared import Prepared
from mtor_kernel.storage.quotas import decode_override, standing
from mtor_kernel.storage.references import ask_about
from mtor_kernel.storage.rows import Accepted, NewQuery, Row
from mtor_kernel.storage.schema import person, query, question, quota_rule

#: A query, the quotas of its person's groups and role, and the epoch in which it begins at once.
Asked = tuple[NewQuery, Quotas, int | None]
#: ``decide(standing, quotas, hold_micro, tokens, now, queries)`` returns, or raises a ``Refused``.
Decide = Callable[[Standing, Quotas, int, int, float, int], None]

#: One row where the person is known: whether banned, and the sysop's rules.
PERSON = (
    sa.select(person.c.banned_at, person.c.ban_reason, quota_rule.c.rules)
    .outerjoin_from(
        person,
        quota_rule,
        sa.and_(quota_rule.c.subject == person.c.name, quota_rule.c.kind == RuleOf.PERSON),
    )
    .where(person.c.name == bindparam("who"))
)
#: The same with the query of this key.
_ARRIVAL = Prepared(
    PERSON.add_columns(
        query.c.id, query.c.body_hash, query.c.model, query.c.hold_micro, query.c.stage
    ).outerjoin(query, sa.and_(query.c.person == person.c.name, query.c.key == bindparam("key")))
)
_ACCEPT = Prepared(sa.insert(query))
_ASK = Prepared(sa.insert(question))


def accept(
    conn: sa.Connection, new: NewQuery, quotas: Quotas, decide: Decide, epoch: int | None = None
) -> Accepted:
    """Write a query down with its hold, or return the one that the same key named before.

    `quotas` are those of the person's groups and role; what a sysop has set for the person goes
    before them, rule by rule. In an `epoch` its first attempt begins in the same moment: a slot is
    kept for it. It waits all the same where as many of the person's run as may, wherever that is.

    Raises
    ------
    KeyConflict
        The key names another query.
    RowsKnown
        The person has asked for some of its rows already.
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
    rules = rules_of(found, quotas)
    if new.rows:
        tablerows.check_unknown(conn, new.user, new.rows)
    used = standing(conn, new.user, rules, new.created_at)
    return _write(conn, new, admit(new, rules, used, decide, epoch))


def rules_of(found: Row, quotas: Quotas) -> Quotas:
    """Return what a person is held to, of whom :data:`PERSON` found this; raise where banned."""
    if found.banned_at is not None:
        raise people.banned(found.ban_reason)
    own = decode_override(found.rules)
    return quotas if own is None else own.over(quotas)


def admit(
    new: NewQuery, rules: Quotas, used: Standing, decide: Decide, epoch: int | None
) -> int | None:
    """Raise where `decide` says no; return the epoch if it begins at once: fewer run than may."""
    decide(used, rules, new.hold_micro, new.tokens, new.created_at, new.queries)
    full = rules.running is not None and used.uses["running"].used >= rules.running
    return None if full else epoch


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
    check_same(key, found.body_hash, body_hash)
    return Accepted(found.id, found.model, found.hold_micro, True, Stage(found.stage))


def check_same(key: str, known_hash: str, body_hash: str) -> None:
    """Raise :class:`KeyConflict` where a key names a query of another hash than it shall name."""
    if known_hash != body_hash:
        raise KeyConflict(
            f"The key {key!r} was used for another query: use a new key for each query."
        )


def first_stage(epoch: int | None) -> Stage:
    """Return the stage of a new query that begins at once in an `epoch`, or waits."""
    return Stage.QUEUED if epoch is None else step(Stage.QUEUED, Stage.RUNNING)


def row_of(new: NewQuery, epoch: int | None) -> dict[str, object]:
    """Return the row of a query, but for its person and its hold."""
    begins = epoch is not None
    return {
        "id": new.id,
        "key": new.key,
        "body_hash": new.body_hash,
        "asked": new.asked,
        "model": new.model,
        "modality": new.modality.value,
        "priority": new.priority.value,
        "stage": first_stage(epoch).value,
        "attempt": int(begins),
        "epoch": epoch,
        "prompt": new.prompt,
        "tokens": new.tokens,
        "hold_micro": new.hold_micro,
        "created_at": new.created_at,
        "expires_at": new.expires_at,
        "started_at": new.created_at if begins else None,
        "rows": len(new.rows),
    }


def _write(conn: sa.Connection, new: NewQuery, epoch: int | None) -> Accepted:
    of = ledger.account_of(new.user)
    hold_id = ledger.hold(conn, of, new.hold_micro, new.id, new.created_at)
    _ACCEPT.run(conn, row_of(new, epoch) | {"person": new.user, "hold_id": hold_id})
    _ASK.run(conn, {"query": new.id, "body": new.body})
    if new.blobs:
        ask_about(conn, new.id, new.user, new.blobs)
    if new.rows:
        tablerows.take(conn, new.user, new.id, new.rows)
    return Accepted(new.id, new.model, new.hold_micro, stage=first_stage(epoch))
