"""What the sysop does. Every act is the realm's, which writes down who did it and why."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from mtor_kernel.gateway.base import Gate
from mtor_kernel.protocol.errors import Malformed, NotFound
from mtor_kernel.protocol.identity import SCOPE_SYSOP, GroupName, Role, UserName
from mtor_kernel.protocol.query import ModelName
from mtor_kernel.protocol.quota import Quotas, RuleOf
from mtor_kernel.protocol.views import Page

T = TypeVar("T")

Reason = Annotated[str, msgspec.Meta(max_length=500)]
#: The most credits that one grant gives or takes, in micro-credits.
MAX_GRANT_MICRO = 10**15


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an act."""


class Reasoning(_Order, frozen=True):
    """Why."""

    reason: Reason = ""


class Pausing(_Order, frozen=True):
    """Close admission, or open it again; and why."""

    on: bool = True
    reason: Reason = ""


class Naming(_Order, frozen=True):
    """Whom, and why."""

    user: UserName
    reason: Reason = ""


class Banning(Naming, frozen=True):
    """Whom, why, and whether all their queries are stopped too."""

    stop: bool = True


class Granting(_Order, frozen=True):
    """To whom, how much, and why."""

    user: UserName
    #: A negative amount takes them.
    micro: Annotated[int, msgspec.Meta(ge=-MAX_GRANT_MICRO, le=MAX_GRANT_MICRO)]
    reason: Reason = ""


class Ruling(_Order, frozen=True):
    """For which one person, group or role which rules hold; without any, what was ruled is not."""

    user: UserName | None = None
    group: GroupName | None = None
    role: Role | None = None
    quotas: Quotas | None = None
    reason: Reason = ""

    def subject(self) -> tuple[RuleOf, str]:
        """Return for whom it is; raise :class:`Malformed` where that is not one."""
        named = [
            (kind, str(name))
            for kind, name in zip(RuleOf, (self.user, self.group, self.role), strict=True)
            if name is not None
        ]
        if len(named) != 1:
            raise Malformed("Say for whom the rules are: one 'user', 'group' or 'role'.")
        return named[0]


class Loading(_Order, frozen=True):
    """Which model."""

    model: ModelName


class Pulling(_Order, frozen=True):
    """Which model's weights; and whether to fetch them, or to stop that."""

    model: ModelName
    on: bool = True


class Saying(_Order, frozen=True):
    """What to tell everybody."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class _Act(Gate):
    """One act of the sysop."""

    scope = SCOPE_SYSOP

    def order(self, kind: type[T]) -> T:
        """Return what the body says; of an empty one, what `kind` says by itself."""
        return self.said(kind) if self._body else kind()

    def done(self) -> None:
        """Answer that it is done."""
        self.set_status(204)
        self.clear_header("Content-Type")
        self.finish()


class Pause(_Act):
    """``api/sysop/pause``: close or open admission; what is admitted goes on."""

    async def post(self) -> None:
        """Do it."""
        order = self.order(Pausing)
        await self.gateway.realm.sysop.pause(self.user, order.on, order.reason)
        self.done()


class Reload(_Act):
    """``api/sysop/reload``: read the model catalogue again."""

    async def post(self) -> None:
        """Do it."""
        await self.gateway.realm.sysop.reload(self.user)
        self.done()


class People(_Act):
    """``api/sysop/people``: everybody whom the realm knows."""

    async def get(self) -> None:
        """List them."""
        self.reply(Page(tuple(await self.gateway.realm.sysop.people(self.user))))


class Ban(_Act):
    """``api/sysop/ban``: close the realm to a person; their open sockets close, too."""

    async def post(self) -> None:
        """Do it."""
        order = self.said(Banning)
        await self.gateway.realm.sysop.ban(self.user, order.user, order.reason, stop=order.stop)
        self.done()


class Unban(_Act):
    """``api/sysop/unban``: open it again."""

    async def post(self) -> None:
        """Do it."""
        order = self.said(Naming)
        await self.gateway.realm.sysop.unban(self.user, order.user, order.reason)
        self.done()


class Grant(_Act):
    """``api/sysop/grant``: give credits."""

    async def post(self) -> None:
        """Do it."""
        order = self.said(Granting)
        await self.gateway.realm.sysop.grant(self.user, order.user, order.micro, order.reason)
        self.done()


class StopQueries(_Act):
    """``api/sysop/stop-queries``: cancel whatever of a person's is under way."""

    async def post(self) -> None:
        """Do it; return how many that were."""
        order = self.said(Naming)
        stopped = await self.gateway.realm.sysop.stop_queries(self.user, order.user, order.reason)
        self.reply({"stopped": stopped})


