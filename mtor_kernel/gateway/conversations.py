"""Conversations over REST: list, read, add a turn, rename, forget. One's own only."""

from __future__ import annotations

from typing import Annotated

import msgspec

from mtor_kernel.gateway.base import Gate
from mtor_kernel.gateway.queries import known
from mtor_kernel.protocol.identity import SCOPE_QUERY
from mtor_kernel.protocol.query import END, QueryId

#: What a person calls a conversation: printable, on one line.
Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+" + END)
]


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query that was answered, and what the conversation is called if it begins with it."""

    query: QueryId
    name: Name


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a conversation is called from now on."""

    name: Name


class Conversations(Gate):
    """``api/conversations``: one's own, the latest first."""

    scope = SCOPE_QUERY

    async def get(self) -> None:
        """List them (``limit``)."""
        limit = self.whole("limit", 50, 1, 200)
        self.reply(await self.gateway.realm.conversations.listed(self.user, limit))


class OneConversation(Gate):
    """``api/conversations/{id}``: one of one's own; its id is chosen by who begins it."""

    scope = SCOPE_QUERY

    async def get(self, id: str) -> None:
        """Return it with its queries and their answers."""
        self.reply(await self.gateway.realm.conversations.told(self.user, known(id)))

    async def post(self, id: str) -> None:
        """Add a turn."""
        turn, ours = self.said(Turn), self.gateway.realm.conversations
        await ours.keep(self.user, known(id), turn.name, turn.query)
        self._done()

    async def patch(self, id: str) -> None:
        """Rename it."""
        name, ours = self.said(Naming).name, self.gateway.realm.conversations
        self.reply(await ours.rename(self.user, known(id), name))

    async def delete(self, id: str) -> None:
        """Forget it; its queries stay."""
        await self.gateway.realm.conversations.forget(self.user, known(id))
        self._done()

    def _done(self) -> None:
        self.set_status(204)
        self.clear_header("Content-Type")
        self.finish()
