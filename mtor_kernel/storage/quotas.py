"""How much of each rule a person has used, and the rules that sysops have set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam, func

from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.quota import Quotas, RuleOf, Standing, Use
from mtor_kernel.storage.prepared import Prepared
from mtor_kernel.storage.rows import NewQuery
from mtor_kernel.storage.schema import blob, query, quota_rule, usage

#: The window of ``queries_per_minute``, in seconds.
MINUTE = 60.0

_RULES = msgspec.json.Decoder(Quotas)


def _sum(column: sa.ColumnElement[int], *where: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.select(func.coalesce(func.sum(column), 0)).where(*where).scalar_subquery()


def _count(*where: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.select(func.count()).select_from(query).where(*where).scalar_subquery()


_WHO = bindparam("who", type_=sa.String)
# `ended_at IS NULL` is said in full each time: it is what the small index of open queries asks for.
_OPEN = (query.c.person == _WHO, query.c.ended_at.is_(None))
_RECENT = (
    query.c.person == _WHO,
    query.c.created_at > bindparam("minute_ago", type_=sa.Double),
    # Other processes' clocks may differ a little; one that was set back by more makes none wait.
    query.c.created_at < bindparam("in_a_minute", type_=sa.Double),
)
_TODAY = (usage.c.person == _WHO, usage.c.day == bindparam("today", type_=sa.String))
_MONTH = (usage.c.person == _WHO, usage.c.day >= bindparam("first", type_=sa.String))

#: What each rule has used: what has ended, and the worst case of what has not.
_USED: Mapping[str, sa.ColumnElement[Any]] = {
    # One question, or as many as it has rows.
    "queries_per_minute": _sum(sa.case((query.c.rows > 1, query.c.rows), else_=1), *_RECENT),
    "tokens_per_day": _sum(usage.c.input_tokens + usage.c.output_tokens, *_TODAY)
    + _sum(query.c.tokens, *_OPEN),
    "credits_per_day_micro": _sum(usage.c.charge_micro, *_TODAY) + _sum(query.c.hold_micro, *_OPEN),
    "credits_per_month_micro": _sum(usage.c.charge_micro, *_MONTH)
    + _sum(query.c.hold_micro, *_OPEN),
    "running": _count(*_OPEN, query.c.stage == Stage.RUNNING),
    "waiting": _count(*_OPEN, query.c.stage == Stage.QUEUED),
    "blob_bytes": _sum(blob.c.size_bytes, blob.c.person == _WHO),
}
_OLDEST = sa.select(func.min(query.c.created_at)).where(*_RECENT).scalar_subquery()

_ALL = sa.select(quota_rule).order_by(quota_rule.c.kind, quota_rule.c.subject)
_THIS = (quota_rule.c.kind == bindparam("as_kind"), quota_rule.c.subject == bindparam("of"))
_UPDATE = sa.update(quota_rule).where(*_THIS).values(rules=bindparam("to"))
_INSERT = sa.insert(quota_rule).values(
    kind=bindparam("as_kind"), subject=bindparam("of"), rules=bindparam("to")
)
_DELETE = sa.delete(quota_rule).where(*_THIS)


def standing(conn: sa.Connection, user: str, quotas: Quotas, now: float) -> Standing:
    """Return how much of each rule that `quotas` sets this person has used, and nothing else."""
    rules = tuple(name for name in quotas.__struct_fields__ if getattr(quotas, name) is not None)
    if not rules:
        return Standing()
    today = datetime.fromtimestamp(now, UTC)
    told = {
        "who": user,
        "minute_ago": now - MINUTE,
        "in_a_minute": now + MINUTE,
        "today": f"{today:%Y-%m-%d}",
        "first": f"{today:%Y-%m}-01",
    }
    row = _statement(rules).rows(conn, told)[0]._asdict()
    return Standing({rule: Use(int(row[rule]), _resets_at(rule, row, today)) for rule in rules})


def counted(before: Standing, new: NewQuery, *, begins: bool) -> Standing:
    """Return the standing with one more query: one that waits, or begins at once."""
    takes = {
        "queries_per_minute": new.queries,
        "tokens_per_day": new.tokens,
        "credits_per_day_micro": new.hold_micro,
        "credits_per_month_micro": new.hold_micro,
        "running": int(begins),
        "waiting": int(not begins),
    }
    uses = dict(before.uses)
    for rule, use in before.uses.items():
        resets = use.resets_at
        if rule == "queries_per_minute" and resets is None:
            resets = new.created_at + MINUTE
        uses[rule] = Use(use.used + takes.get(rule, 0), resets)
    return Standing(uses)


@cache
def _statement(rules: tuple[str, ...]) -> Prepared:
    columns = [_USED[rule].label(rule) for rule in rules]
    if "queries_per_minute" in rules:
        columns.append(_OLDEST.label("oldest"))
    return Prepared(sa.select(*columns))


def _resets_at(rule: str, row: Mapping[Any, Any], now: datetime) -> float | None:
    if rule == "queries_per_minute":
        return None if row["oldest"] is None else float(row["oldest"]) + MINUTE
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if rule.endswith("_per_day") or "_per_day_" in rule:
        return (midnight + timedelta(days=1)).timestamp()
    if "_per_month" in rule:
        return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1).timestamp()
    return None


def set_override(
    conn: sa.Connection, subject: str, quotas: Quotas | None, kind: RuleOf = RuleOf.PERSON
) -> None:
    """Have these rules hold for one person, group or role from now on; ``None``: no longer."""
    told = {"as_kind": kind, "of": subject}
    if quotas is None:
        conn.execute(_DELETE, told)
        return
    told["to"] = encode(quotas).decode()
    if conn.execute(_UPDATE, told).rowcount == 0:
        conn.execute(_INSERT, told)


def overrides(conn: sa.Connection) -> dict[RuleOf, dict[str, Quotas]]:
    """Return all rules that sysops have set and not taken back."""
    found: dict[RuleOf, dict[str, Quotas]] = {kind: {} for kind in RuleOf}
    for row in conn.execute(_ALL):
        found[RuleOf(row.kind)][row.subject] = decode_override(row.rules) or Quotas()
    return found


def decode_override(rules: str | None) -> Quotas | None:
    """Return the rules that a row of ``quota_rule`` holds."""
    return None if rules is None else _RULES.decode(rules)
