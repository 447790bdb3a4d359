"""Many queries of one person in a few statements: how the rows of a map come in, and how they end.

What holds of each alone (`acceptance.py`, `endings.py`) holds of each here: a hold, a key, a fenced
end, a charge of its own. A step that cannot be done for all alike is done for each by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import BigInteger, Double, Integer, LargeBinary, String, Text, bindparam

from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.lifecycle import Stage, step
from mtor_kernel.protocol.query import Answer
from mtor_kernel.protocol.quota import Quotas, Standing
from mtor_kernel.storage import acceptance, endings, ledger, spending, tablerows
from mtor_kernel.storage.acceptance import Asked, Decide
from mtor_kernel.storage.prepared import Prepared
from mtor_kernel.storage.quotas import counted, standing
from mtor_kernel.storage.references import answer_with, keep_only
from mtor_kernel.storage.rows import Accepted, NewQuery
from mtor_kernel.storage.schema import (
    answer,
    query,
    query_blob,
    question,
    transfer,
)
from mtor_kernel.storage.several import Columns, Several

_ID: Columns = {"id": String(32)}


class Ending(msgspec.Struct, frozen=True):
    """A query whose attempt has brought an answer."""

    id: str
    user: str
    model: str
    attempt: int
    answer: Answer
    charge: Charge


_PERSON = Prepared(acceptance.PERSON)
_KEY: Columns = {"key": String(128)}
#: The queries that keys of a person name already.
_KNOWN = Several(
    _KEY,
    lambda given: sa.select(
        query.c.key, query.c.id, query.c.body_hash, query.c.model, query.c.hold_micro,
        query.c.stage,
    )
    .select_from(given)
    .join(query, query.c.key == given.c.key)
    .where(query.c.person == bindparam("who", type_=String)),
)  # fmt: skip
_NEW: Columns = {
    "id": String(32),
    "key": String(128),
    "body_hash": String(64),
    "asked": String(100),
    "model": String(100),
    "modality": String(20),
    "priority": String(20),
    "stage": String(20),
    "attempt": Integer(),
    "epoch": BigInteger(),
    "prompt": Text(),
    "tokens": BigInteger(),
    "hold_micro": BigInteger(),
    "created_at": Double(),
    "expires_at": Double(),
    "started_at": Double(),
    "rows": Integer(),
}
_ACCEPT = Several(
    _NEW,
    lambda given: sa.insert(query).from_select(
        [*_NEW, "person", "hold_id"],
        sa.select(*given.c, bindparam("who", type_=String), transfer.c.id)
        .select_from(given)
        .join(
            transfer,
            # In words: a value that is told later would not be seen to be that of the index.
            sa.and_(transfer.c.query == given.c.id, ledger.IS_HOLD),
        ),
    ),
)
_ASKED: Columns = {**_ID, "body": LargeBinary()}
_ASK = Several(
    _ASKED,
    lambda given: sa.insert(question).from_select(
        ["query", "body"], sa.select(*given.c).where(given.c.id.is_not(None))
    ),
)
_ENDED: Columns = {
    **_ID,
    "attempt": Integer(),
    "person": String(255),
    "model": String(100),
    "charge": BigInteger(),
    "used": Text(),
}


def _current(given: sa.CTE) -> sa.ColumnElement[bool]:
    """Tell of a query that it runs in the attempt that is given, and is what it was taken for."""
    return sa.and_(
        query.c.id == given.c.id,
        query.c.stage == Stage.RUNNING.value,
        query.c.attempt == given.c.attempt,
        query.c.epoch == bindparam("of_epoch", type_=BigInteger),
        query.c.person == given.c.person,
        query.c.model == given.c.model,
    )


_CURRENT = Several(
    _ENDED,
    lambda given: (
        sa.select(query.c.id, query.c.rows).select_from(given).join(query, _current(given))
    ),
)
_SETTLE = Several(
    _ENDED,
    lambda given: (
        sa.update(query)
        .where(_current(given))
        .values(
            stage=step(Stage.RUNNING, Stage.SETTLED).value,
            ended_at=bindparam("now", type_=Double),
            charge_micro=given.c.charge,
            usage=given.c.used,
        )
    ),
)
_ANSWER = Several(
    _ASKED,
    lambda given: sa.insert(answer).from_select(
        ["query", "body"], sa.select(*given.c).where(given.c.id.is_not(None))
    ),
)
_NAMING = Several(
    _ID,
    lambda given: (
        sa.select(query_blob.c.query).join(given, given.c.id == query_blob.c.query).distinct()
    ),
)


def accept_all(
    conn: sa.Connection, asked: Sequence[Asked], decide: Decide
) -> list[Accepted | RealmError]:
    """Write several queries of a person down, each as :func:`acceptance.accept` does or not at all.

    Those that are refused are returned as what refuses them. None of them may name a blob or have
    rows: that could be refused when half of it is written.
    """
    arrivals = _Arrivals(conn, asked[0][0].user, asked[0][1], decide)
    arrivals.look_up([new.key for new, _, _ in asked])
    told = [arrivals.examine(new, epoch) for new, _, epoch in asked]
    if _write(conn, arrivals.user, arrivals.coming):
        return told
    return [_by_itself(conn, one, decide) for one in asked]


class _Arrivals:
    """Decides of each, by what is looked up once for all of them."""

    def __init__(self, conn: sa.Connection, user: str, quotas: Quotas, decide: Decide) -> None:
        found = _PERSON.one_or_none(conn, {"who": user})
        if found is None:
            raise LookupError(f"{user!r} is not known here")
        self.user = user
        #: Those that are to be written down, each with the epoch in which it begins at once.
        self.coming: list[tuple[NewQuery, int | None]] = []
        self._conn, self._decide, self._person = conn, decide, found
        self._quotas = quotas
        #: What the person is held to and has used; unknown until one is new.
        self._standing: tuple[Quotas, Standing] | None = None
        #: What a key names already, and the hash of that: in the store, and of those that come.
        self._known: dict[str, tuple[str, Accepted]] = {}

    def look_up(self, keys: Sequence[str]) -> None:
        """Find what the keys name already."""
        for row in _KNOWN.run(self._conn, [(key,) for key in keys], {"who": self.user}):
            named = Accepted(row.id, row.model, row.hold_micro, True, Stage(row.stage))
            self._known[row.key] = row.body_hash, named

    def examine(self, new: NewQuery, epoch: int | None) -> Accepted | RealmError:
        """Return what becomes of one."""
        try:
            return self._examine(new, epoch)
        except RealmError as error:
            return error

    def _examine(self, new: NewQuery, epoch: int | None) -> Accepted:
        if new.key in self._known:
            known_hash, named = self._known[new.key]
            acceptance.check_same(new.key, known_hash, new.body_hash)
            return named
        if self._standing is None:
            rules = acceptance.rules_of(self._person, self._quotas)
            self._standing = rules, standing(self._conn, self.user, rules, new.created_at)
        rules, used = self._standing
        epoch = acceptance.admit(new, rules, used, self._decide, epoch)
        self._standing = rules, counted(used, new, begins=epoch is not None)
        self.coming.append((new, epoch))
        accepted = Accepted(new.id, new.model, new.hold_micro, stage=acceptance.first_stage(epoch))
        self._known[new.key] = new.body_hash, msgspec.structs.replace(accepted, repeated=True)
        return accepted


def _by_itself(conn: sa.Connection, asked: Asked, decide: Decide) -> Accepted | RealmError:
    try:
        return acceptance.accept(conn, asked[0], asked[1], decide, asked[2])
    except RealmError as error:
        return error


def _write(conn: sa.Connection, user: str, coming: Sequence[tuple[NewQuery, int | None]]) -> bool:
    """Write queries down with their holds; false, and nothing, without funds for all of them."""
    if not coming:
        return True
    holds = [(new.id, new.hold_micro, new.created_at) for new, _ in coming]
    if not ledger.hold_all(conn, ledger.account_of(user), holds):
        return False
    _ACCEPT.run(conn, [_row(new, epoch) for new, epoch in coming], {"who": user})
    _ASK.run(conn, [(new.id, new.body) for new, _ in coming], {})
    return True


def _row(new: NewQuery, epoch: int | None) -> tuple[object, ...]:
    """Return a query as :data:`_NEW` has it."""
    row = acceptance.row_of(new, epoch)
    return tuple(row[name] for name in _NEW)


def settle_all(conn: sa.Connection, ended: Sequence[Ending], epoch: int, now: float) -> bool:
    """End queries of one epoch with their answers and charges; false, and nothing, if any is stale.

    Raises
    ------
    LedgerRefused
        A charge is above its hold.
    """
    rows = [
        (one.id, one.attempt, one.user, one.model, one.charge.amount_micro, _used(one.charge))
        for one in ended
    ]
    told = {"of_epoch": epoch, "now": now}
    counts = {row.id: row.rows for row in _CURRENT.run(conn, rows, told)}
    if len(counts) < len(rows):
        return False
    try:
        _SETTLE.run(conn, rows, told)
    except sa.exc.IntegrityError as error:
        raise ledger.LedgerRefused("one of them cannot be charged so much") from error
    ledger.settle_all(conn, [(one.id, one.charge.amount_micro) for one in ended], now)
    _ANSWER.run(conn, [(one.id, encode(one.answer)) for one in ended], {})
    _tally(conn, ended, now)
    _keep_blobs(conn, ended)
    for one in ended:
        tablerows.let_go(conn, one.user, one.id, counts[one.id], one.answer)
    return True


def _used(charge: Charge) -> str:
    return encode(charge.usage).decode()


def _tally(conn: sa.Connection, ended: Sequence[Ending], now: float) -> None:
    charges: dict[tuple[str, str], list[Charge]] = defaultdict(list)
    for one in ended:
        charges[one.user, one.model].append(one.charge)
    for (user, model), some in charges.items():
        spending.add(conn, user, model, some, now)


def _keep_blobs(conn: sa.Connection, ended: Sequence[Ending]) -> None:
    """See to the blobs that the queries and their answers name: those of a few, if of any."""
    naming = {row.query for row in _NAMING.run(conn, [(one.id,) for one in ended], {})}
    for one in ended:
        blobs = endings.named_by(one.answer)
        if blobs:
            answer_with(conn, one.id, one.user, blobs)
        if one.id in naming:
            keep_only(conn, one.id, blobs)
