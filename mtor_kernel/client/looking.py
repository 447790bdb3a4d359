"""What a realm shows, and what it keeps of one's own queries and conversations."""

from __future__ import annotations

from typing import Any

import msgspec

from mtor_kernel.client import moments
from mtor_kernel.client.export import as_json, as_markdown
from mtor_kernel.client.given import whole, words
from mtor_kernel.client.http import Http, segment
from mtor_kernel.client.moments import Moment
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.ngram import RealmState
from mtor_kernel.protocol.views import (
    ConversationInfo,
    Me,
    Page,
    QueryInfo,
    UsageRow,
    WorkerInfo,
)

#: Queries that one page of the history holds.
PAGE = 200


class Looking:
    """Reads a realm's resources, and changes one's own. Nothing here is recorded or replayed."""

    _http: Http

    async def workers(self) -> list[WorkerInfo]:
        """Return who serves."""
        return await self._http.list("api/workers", WorkerInfo)

    async def queue(self) -> RealmState:
        """Return the depth of every lane, and whether admission is open."""
        return await self._http.get("api/lanes", RealmState)

    async def me(self) -> Me:
        """Return who one is here, and what one has."""
        return await self._http.get("api/me", Me)

    async def history(
        self,
        search: str = "",
        limit: int = 20,
        *,
        model: str = "",
        status: str = "",
        since: Moment = None,
        until: Moment = None,
    ) -> list[QueryInfo]:
        """Return one's own latest queries, newest first.

        Parameters
        ----------
        search
            Words in the first 200 characters of the question.
        model
            As it was asked for, or the one that answered.
        status
            ``queued``, ``running``, ``settled``, ``failed`` or ``cancelled``.
        since, until
            Days or times, such as ``2026-11-22``, ``today`` or a ``datetime``; both are included.
        """
        limit = whole("limit", limit)
        sought = {
            "search": words("search", search),
            "model": words("model", model),
            "stage": words("status", status),
            "since": moments.since(since),
            "until": moments.until(until),
        }
        found: list[QueryInfo] = []
        before = ""
        while len(found) < limit:
            most = min(limit - len(found), PAGE)
            page = await self._http.get("api/queries", Page, **sought, before=before, limit=most)
            found += [msgspec.convert(item, QueryInfo) for item in page.items]
            before = page.next
            if not before:
                break
        return found

    async def usage(self, days: int = 30) -> list[UsageRow]:
        """Return what one spent, by day and model."""
        return await self._http.list("api/usage", UsageRow, days=whole("days", days))

    async def info(self, id: str) -> QueryInfo:
        """Return one of one's own queries, with its question and its answer."""
        return await self._http.get(f"api/queries/{segment(id)}", QueryInfo)

    async def cancel(self, id: str) -> None:
        """Stop one of one's own queries. One that has ended stays as it is."""
        await self._http.fetch("DELETE", f"api/queries/{segment(id)}")

    # Conversations.

    async def conversations(self, limit: int = 50) -> list[ConversationInfo]:
        """Return one's own conversations, the latest first, without their queries."""
        return await self._http.list(
            "api/conversations", ConversationInfo, limit=whole("limit", limit)
        )

    async def conversation(self, id: str) -> ConversationInfo:
        """Return one conversation with its questions and answers."""
        return await self._http.get(f"api/conversations/{segment(id)}", ConversationInfo)

    async def keep_turn(self, id: str, name: str, query: str) -> None:
        """Add an answered query to a conversation, which begins with its first.

        `id` is one's own choice, 32 hexadecimal digits, and so is the `name` of a new one.
        """
        turn = {"query": words("query", query), "name": words("name", name)}
        await self._http.post(f"api/conversations/{segment(id)}", turn, Any)

    async def rename_conversation(self, id: str, name: str) -> ConversationInfo:
        """Call a conversation something else."""
        path = f"api/conversations/{segment(id)}"
        return await self._http.post(path, {"name": words("name", name)}, ConversationInfo, "PATCH")

    async def forget_conversation(self, id: str) -> None:
        """Drop a conversation; its queries stay in the history."""
        await self._http.fetch("DELETE", f"api/conversations/{segment(id)}")

    async def export_conversation(self, id: str, form: str = "markdown") -> str:
        """Return a conversation as a document: ``markdown`` or ``json``."""
        forms = {"markdown": as_markdown, "json": as_json}
        if form not in forms:
            raise BadInput(f"A conversation is exported as markdown or json, not as {form!r}.")
        return forms[form](await self.conversation(id))
