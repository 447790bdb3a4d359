"""The trail of what sysops did: append-only, and chained by hash so that a change shows.

Each row's hash covers the row and the hash of the row before. Whoever keeps a copy of the newest
hash elsewhere can also tell whether rows were cut off at the end.
"""

from __future__ import annotations

import hashlib

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.codec import encode
from mtor_kernel.storage.schema import audit

#: What stands in the place of a hash before the first row.
GENESIS = "0" * 64


class Entry(msgspec.Struct, frozen=True):
    """One thing that was done."""

    id: int
    #: Seconds since the epoch.
    at: float
    actor: str
    action: str
    #: The person, worker, model… that it was done to.
    subject: str
    reason: str
    #: Figures, as JSON with sorted names: exactly the text that the hash covers.
    details: str
    hash: str

    def chained(self, before: str) -> str:
        """Return the hash that this row must have after a row with the hash `before`."""
        told = [before, self.id, self.at, self.actor, self.action, self.subject, self.reason]
        return hashlib.sha256(encode([*told, self.details])).hexdigest()


_LAST = sa.select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
_RECORD = sa.insert(audit)
_ALL = sa.select(audit).order_by(audit.c.id)
_SINCE = _ALL.where(audit.c.id > bindparam("after"))
_PAGE = (
    sa.select(audit)
    .where(audit.c.id < bindparam("before"))
    .order_by(audit.c.id.desc())
    .limit(bindparam("most"))
)


def record(
    conn: sa.Connection, actor: str, action: str, subject: str, reason: str,
    details: dict[str, str | int | float], now: float,
) -> Entry:  # fmt: skip
    """Write down what somebody did, in the transaction in which they did it."""
    last = conn.execute(_LAST).one_or_none()
    number, before = (1, GENESIS) if last is None else (last.id + 1, last.hash)
    shown = msgspec.json.encode(details, order="sorted").decode()
    # Hashed as every database keeps it: PostgreSQL has no NUL in a text.
    actor, subject, reason = (text.replace("\0", "\ufffd") for text in (actor, subject, reason))
    entry = Entry(number, float(now), actor, action, subject, reason, shown, "")
    entry = msgspec.structs.replace(entry, hash=entry.chained(before))
    conn.execute(_RECORD, msgspec.structs.asdict(entry))
    return entry


def head(conn: sa.Connection) -> str:
    """Return the newest hash, to be kept elsewhere."""
    last = conn.execute(_LAST).one_or_none()
    return GENESIS if last is None else str(last.hash)


def newest(conn: sa.Connection) -> int:
    """Return the number of the newest row; 0 where there is none."""
    last = conn.execute(_LAST).one_or_none()
    return 0 if last is None else int(last.id)


def since(conn: sa.Connection, after: int) -> list[Entry]:
    """Return what was done after the row of that number, oldest first."""
    return [Entry(*row) for row in conn.execute(_SINCE, {"after": after})]


def verify(conn: sa.Connection) -> list[str]:
    """Return what is wrong with the trail, a sentence each; empty where nothing is."""
    problems = []
    before, expected = GENESIS, 1
    for row in conn.execute(_ALL):
        entry = Entry(*row)
        if entry.id != expected:
            problems.append(f"audit row {expected} is missing")
        if entry.hash != entry.chained(before):
            problems.append(f"audit row {entry.id} is not what was written, or the one before it")
        before, expected = entry.hash, entry.id + 1
    return problems


def entries(conn: sa.Connection, before: int = 0, limit: int = 50) -> list[Entry]:
    """Return what was done, newest first; `before` is the ``id`` of the last one seen, if any."""
    told = {"before": before or 2**62, "most": limit}
    return [Entry(*row) for row in conn.execute(_PAGE, told)]
