"""A person's conversations: named threads of their answered queries."""

from __future__ import annotations

import time

from mtor_kernel.protocol.identity import User
from mtor_kernel.protocol.views import ConversationInfo, Page
from mtor_kernel.storage import conversations
from mtor_kernel.storage.store import Store


class Conversations:
    """What each person sees and changes of their own; another's are as unknown as none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def listed(self, user: User, limit: int) -> Page:
        """Return them, the latest first."""
        return await self._store.read(lambda db: conversations.listed(db, user.name, limit))

    async def told(self, user: User, id: str) -> ConversationInfo:
        """Return one with its queries and their answers."""
        return await self._store.read(lambda db: conversations.told(db, user.name, id))

    async def keep(self, user: User, id: str, name: str, query: str) -> None:
        """Add an answered query to one, which begins with its first."""
        now = time.time()
        await self._store.write(lambda db: conversations.keep(db, user.name, id, name, query, now))

    async def rename(self, user: User, id: str, name: str) -> ConversationInfo:
        """Call it something else."""
        return await self._store.write(lambda db: conversations.rename(db, user.name, id, name))

    async def forget(self, user: User, id: str) -> None:
        """Drop it; its queries stay."""
        await self._store.write(lambda db: conversations.forget(db, user.name, id))
