"""Who is known to the realm, and who is banned from it."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.errors import Banned, NotFound
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.views import PersonInfo
from mtor_kernel.storage import ledger
from mtor_kernel.storage.rows import Row
from mtor_kernel.storage.schema import account, person, query


class Person(msgspec.Struct, frozen=True):
    """Somebody who has been here."""

    name: str
    role: Role
    created_at: float
    #: ``None``: not banned.
    banned_at: float | None = None
    ban_reason: str = ""
    groups: frozenset[str] = frozenset()

    def require_welcome(self) -> None:
        """Raise :class:`Banned` where the person is."""
        if self.banned_at is not None:
            raise banned(self.ban_reason)


_GET = (
    sa.select(person, account.c.unlimited)
    .join(account, account.c.id == bindparam("of"))
    .where(person.c.name == bindparam("who"))
)
_ADD = sa.insert(person).values(banned_at=None, ban_reason="")
_ROLE = (
    sa.update(person)
    .where(person.c.name == bindparam("who"))
    .values(role=bindparam("as_role"), group_names=bindparam("in_groups"))
)
_FLOOR = (
    sa.update(account).where(account.c.id == bindparam("of")).values(unlimited=bindparam("free"))
)
_BAN = (
    sa.update(person)
    .where(person.c.name == bindparam("who"))
    .values(banned_at=bindparam("at"), ban_reason=bindparam("why"))
)
_ALL = (
    sa.select(person, account.c.posted_micro, account.c.held_micro, account.c.unlimited)
    # The account of a person is named after them: ledger.account_of.
    .outerjoin(account, account.c.id == ledger.account_of("") + person.c.name)
    .order_by(person.c.name)
)
_BUSY = sa.select(person).where(
    sa.exists().where(query.c.person == person.c.name, query.c.ended_at.is_(None))
)


def banned(reason: str) -> Banned:
    """Return the refusal that a banned person sees."""
    why = f": {reason}" if reason else ""
    return Banned(f"The sysop has closed this realm to you{why}. Ask the sysop to open it again.")


def ensure(
    conn: sa.Connection,
    name: str,
    role: Role,
    now: float,
    *,
    unlimited: bool = False,
    grant_micro: int = 0,
    groups: frozenset[str] = frozenset(),
) -> Person:
    """Return the person of this name, made known where they were not, in role and groups given.

    A new person gets an account, with `grant_micro` credits to begin with. An unlimited account has
    no floor. When one ceases to be unlimited, its debt is written off by a grant: it goes on from
    zero.
    """
    row = _row(conn, name)
    if row is None:
        return _welcome(conn, Person(name, role, now, groups=groups), unlimited, grant_micro)
    shown = _shown(groups)
    if (row.role, row.group_names) != (role, shown):
        conn.execute(_ROLE, {"who": name, "as_role": role, "in_groups": shown})
    if row.unlimited != unlimited:
        _set_floor(conn, ledger.account_of(name), unlimited, now)
    return Person(name, role, row.created_at, row.banned_at, row.ban_reason, groups)


def get(conn: sa.Connection, name: str) -> Person:
    """Return the person of this name, or raise :class:`NotFound`."""
    row = _row(conn, name)
    if row is None:
        raise _nobody(name)
    return _person(row)


def ban(conn: sa.Connection, name: str, reason: str, now: float) -> None:
    """Close the realm to a person; raise :class:`NotFound` where nobody has this name."""
    if conn.execute(_BAN, {"who": name, "at": now, "why": reason}).rowcount != 1:
        raise _nobody(name)


def unban(conn: sa.Connection, name: str) -> None:
    """Open the realm to a person again; raise :class:`NotFound` where nobody has this name."""
    if conn.execute(_BAN, {"who": name, "at": None, "why": ""}).rowcount != 1:
        raise _nobody(name)


def all(conn: sa.Connection) -> list[PersonInfo]:  # noqa: A001 - read as `people.all`
    """Return everybody, by name, with what they have."""
    return [
        PersonInfo(
            row.name,
            Role(row.role),
            row.created_at,
            row.banned_at,
            row.ban_reason,
            tuple(msgspec.json.decode(row.group_names)),
            row.posted_micro or 0,
            row.held_micro or 0,
            bool(row.unlimited),
        )
        for row in conn.execute(_ALL)
    ]


def busy(conn: sa.Connection) -> list[Person]:
    """Return those who have queries under way."""
    return [_person(row) for row in conn.execute(_BUSY)]


def _welcome(conn: sa.Connection, new: Person, unlimited: bool, grant_micro: int) -> Person:
    of = ledger.account_of(new.name)
    told = {"name": new.name, "role": new.role, "created_at": new.created_at}
    conn.execute(_ADD, {**told, "group_names": _shown(new.groups)})
    ledger.open_account(conn, of, unlimited=unlimited)
    if grant_micro:
        ledger.grant(conn, of, grant_micro, f"to begin with, as {new.role}", new.created_at)
    return new


def _set_floor(conn: sa.Connection, of: str, unlimited: bool, now: float) -> None:
    debt = -ledger.balance(conn, of).available_micro
    if not unlimited and debt > 0:
        ledger.grant(conn, of, debt, "written off: no longer unlimited", now)
    conn.execute(_FLOOR, {"of": of, "free": unlimited})


def _row(conn: sa.Connection, name: str) -> Row | None:
    told = {"who": name, "of": ledger.account_of(name)}
    return conn.execute(_GET, told).one_or_none()


def _person(row: Row) -> Person:
    groups = frozenset(msgspec.json.decode(row.group_names))
    return Person(row.name, Role(row.role), row.created_at, row.banned_at, row.ban_reason, groups)


def _shown(groups: frozenset[str]) -> str:
    return msgspec.json.encode(sorted(groups)).decode()


def _nobody(name: str) -> NotFound:
    return NotFound(f"Nobody named {name!r} has been here: check the spelling.")
