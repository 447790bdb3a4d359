"""What the sysop does. Every act is one row of the audit log, in the act's own transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import to_builtins
from sqlalchemy import Connection

from mtor_kernel.protocol.account import MICRO
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.identity import SCOPE_SYSOP, Role, User
from mtor_kernel.protocol.quota import Quotas, RuleOf
from mtor_kernel.protocol.views import (
    CatalogueInfo,
    CheckInfo,
    PersonInfo,
    PullInfo,
    RuleInfo,
    SysopQueryInfo,
)
from mtor_kernel.storage import audit, ledger, people, quotas, records, seals, settings
from mtor_kernel.storage.audit import Entry
from mtor_kernel.storage.people import all as everybody
from mtor_kernel.storage.settings import Admission

if TYPE_CHECKING:
    from mtor_kernel.realm.realm import Realm

T = TypeVar("T")


class Sysop:
    """The acts of a realm's operator. Each asks for the sysop's scope itself."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    async def pause(self, sysop: User, on: bool, reason: str = "") -> None:
        """Take no new queries, or take them again. What is under way goes on.

        It holds until a sysop says otherwise, across restarts too.
        """
        wanted = Admission(on, reason if on else "")
        await self._act(
            sysop,
            "pause" if on else "unpause",
            "",
            reason,
            lambda db: settings.set_admission(db, wanted),
        )

    async def ban(self, sysop: User, name: str, reason: str = "", *, stop: bool = True) -> None:
        """Close the realm to a person: at once, on open sockets too.

        All their queries are stopped, unless `stop` is false: then they go on to their ends.
        """
        if name == sysop.name:
            raise BadInput("You cannot ban yourself: nobody could open the realm to you again.")
        now = time.time()
        await self._act(sysop, "ban", name, reason, lambda db: people.ban(db, name, reason, now))
        if stop:
            await self.stop_queries(sysop, name, reason)

    async def unban(self, sysop: User, name: str, reason: str = "") -> None:
        """Open it to them again."""
        await self._act(sysop, "unban", name, reason, lambda db: people.unban(db, name))

    async def stop_queries(self, sysop: User, name: str, reason: str = "") -> int:
        """Cancel everything of a person's that is under way; return how many that were."""
        found = await self._act(
            sysop, "stop_queries", name, reason, lambda db: records.unfinished(db, name)
        )
        person = self._realm.people.last_seen(name)
        # Of a realm with several processes, those on this one's lines: the others hear of it.
        told = (self._realm.cancel(person, query) for query in found)
        await asyncio.gather(*told, return_exceptions=True)
        return len(found)

    async def grant(self, sysop: User, name: str, credits_micro: int, reason: str = "") -> None:
        """Give a person credits; a negative amount takes them."""
        if not credits_micro or abs(credits_micro) > 10**9 * MICRO:
            raise BadInput("Grant more than nothing, and at most a thousand million credits.")
        account, now = ledger.account_of(name), time.time()
        await self._act(
            sysop,
            "grant",
            name,
            reason,
            lambda db: ledger.grant(db, account, credits_micro, reason, now),
            micro=credits_micro,
        )

    async def quota(
        self,
        sysop: User,
        name: str,
        rules: Quotas | None,
        reason: str = "",
        kind: RuleOf = RuleOf.PERSON,
    ) -> None:
        """Set rules for a person, a group or a role; ``None``: take back what was set.

        They go before what is ruled less specially, rule by rule; see
        :mod:`mtor_kernel.realm.rules`.

        Raises
        ------
        BadInput
            There is no such role.
        """
        if kind is RuleOf.ROLE and name not in set(Role):
            raise BadInput(f"There is no role {name!r}; the roles are {', '.join(Role)}.")
        limits = {} if rules is None else to_builtins(rules)
        await self._act(
            sysop,
            "quota",
            name,
            reason,
            lambda db: quotas.set_override(db, name, rules, kind),
            **limits,
            **({} if kind is RuleOf.PERSON else {"kind": str(kind)}),
        )

    async def drain(self, sysop: User, worker: str, on: bool, reason: str = "") -> None:
        """Have a worker take nothing new, or take work again, also one that was removed.

        That holds across restarts of the worker and of the realm.
        """
        if on:
            await self._set_aside(sysop, "drain", settings.drain, worker, reason)
        else:
            await self._set_aside(sysop, "resume", settings.resume, worker, reason)

    async def remove(self, sysop: User, worker: str, reason: str = "") -> None:
        """Send a worker away once it has finished what it runs, until it may resume.

        That holds across restarts of the worker and of the realm.
        """
        await self._set_aside(sysop, "remove", settings.remove, worker, reason)

    async def _set_aside(
        self,
        sysop: User,
        action: str,
        work: Callable[[Connection, str], None],
        worker: str,
        reason: str,
    ) -> None:
        sysop.require(SCOPE_SYSOP)
        self._realm.workers.require(worker)
        await self._act(sysop, action, worker, reason, lambda db: work(db, worker))

    async def load(self, sysop: User, worker: str, model: str) -> None:
        """Have a worker bring a model into memory."""
        self._realm.workers.named(worker)
        await self._act(sysop, "load", f"{worker}/{model}", "")
        self._realm.workers.load(worker, model, True)

    async def unload(self, sysop: User, worker: str, model: str) -> None:
        """Have a worker take a model out of memory."""
        self._realm.workers.named(worker)
        await self._act(sysop, "unload", f"{worker}/{model}", "")
        self._realm.workers.load(worker, model, False)

    async def reload(self, sysop: User) -> None:
        """Read the catalogue again."""
        sysop.require(SCOPE_SYSOP)
        await self._realm.equipment.reload()
        await self._act(sysop, "reload", "catalogue", "")

    async def pull(self, sysop: User, model: str, on: bool = True) -> None:
        """Fetch the weights of a model of the list and serve it; or stop doing so."""
        await self._act(sysop, "pull" if on else "stop-pull", model, "")
        if on:
            self._realm.pulls.start(model)
        else:
            await self._realm.pulls.stop(model)

    async def pulls(self, sysop: User) -> list[PullInfo]:
        """Return the pulls since the realm began, and how far they are."""
        sysop.require(SCOPE_SYSOP)
        return self._realm.pulls.infos()

    async def catalogue(self, sysop: User) -> CatalogueInfo:
        """Return which catalogue is in force, and why not what its file says, where it is not."""
        sysop.require(SCOPE_SYSOP)
        file, lanes = self._realm.equipment.catalogue_file, self._realm.lanes
        return CatalogueInfo(
            "" if file.path is None else str(file.path),
            file.read_at,
            file.fault,
            tuple(lanes.catalogue.by_name),
            tuple(lane.model for lane in lanes if lane.retired_at is not None),
        )

    async def stop(self, sysop: User, reason: str = "") -> None:
        """Note that the realm is being stopped; whoever serves it does that."""
        await self._act(sysop, "stop", "", reason)

    async def notice(self, sysop: User, text: str) -> None:
        """Say something to everybody who is connected."""
        await self._act(sysop, "notice", "", text)

    async def people(self, sysop: User) -> list[PersonInfo]:
        """Return everybody who was ever here, and what they have."""
        sysop.require(SCOPE_SYSOP)
        return await self._realm.store.read(everybody)

    async def audit(self, sysop: User, before: int = 0, limit: int = 100) -> list[audit.Entry]:
        """Return the audit log, the latest first."""
        sysop.require(SCOPE_SYSOP)
        return await self._realm.store.read(lambda db: audit.entries(db, before, limit))

    async def queries(self, sysop: User, user: str = "", limit: int = 100) -> list[SysopQueryInfo]:
        """Return everybody's queries that are under way, or the latest of one person.

        What they are about is left out, unless the realm is set to show it; it then tells
        everybody so.
        """
        sysop.require(SCOPE_SYSOP)
        prompts = self._realm.people.show_prompts
        return await self._realm.store.read(
            lambda db: records.for_sysop(db, user, limit, prompts=prompts)
        )

    async def rules(self, sysop: User) -> list[RuleInfo]:
        """Return what is ruled for persons, groups and roles."""
        sysop.require(SCOPE_SYSOP)
        return self._realm.people.rules.infos()

    async def check(self, sysop: User) -> CheckInfo:
        """Return what is wrong with the ledger, the audit log and the seals. Reads all of them."""
        sysop.require(SCOPE_SYSOP)

        def work(db: Connection) -> CheckInfo:
            return CheckInfo(
                tuple(ledger.check(db)), tuple(audit.verify(db)), tuple(seals.verify(db))
            )

        return await self._realm.store.read(work)

    async def seal(self) -> None:
        """Seal the transfers that are not sealed yet."""
        while await self._realm.store.write(lambda db: seals.set_seal(db, time.time())):
            pass

    async def check_books(self) -> list[str]:
        """Return what does not add up in the ledger; empty as long as all does."""
        return await self._realm.store.read(ledger.check)

    async def _act(
        self,
        sysop: User,
        action: str,
        subject: str,
        reason: str,
        work: Callable[[Connection], T] | None = None,
        **details: Any,
    ) -> T:
        """Do `work` and note it, both or neither."""
        sysop.require(SCOPE_SYSOP)
        now = time.time()

        def both(db: Connection) -> tuple[Any, Entry]:
            done = work(db) if work is not None else None
            return done, audit.record(db, sysop.name, action, subject, reason, details, now)

        result: T = await self._realm.acts.carry_out(both)
        return result