class Quota(_Act):
    """``api/sysop/quota``: what is ruled for persons, groups and roles."""

    async def get(self) -> None:
        """List it."""
        self.reply(Page(tuple(await self.gateway.realm.sysop.rules(self.user))))

    async def post(self) -> None:
        """Rule for one of them."""
        order = self.said(Ruling)
        kind, name = order.subject()
        await self.gateway.realm.sysop.quota(self.user, name, order.quotas, order.reason, kind)
        self.done()


class Queries(_Act):
    """``api/sysop/queries``: everybody's that are under way, or the latest of one ``user``."""

    async def get(self) -> None:
        """List them, without what they are about; ``limit``."""
        limit = self.whole("limit", 100, 1, 200)
        found = await self.gateway.realm.sysop.queries(self.user, self.words("user"), limit)
        self.reply(Page(tuple(found)))


class Check(_Act):
    """``api/sysop/check``: whether ledger, audit log and seals are whole."""

    async def get(self) -> None:
        """Read all of them, and return what is wrong."""
        self.reply(await self.gateway.realm.sysop.check(self.user))


class Catalogue(_Act):
    """``api/sysop/catalogue``: which is in force, and what is wrong with its file."""

    async def get(self) -> None:
        """Say so."""
        self.reply(await self.gateway.realm.sysop.catalogue(self.user))


class WorkerOrder(_Act):
    """``api/sysop/workers/{name}/{order}``: drain, resume, remove, load or unload."""

    async def post(self, name: str, order: str) -> None:
        """Do it."""
        sysop = self.gateway.realm.sysop
        match order:
            case "drain" | "resume":
                reason = self.order(Reasoning).reason
                await sysop.drain(self.user, name, order == "drain", reason)
            case "remove":
                await sysop.remove(self.user, name, self.order(Reasoning).reason)
            case "load":
                await sysop.load(self.user, name, self.said(Loading).model)
            case "unload":
                await sysop.unload(self.user, name, self.said(Loading).model)
            case _:
                raise NotFound("A worker can be told to drain, resume, remove, load or unload.")
        self.done()


class Pull(_Act):
    """``api/sysop/pull``: fetch a model of the list, and serve it."""

    async def post(self) -> None:
        """Begin; ``api/sysop/pulls`` tells how far it is."""
        order = self.said(Pulling)
        await self.gateway.realm.sysop.pull(self.user, order.model, order.on)
        self.done()


class Pulls(_Act):
    """``api/sysop/pulls``: what is being fetched, and what was."""

    async def get(self) -> None:
        """List them."""
        self.reply(Page(tuple(await self.gateway.realm.sysop.pulls(self.user))))


class Notify(_Act):
    """``api/sysop/notice``: say something to everybody who watches."""

    async def post(self) -> None:
        """Do it."""
        await self.gateway.realm.sysop.notice(self.user, self.said(Saying).text)
        self.done()


class Audit(_Act):
    """``api/sysop/audit``: who did what, newest first."""

    async def get(self) -> None:
        """List it: ``before`` (a number), ``limit``."""
        limit = self.whole("limit", 100, 1, 500)
        before = self.whole("before", 2**31, 0, 2**31)
        entries = await self.gateway.realm.sysop.audit(self.user, before, limit)
        self.reply(Page(tuple(entries), str(entries[-1].id) if len(entries) == limit else ""))


class Stop(_Act):
    """``api/sysop/stop``: close the realm. What waits is kept for its next start."""

    async def post(self) -> None:
        """Answer, then do it."""
        if self.gateway.stop is None:
            raise NotFound("This realm is not stopped from here: stop its service.")
        await self.gateway.realm.sysop.stop(self.user)
        self.gateway.stopping = True
        self.set_status(202)
        # On its way before the door closes.
        await self.finish()
        self.gateway.stop()
