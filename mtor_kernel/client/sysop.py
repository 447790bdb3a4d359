"""What only the sysop may: people, quotas, credits, workers, admission, the audit log."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

from mtor_kernel.client.http import Http, segment
from mtor_kernel.protocol.account import MICRO
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.quota import Quotas, RuleOf
from mtor_kernel.protocol.views import (
    AuditInfo,
    CheckInfo,
    PersonInfo,
    RuleInfo,
    SysopQueryInfo,
)

#: Acts that change nothing, and answer with a list.
LISTS = frozenset({"people", "audit", "pulls", "queries"})
#: Those that answer with one thing.
LOOKS = frozenset({"catalogue", "check"})


class SysopDesk:
    """A sysop's acts, each of which is one row of the audit log.

    Everything here raises :class:`~mtor_kernel.protocol.errors.Forbidden` for whoever is no sysop.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    async def __call__(self, action: str, **fields: Any) -> Any:
        """Do any act by its address, and return what comes back, as plain values.

        Parameters
        ----------
        action
            What stands behind ``api/sysop/``, such as ``reload`` or ``workers/NAME/load``.
        fields
            What the action needs, such as ``model="smollm2"``.
        """
        path = f"api/sysop/{quote(action)}"
        if action in LISTS:
            return await self._http.list(path, Any, **fields)
        if action in LOOKS:
            return await self._http.get(path, Any)
        return await self._http.post(path, fields, Any)

    # People.

    async def people(self) -> list[PersonInfo]:
        """Return everybody who was ever here, and what they have."""
        return await self._http.list("api/sysop/people", PersonInfo)

    async def queries(self, user: str = "", limit: int = 100) -> list[SysopQueryInfo]:
        """Return everybody's queries that are under way, or the latest of one person."""
        return await self._http.list("api/sysop/queries", SysopQueryInfo, user=user, limit=limit)

    async def ban(self, user: str, reason: str = "", *, stop: bool = True) -> None:
        """Close the realm to a person at once; their queries go on only where `stop` is false."""
        await self("ban", user=user, reason=reason, stop=stop)

    async def unban(self, user: str, reason: str = "") -> None:
        """Open it to them again."""
        await self("unban", user=user, reason=reason)

    async def stop_queries(self, user: str, reason: str = "") -> int:
        """Cancel everything of a person's that is under way; return how many that were."""
        return int((await self("stop-queries", user=user, reason=reason))["stopped"])

    # Quotas and credits.

    async def grant(self, user: str, credits: float, reason: str = "") -> None:
        """Give a person credits; a negative amount takes them."""
        if not math.isfinite(credits):
            raise BadInput(f"{credits} is no amount of credits: write a number, such as 25.")
        await self("grant", user=user, micro=round(credits * MICRO), reason=reason)

    async def rules(self) -> list[RuleInfo]:
        """Return what is ruled for persons, groups and roles."""
        return await self._http.list("api/sysop/quota", RuleInfo)

    async def quota(
        self,
        name: str,
        quotas: Quotas | None,
        reason: str = "",
        *,
        kind: RuleOf = RuleOf.PERSON,
    ) -> None:
        """Have `quotas` hold for a person, group or role, in place of what was set for them before.

        ``None`` takes that back.
        """
        of = "user" if kind is RuleOf.PERSON else str(kind)
        await self("quota", **{of: name, "quotas": quotas, "reason": reason})

    # The place.

    async def pause(self, on: bool = True, reason: str = "") -> None:
        """Take no new queries, or with `on` false take them again."""
        await self("pause", on=on, reason=reason)

    async def drain(self, worker: str, on: bool = True, reason: str = "") -> None:
        """Have a worker take nothing new, or with `on` false take work again."""
        await self._order(worker, "drain" if on else "resume", reason)

    async def remove(self, worker: str, reason: str = "") -> None:
        """Send a worker away once it has finished what it runs.

        It is kept out, also when it or the realm starts anew, until ``drain`` with `on` false.
        """
        await self._order(worker, "remove", reason)

    async def _order(self, worker: str, order: str, reason: str) -> None:
        path = f"api/sysop/workers/{segment(worker)}/{order}"
        await self._http.post(path, {"reason": reason}, Any)

    async def notice(self, text: str) -> None:
        """Say something to everybody who is connected."""
        await self("notice", text=text)

    async def audit(self, limit: int = 50, before: int | None = None) -> list[AuditInfo]:
        """Return what was done, newest first; `before` is the number of the last one seen."""
        return await self._http.list("api/sysop/audit", AuditInfo, limit=limit, before=before)

    async def check(self) -> CheckInfo:
        """Return what is wrong with ledger, audit log and seals; all of them are read for it."""
        return await self._http.get("api/sysop/check", CheckInfo)
