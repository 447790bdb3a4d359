"""Who is known here: roles, groups, bans and grants, at hand so that no request asks the store.

The rules that hold for somebody are those of :class:`~mtor_kernel.realm.rules.Rules`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from traitlets import Bool, Dict, Float, Integer, List, Unicode
from traitlets.config import LoggingConfigurable

from mtor_kernel.protocol.account import MICRO
from mtor_kernel.protocol.errors import BadInput, QuotaExceeded
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, Role, User
from mtor_kernel.protocol.quota import Quotas, RuleOf
from mtor_kernel.protocol.views import Me, QuotaInfo
from mtor_kernel.realm.rules import Rules
from mtor_kernel.storage import grants, ledger, people, quotas
from mtor_kernel.storage.people import Person
from mtor_kernel.storage.store import Store


class _Known(msgspec.Struct, frozen=True):
    """A person who came, and until when nothing new is due to them."""

    person: Person
    until: float


class People(LoggingConfigurable):
    """The persons of a realm."""

    quotas_of = Dict(
        key_trait=Unicode(),
        value_trait=Dict(),
        config=True,
        help=(
            "Each role's quotas, by the fields of Quotas: "
            '{"user": {"queries_per_minute": 60, "waiting": 100}}. Default: none'
        ),
    )
    quotas_of_groups = Dict(
        key_trait=Unicode(),
        value_trait=Dict(),
        config=True,
        help=(
            "Each group's quotas, rule by rule in place of the role's; of several groups the most "
            'generous: {"physics": {"tokens_per_day": 1000000}}. Default: none'
        ),
    )
    grant_credits = Dict(
        key_trait=Unicode(),
        value_trait=Float(),
        config=True,
        help="Credits that a person of each role begins with. Default: none",
    )
    monthly_credits = Dict(
        key_trait=Unicode(),
        value_trait=Float(min=0.0),
        config=True,
        help=(
            "Credits that a person of each role is granted each month (UTC), when they first come "
            "in it. Default: none"
        ),
    )
    unlimited_roles = List(
        Unicode(),
        default_value=["sysop"],
        config=True,
        help="Roles whose accounts have no floor: costs are shown, never refused. Default: sysop",
    )
    max_connections = Integer(
        200,
        min=1,
        config=True,
        help=(
            "Sockets and streamed answers that one person may have open at a gateway; of those of "
            "`unlimited_roles` any number. Default: 200"
        ),
    )
    show_prompts = Bool(
        False,
        config=True,
        help="Whether sysops see the first words of people's queries. Shown to all. Default: False",
    )

    def __init__(self, store: Store, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._store = store
        for trait in ("quotas_of", "grant_credits", "monthly_credits"):
            self._check_roles(trait, getattr(self, trait))
        self._check_roles("unlimited_roles", self.unlimited_roles)
        #: What is ruled, for whom.
        self.rules = Rules(
            {
                RuleOf.ROLE: self._ruled("quotas_of"),
                RuleOf.GROUP: self._ruled("quotas_of_groups"),
            }
        )
        self._known: dict[str, _Known] = {}

    async def open(self) -> None:
        """Learn what sysops have ruled, and who has queries under way."""
        busy = await self._store.read(people.busy)
        await self.learn_rules()
        for person in busy:
            # Nothing is granted before they come themselves.
            self._known[person.name] = _Known(person, 0.0)

    async def learn_rules(self) -> None:
        """Read what sysops have ruled."""
        self.rules.set_live(await self._store.read(quotas.overrides))

    async def welcome(self, user: User) -> None:
        """Make known who comes for the first time, or changed, or in a new month.

        Raises
        ------
        Banned
            The sysop has closed the realm to them.
        """
        known = self._known.get(user.name)
        if (
            known is None
            or known.person.role is not user.role
            or known.person.groups != user.groups
            or time.time() >= known.until
        ):
            known = await self._meet(user)
        # A sysop stays one: whoever is to be kept out is no sysop first.
        if not user.may(SCOPE_SYSOP):
            known.person.require_welcome()

    async def still_welcome(self, user: User) -> None:
        """Look again at who came before: at each query, as a socket may be open for weeks.

        Raises
        ------
        Banned
            The sysop has closed the realm to them.
        """
        known = self._known.get(user.name)
        if known is None or time.time() >= known.until:
            # In the role and groups that they came with last: a socket may have older ones.
            known = await self._meet(user if known is None else self.last_seen(user.name))
        if not user.may(SCOPE_SYSOP):
            known.person.require_welcome()

    async def _meet(self, user: User) -> _Known:
        now = time.time()
        first = round(self.grant_credits.get(user.role, 0.0) * MICRO)
        monthly = round(self.monthly_credits.get(user.role, 0.0) * MICRO)
        unlimited = user.role in self.unlimited_roles

        def work(db: Any) -> Person:
            person = people.ensure(
                db, user.name, user.role, now,
                unlimited=unlimited, grant_micro=first, groups=user.groups,
            )  # fmt: skip
            if person.banned_at is None:
                grants.monthly(db, user.name, user.role, monthly, now)
            return person

        known = _Known(await self._store.write(work), _next_month(now))
        self._known[user.name] = known
        return known

    def forget(self, name: str) -> None:
        """A person was banned, or is no longer: ask the store when they come again."""
        known = self._known.get(name)
        if known is not None:
            # Role and groups stay at hand for what they have under way.
            self._known[name] = _Known(known.person, 0.0)

    def last_seen(self, name: str) -> User:
        """Return a person as they were last seen here."""
        known = self._known.get(name)
        if known is None:
            return User(name)
        role = known.person.role
        scopes = {SCOPE_QUERY, SCOPE_SYSOP} if role is Role.SYSOP else {SCOPE_QUERY}
        return User(name, role, frozenset(scopes), known.person.groups)

    def check_connections(self, user: User, used: int) -> None:
        """Raise :class:`QuotaExceeded` for a person who has `used` connections, and wants another.

        Said of no time: there is room again when one of theirs ends.
        """
        limit = self.max_connections
        if used >= limit and user.role not in self.unlimited_roles:
            raise QuotaExceeded(
                f"You have {used:,} connections open to the realm, and may have {limit:,}: close "
                "one, such as a notebook's kernel or a page with the panel.",
                rule="connections",
                limit=limit,
                used=used,
            )

    def role_of(self, name: str) -> Role:
        """Return the role in which a person was last seen."""
        return self.last_seen(name).role

    def quotas(self, user: User) -> Quotas:
        """Return the rules that hold for a person."""
        return self.rules.of(user)

    def running_cap(self, name: str) -> int | None:
        """Return how many queries of a person may run at once."""
        return self.quotas(self.last_seen(name)).running

    async def me(self, user: User) -> Me:
        """Return a person's own page."""
        rules, now = self.quotas(user), time.time()
        account = ledger.account_of(user.name)
        balance, standing = await self._store.read(
            lambda db: (ledger.balance(db, account), quotas.standing(db, user.name, rules, now))
        )
        return Me(
            user.name,
            user.role,
            tuple(sorted(user.scopes)),
            balance.posted_micro,
            balance.held_micro,
            balance.unlimited,
            tuple(
                QuotaInfo(
                    rule, getattr(rules, rule), use.used, use.resets_at,
                    self.rules.source(user, rule),
                )
                for rule, use in standing.uses.items()
            ),
            tuple(sorted(user.groups)),
            self.show_prompts,
        )  # fmt: skip

    def _ruled(self, trait: str) -> dict[str, Quotas]:
        try:
            return {
                name: msgspec.convert(rules, Quotas) for name, rules in getattr(self, trait).items()
            }
        except msgspec.ValidationError as error:
            raise BadInput(f"People.{trait} is not a table of quotas: {error}.") from None

    @staticmethod
    def _check_roles(trait: str, named: Any) -> None:
        for role in named:
            if role not in set(Role):
                raise BadInput(
                    f"People.{trait} names the role {role!r}; the roles are {', '.join(Role)}."
                )


def _next_month(now: float) -> float:
    today = datetime.fromtimestamp(now, UTC)
    first = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1).timestamp()
