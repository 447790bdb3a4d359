"""What people have spent: a sum a person, day (UTC) and model, kept as queries are charged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.views import UsageRow
from mtor_kernel.storage.prepared import Prepared
from mtor_kernel.storage.schema import usage

#: What of a usage is summed, besides the charge.
UNITS = ("input_tokens", "output_tokens", "images", "audio_ms", "characters")

_ADD = Prepared(
    sa.update(usage)
    .where(
        usage.c.person == bindparam("who"),
        usage.c.day == bindparam("on"),
        usage.c.model == bindparam("of"),
    )
    .values(
        queries=usage.c.queries + bindparam("count"),
        charge_micro=usage.c.charge_micro + bindparam("charge"),
        **{unit: usage.c[unit] + bindparam(f"add_{unit}") for unit in UNITS},
    )
)
_FIRST = Prepared(
    sa.insert(usage).values(
        person=bindparam("who"),
        day=bindparam("on"),
        model=bindparam("of"),
        queries=bindparam("count"),
        charge_micro=bindparam("charge"),
        **{unit: bindparam(f"add_{unit}") for unit in UNITS},
    )
)
_SINCE = (
    sa.select(usage)
    .where(usage.c.person == bindparam("who"), usage.c.day >= bindparam("since"))
    .order_by(usage.c.day.desc(), usage.c.model)
)


def month_of(now: float) -> str:
    """Return the month of a time, in UTC.

    >>> month_of(0.0)
    '1970-01'
    """
    return day_of(now)[:7]


def day_of(now: float) -> str:
    """Return the day of a time, in UTC.

    >>> day_of(0.0)
    '1970-01-01'
    """
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


def add(
    conn: sa.Connection, person: str, model: str, charges: Sequence[Charge], now: float
) -> None:
    """Count charged queries, each row of a table as one."""
    told = {
        "who": person,
        "on": day_of(now),
        "of": model,
        "count": sum(charge.usage.rows for charge in charges),
        "charge": sum(charge.amount_micro for charge in charges),
        **{f"add_{unit}": sum(getattr(one.usage, unit) for one in charges) for unit in UNITS},
    }
    if _ADD.run(conn, told) == 0:
        _FIRST.run(conn, told)


def since(conn: sa.Connection, person: str, then: float) -> list[UsageRow]:
    """Return what a person has spent from the day of `then` on, newest day first."""
    return [
        UsageRow(
            row.day, row.model, row.queries, row.charge_micro, *(getattr(row, u) for u in UNITS)
        )
        for row in conn.execute(_SINCE, {"who": person, "since": day_of(then)})
    ]
