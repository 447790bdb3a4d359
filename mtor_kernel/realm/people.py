"""Who is known here: roles, bans and quotas, kept at hand so that each request asks no store."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from traitlets import Dict, Float, List, Unicode
from traitlets.config import LoggingConfigurable

from mtor_kernel.protocol.account import MICRO
from mtor_kernel.protocol.identity import SCOPE_SYSOP, Role, User
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.protocol.views import Me, QuotaInfo
from mtor_kernel.storage import ledger, people, quotas
from mtor_kernel.storage.people import Person
from mtor_kernel.storage.store import Store


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
    grant_credits = Dict(
        key_trait=Unicode(),
        value_trait=Float(),
        config=True,
        help="Credits that a person of each role begins with. Default: none",
    )
    unlimited_roles = List(
        Unicode(),
        default_value=["sysop"],
        config=True,
        help="Roles whose accounts have no floor: costs are shown, never refused. Default: sysop",
    )

    def __init__(self, store: Store, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._store = store
        self._rules = {
            role: msgspec.convert(rules, Quotas) for role, rules in self.quotas_of.items()
        }
        self._known: dict[str, Person] = {}
        self._own_rules: dict[str, Quotas] = {}

    async def welcome(self, user: User) -> None:
        """Make known who comes for the first time, or in another role; refuse a banned person."""
        person = self._known.get(user.name)
        if person is None or person.role is not user.role:
            person = await self._meet(user)
        # A sysop stays one: whoever is to be kept out is no sysop first.
        if not user.may(SCOPE_SYSOP):
            person.require_welcome()

    async def _meet(self, user: User) -> Person:
        now = time.time()
        grant = round(self.grant_credits.get(user.role, 0.0) * MICRO)
        unlimited = user.role in self.unlimited_roles

        def work(db: Any) -> tuple[Person, Quotas | None]:
            person = people.ensure(
                db, user.name, user.role, now, unlimited=unlimited, grant_micro=grant
            )
            return person, quotas.get_override(db, user.name)

        person, own = await self._store.write(work)
        self.set_rules(user.name, own)
        self._known[user.name] = person
        return person

    def forget(self, name: str) -> None:
        """A person was banned, or is no longer: ask the store when they come again."""
        self._known.pop(name, None)

    def set_rules(self, name: str, rules: Quotas | None) -> None:
        """A person has rules of their own from now on; ``None``: their role's again."""
        if rules is None:
            self._own_rules.pop(name, None)
        else:
            self._own_rules[name] = rules

    def role_of(self, name: str) -> Role:
        """Return the role in which a person was last seen."""
        person = self._known.get(name)
        return person.role if person is not None else Role.USER

    def quotas(self, user: User) -> Quotas:
        """Return the rules that hold for a person: their own, or their role's."""
        return self._own_rules.get(user.name) or self._rules.get(user.role, Quotas())

    def running_cap(self, name: str) -> int | None:
        """Return how many queries of a person may run at once."""
        return self.quotas(User(name, self.role_of(name))).running

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
                QuotaInfo(rule, getattr(rules, rule), use.used, use.resets_at)
                for rule, use in standing.uses.items()
            ),
        )
