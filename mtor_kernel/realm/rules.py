"""Which quotas hold for whom: what is configured, and what sysops have ruled since.

Rule by rule, the first of these that says something holds: what is ruled for the person; the most
generous of what is ruled for their groups; what is ruled for their role. For a group or a role,
what a sysop has ruled goes before what the configuration says, rule by rule too.
"""

from __future__ import annotations

from collections.abc import Mapping

from mtor_kernel.protocol.identity import User
from mtor_kernel.protocol.quota import Quotas, RuleOf, most_generous
from mtor_kernel.protocol.views import RuleInfo

_Table = Mapping[RuleOf, Mapping[str, Quotas]]
_NONE = Quotas()


class Rules:
    """The rules of a realm.

    Parameters
    ----------
    configured
        Those of roles and groups, by their names.
    """

    def __init__(self, configured: _Table) -> None:
        self._configured = configured
        self._live: _Table = {}
        #: What holds for a role and a set of groups: asked at each query.
        self._bases: dict[tuple[str, frozenset[str]], Quotas] = {}

    def set_live(self, live: _Table) -> None:
        """Have these hold that sysops have ruled, and no others of theirs."""
        self._live = live
        self._bases.clear()

    def of(self, user: User) -> Quotas:
        """Return the rules that hold for a person."""
        own = self._live.get(RuleOf.PERSON, {}).get(user.name)
        base = self.base(user)
        return base if own is None else own.over(base)

    def base(self, user: User) -> Quotas:
        """Return the rules that hold for them as one of their role and their groups."""
        base = self._bases.get((user.role, user.groups))
        if base is None:
            role = self._ruled(RuleOf.ROLE, user.role)
            groups = most_generous(self._ruled(RuleOf.GROUP, name) for name in user.groups)
            base = groups.over(role.over(_NONE))
            if len(self._bases) > 10_000:  # sets of groups are not ours to bound
                self._bases.clear()
            self._bases[user.role, user.groups] = base
        return base

    def source(self, user: User, rule: str) -> str:
        """Return for whom the figure of `rule` is set that holds for a person."""
        own = self._live.get(RuleOf.PERSON, {}).get(user.name, _NONE)
        if getattr(own, rule) is not None:
            return str(RuleOf.PERSON)
        found = {
            name: limit
            for name in sorted(user.groups)
            if (limit := getattr(self._ruled(RuleOf.GROUP, name), rule)) is not None
        }
        if found:
            return f"{RuleOf.GROUP} {max(found, key=lambda name: found[name])}"
        return f"{RuleOf.ROLE} {user.role}"

    def infos(self) -> list[RuleInfo]:
        """Return everything that is ruled."""
        return [
            RuleInfo(kind, subject, rules, live)
            for live, table in ((True, self._live), (False, self._configured))
            for kind in RuleOf
            for subject, rules in sorted(table.get(kind, {}).items())
        ]

    def _ruled(self, kind: RuleOf, name: str) -> Quotas:
        configured = self._configured.get(kind, {}).get(name, _NONE)
        live = self._live.get(kind, {}).get(name)
        return configured if live is None else _laid(live, configured)


def _laid(upper: Quotas, lower: Quotas) -> Quotas:
    """Return `upper` over `lower`, where no limit stays one: it is to go over others still."""
    return Quotas(
        **{
            rule: getattr(lower, rule) if limit is None else limit
            for rule in upper.__struct_fields__
            for limit in (getattr(upper, rule),)
        }
    )
