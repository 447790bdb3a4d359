"""How much one person may ask in a window, and how much of it is used."""

from __future__ import annotations

import msgspec

from mtor_kernel.protocol.account import Count


class Quotas(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The rules that hold for one person. ``None``: no such rule. Zero: nothing at all."""

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


class Use(msgspec.Struct, frozen=True):
    """How much of one rule is used, and when that figure starts to fall."""

    used: int = 0
    #: Seconds since the epoch; ``None`` where it falls as queries end.
    resets_at: float | None = None


class Standing(msgspec.Struct, frozen=True):
    """What admission looks at: one person's use of every rule that is set, by the rule's name."""

    uses: dict[str, Use] = {}
