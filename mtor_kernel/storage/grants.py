"""The credits that roles get each month: once a month a person, whoever asks and how often."""

from __future__ import annotations

import sqlalchemy as sa

from mtor_kernel.storage import ledger
from mtor_kernel.storage.spending import month_of

#: In words, since both databases say it so and SQLAlchemy has a construct for each of its own.
#: Of two processes that come at once, the second waits for the first, and then changes no row.
_CLAIM = sa.text(
    "INSERT INTO monthly_grant (person, month, amount_micro, granted_at)"
    " VALUES (:who, :month, :micro, :now) ON CONFLICT DO NOTHING"
)


def monthly(conn: sa.Connection, person: str, role: str, micro: int, now: float) -> bool:
    """Grant a person the month's credits, where they have not had them; tell whether it did."""
    month = month_of(now)
    told = {"who": person, "month": month, "micro": micro, "now": now}
    if micro <= 0 or conn.execute(_CLAIM, told).rowcount != 1:
        return False
    ledger.grant(conn, ledger.account_of(person), micro, f"for {month}, as {role}", now)
    return True
