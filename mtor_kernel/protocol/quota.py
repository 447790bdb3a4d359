"""How much one person may ask in a window, and how much of it is used."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from mtor_kernel.protocol.account import Count

#: As the figure of a rule: there is no limit, whatever less special rules say.
NO_LIMIT = 2**53 - 1


class RuleOf(enum.StrEnum):
    """For whom a rule is set. Of several that are, the first of these holds."""

    PERSON = "person"
    GROUP = "group"
    ROLE = "role"


class Quotas(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Rules of use. ``None``: no such rule here. Zero: nothing at all. NO_LIMIT: no limit."""

    queries_per_minute: Count | None = None
    #: Input and output tokens together, from midnight UTC.
    tokens_per_day: Count | None = None
    credits_per_day_micro: Count | None = None
    credits_per_month_micro: Count | None = None
    #: Queries that may run, and that may wait, at once.
    running: Count | None = None
    waiting: Count | None = None
    #: All blobs that one keeps, together.
    blob_bytes: Count | None = None

    def over(self, base: Quotas) -> Quotas:
        """Return these rules, and those of `base` for what these say nothing about.

        >>> Quotas(waiting=9, running=NO_LIMIT).over(Quotas(waiting=1, running=1, blob_bytes=5))
        Quotas(waiting=9, blob_bytes=5)
        """
        found = {}
        for rule in self.__struct_fields__:
            limit = getattr(self, rule)
            limit = getattr(base, rule) if limit is None else limit
            found[rule] = None if limit == NO_LIMIT else limit
        return Quotas(**found)


def most_generous(several: Iterable[Quotas]) -> Quotas:
    """Return, rule by rule, the greatest figure that any of `several` has.

    >>> most_generous([Quotas(waiting=9), Quotas(waiting=2, running=1)])
    Quotas(running=1, waiting=9)
    """
    found: dict[str, int] = {}
    for quotas in several:
        for rule in quotas.__struct_fields__:
            limit = getattr(quotas, rule)
            if limit is not None:
                found[rule] = max(limit, found.get(rule, 0))
    return Quotas(**found)


class Use(msgspec.Struct, frozen=True):
    """How much of one rule is used, and when that figure starts to fall."""

    used: int = 0
    #: Seconds since the epoch; ``None`` where it falls as queries end.
    resets_at: float | None = None


class Standing(msgspec.Struct, frozen=True):
    """What admission looks at: one person's use of every rule that is set, by the rule's name."""

    uses: dict[str, Use] = {}
