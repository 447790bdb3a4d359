"""Who one is here, what one has, and what one has spent."""

from __future__ import annotations

from mtor_kernel.gateway.base import Gate
from mtor_kernel.protocol.identity import SCOPE_QUERY
from mtor_kernel.protocol.views import Page


class Myself(Gate):
    """``api/me``: name, role, balance and quotas."""

    scope = SCOPE_QUERY

    async def get(self) -> None:
        """Return them."""
        self.reply(await self.gateway.realm.me(self.user))


class MyUsage(Gate):
    """``api/usage``: what one spent, a row for each day and model."""

    scope = SCOPE_QUERY

    async def get(self) -> None:
        """Return the last ``days``, today among them."""
        days = self.whole("days", 30, 1, 366)
        self.reply(Page(tuple(await self.gateway.realm.usage(self.user, days))))
