"""What only the sysop may, for plain code."""

from __future__ import annotations

from typing import Any

from mtor_kernel.client.loop import LoopThread
from mtor_kernel.client.sysop import SysopDesk
from mtor_kernel.protocol.quota import Quotas, RuleOf
from mtor_kernel.protocol.views import (
    AuditInfo,
    CheckInfo,
    PersonInfo,
    RuleInfo,
    SysopQueryInfo,
)


class PlainSysop:
    """A sysop's acts; each waits until it is done. See :class:`SysopDesk` for what they promise."""

    def __init__(self, loop: LoopThread, desk: SysopDesk) -> None:
        self._loop = loop
        self._desk = desk

    def __call__(self, action: str, **fields: Any) -> Any:
        """Do any act by its address, and return what comes back, as plain values."""
        return self._loop.call(self._desk, action, **fields)

    def people(self) -> list[PersonInfo]:
        """Return everybody who was ever here, and what they have."""
        return self._loop.call(self._desk.people)

    def queries(self, user: str = "", limit: int = 100) -> list[SysopQueryInfo]:
        """Return everybody's queries that are under way, or the latest of one person."""
        return self._loop.call(self._desk.queries, user, limit)

    def ban(self, user: str, reason: str = "", *, stop: bool = True) -> None:
        """Close the realm to a person at once; their queries go on only where `stop` is false."""
        self._loop.call(self._desk.ban, user, reason, stop=stop)

    def unban(self, user: str, reason: str = "") -> None:
        """Open it to them again."""
        self._loop.call(self._desk.unban, user, reason)

    def stop_queries(self, user: str, reason: str = "") -> int:
        """Cancel everything of a person's that is under way; return how many that were."""
        return self._loop.call(self._desk.stop_queries, user, reason)

    def grant(self, user: str, credits: float, reason: str = "") -> None:
        """Give a person credits; a negative amount takes them."""
        self._loop.call(self._desk.grant, user, credits, reason)

    def rules(self) -> list[RuleInfo]:
        """Return what is ruled for persons, groups and roles."""
        return self._loop.call(self._desk.rules)

    def quota(
        self,
        name: str,
        quotas: Quotas | None,
        reason: str = "",
        *,
        kind: RuleOf = RuleOf.PERSON,
    ) -> None:
        """Have `quotas` hold for a person, group or role; ``None`` takes back what was set."""
        self._loop.call(self._desk.quota, name, quotas, reason, kind=kind)

    def pause(self, on: bool = True, reason: str = "") -> None:
        """Take no new queries, or with `on` false take them again."""
        self._loop.call(self._desk.pause, on, reason)

    def drain(self, worker: str, on: bool = True, reason: str = "") -> None:
        """Have a worker take nothing new, or with `on` false take work again."""
        self._loop.call(self._desk.drain, worker, on, reason)

    def remove(self, worker: str, reason: str = "") -> None:
        """Send a worker away once it has finished what it runs.

        It is kept out, also when it or the realm starts anew, until ``drain`` with `on` false.
        """
        self._loop.call(self._desk.remove, worker, reason)

    def notice(self, text: str) -> None:
        """Say something to everybody who is connected."""
        self._loop.call(self._desk.notice, text)

    def audit(self, limit: int = 50, before: int | None = None) -> list[AuditInfo]:
        """Return what was done, newest first; `before` is the number of the last one seen."""
        return self._loop.call(self._desk.audit, limit, before)

    def check(self) -> CheckInfo:
        """Return what is wrong with ledger, audit log and seals; all of them are read for it."""
        return self._loop.call(self._desk.check)
