"""Conversations: a person's answered queries that belong together, under a name."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.errors import BadInput, NotFound
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.views import ConversationInfo, Page
from mtor_kernel.storage import records
from mtor_kernel.storage.rows import Row
from mtor_kernel.storage.schema import conversation, conversation_turn, query

#: The most turns that one conversation is shown with, and that it may have.
MOST_TURNS = 1000

_TURNS = (
    sa.select(sa.func.count())
    .where(conversation_turn.c.conversation == conversation.c.id)
    .scalar_subquery()
    .label("turns")
)
_ALL = (
    sa.select(conversation, _TURNS)
    .where(conversation.c.person == bindparam("who"))
    .order_by(conversation.c.last_at.desc(), conversation.c.id)
    .limit(bindparam("most"))
)
_ONE = sa.select(conversation, _TURNS).where(
    conversation.c.id == bindparam("of"), conversation.c.person == bindparam("who")
)
_ANYBODYS = sa.select(conversation.c.person).where(conversation.c.id == bindparam("of"))
_QUERIES = (
    sa.select(conversation_turn.c.query)
    .join(query, query.c.id == conversation_turn.c.query)
    .where(conversation_turn.c.conversation == bindparam("of"))
    .order_by(query.c.created_at, query.c.id)
)
_QUERY = sa.select(query.c.stage, query.c.ended_at).where(
    query.c.id == bindparam("of"), query.c.person == bindparam("who")
)
_TURN = sa.select(conversation_turn.c.conversation).where(
    conversation_turn.c.query == bindparam("of")
)


def listed(conn: sa.Connection, person: str, limit: int) -> Page:
    """Return a person's conversations, the latest first."""
    rows = conn.execute(_ALL, {"who": person, "most": limit}).all()
    return Page(tuple(_shown(row) for row in rows))


def told(conn: sa.Connection, person: str, id: str) -> ConversationInfo:
    """Return one conversation with its queries, in order; raise :class:`NotFound` for any other."""
    shown = _shown(_row(conn, person, id))
    queries = tuple(
        records.info(conn, found, person) for found in conn.scalars(_QUERIES, {"of": id}).all()
    )
    return msgspec.structs.replace(shown, queries=queries)


def keep(conn: sa.Connection, person: str, id: str, name: str, turn: str, now: float) -> None:
    """Add an answered query to a conversation, which begins with its first; repeating adds nothing.

    Raises
    ------
    NotFound
        The query, or the conversation, is somebody else's, or there is none such.
    BadInput
        The query has no answer, or belongs to another conversation.
    """
    found = conn.execute(_QUERY, {"of": turn, "who": person}).one_or_none()
    if found is None:
        raise records.unknown(turn)
    if found.stage != Stage.SETTLED.value:
        raise BadInput("A conversation is made of answered queries, and this one has no answer.")
    owner = conn.scalar(_ANYBODYS, {"of": id})
    if owner is None:
        values = {"id": id, "person": person, "name": name, "started_at": now, "last_at": now}
        conn.execute(sa.insert(conversation), values)
    elif owner != person:
        raise _unknown()
    before = conn.scalar(_TURN, {"of": turn})
    if before is not None:
        if before != id:
            raise BadInput("That query belongs to another conversation already.")
        return
    if owner is not None and _row(conn, person, id).turns >= MOST_TURNS:
        raise BadInput(f"A conversation has at most {MOST_TURNS:,} turns: begin a new one.")
    conn.execute(sa.insert(conversation_turn), {"query": turn, "conversation": id})
    conn.execute(sa.update(conversation).where(conversation.c.id == id).values(last_at=now))


def rename(conn: sa.Connection, person: str, id: str, name: str) -> ConversationInfo:
    """Call a conversation `name`; raise :class:`NotFound` where it is nobody's or another's."""
    _row(conn, person, id)
    conn.execute(sa.update(conversation).where(conversation.c.id == id).values(name=name))
    return _shown(_row(conn, person, id))


def forget(conn: sa.Connection, person: str, id: str) -> None:
    """Drop a conversation; its queries stay. Raises :class:`NotFound` as :func:`rename` does."""
    _row(conn, person, id)
    conn.execute(sa.delete(conversation_turn).where(conversation_turn.c.conversation == id))
    conn.execute(sa.delete(conversation).where(conversation.c.id == id))


def _row(conn: sa.Connection, person: str, id: str) -> Row:
    row = conn.execute(_ONE, {"of": id, "who": person}).one_or_none()
    if row is None:
        raise _unknown()
    return row


def _shown(row: Row) -> ConversationInfo:
    return ConversationInfo(row.id, row.name, row.started_at, row.last_at, row.turns)


def _unknown() -> NotFound:
    return NotFound("You have no such conversation: %mtor conversations lists yours.")
