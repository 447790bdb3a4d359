"""What a sysop looks at, as tables. Pure: views in, tables out."""

from __future__ import annotations

from collections.abc import Iterable

from mtor_kernel.magics.reports import ID_CHARACTERS, shorten
from mtor_kernel.magics.table import Table
from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.quota import NO_LIMIT, Quotas
from mtor_kernel.protocol.views import (
    AuditInfo,
    CheckInfo,
    PersonInfo,
    RuleInfo,
    SysopQueryInfo,
)
from mtor_kernel.telling.figures import show_time


def people_table(people: Iterable[PersonInfo], now: float) -> Table:
    """Return who was ever here, and what they have."""
    return Table(
        "People",
        ("name", "role", "groups", "balance", "held", "since", "banned"),
        tuple(
            (
                person.name,
                str(person.role),
                ", ".join(person.groups),
                show_credits(person.balance_micro) + " (no floor)" * person.unlimited,
                show_credits(person.held_micro),
                show_time(person.created_at, now),
                ""
                if person.banned_at is None
                else f"{show_time(person.banned_at, now)} {person.ban_reason}".rstrip(),
            )
            for person in people
        ),
        empty="nobody has been here yet",
        figures=frozenset({"balance", "held"}),
    )


def queries_table(queries: Iterable[SysopQueryInfo], user: str, now: float) -> Table:
    """Return whose queries they are and how far, and what they are about where that is shown."""
    found = tuple(queries)
    prompts = any(query.prompt for query in found)
    return Table(
        f"Queries of {user}" if user else "Queries under way",
        ("id", "person", "model", "stage", "asked at", "credits", "question" if prompts else ""),
        tuple(
            (
                query.id[:ID_CHARACTERS],
                query.user,
                query.model,
                " ".join(filter(None, (str(query.stage), query.error))),
                show_time(query.created_at, now),
                f"up to {show_credits(query.hold_micro)}"
                if query.charge_micro is None
                else show_credits(query.charge_micro),
                shorten(query.prompt),
            )
            for query in found
        ),
        empty="none",
        figures=frozenset({"credits"}),
    )


def rules_table(rules: Iterable[RuleInfo]) -> Table:
    """Return what is ruled for whom."""
    return Table(
        "Quotas",
        ("for", "name", "rules", "set by"),
        tuple(
            (
                str(rule.kind),
                rule.subject,
                ", ".join(_figures(rule.quotas)) or "nothing",
                "a sysop" if rule.live else "the configuration",
            )
            for rule in rules
        ),
        empty="no rule is set",
    )


def _figures(quotas: Quotas) -> Iterable[str]:
    for rule in quotas.__struct_fields__:
        limit = getattr(quotas, rule)
        if limit is None:
            continue
        shown = show_credits(limit) if rule.endswith("_micro") else f"{limit:,}"
        yield f"{rule.removesuffix('_micro')} {'none' if limit == NO_LIMIT else shown}"


def audit_table(entries: Iterable[AuditInfo], now: float) -> Table:
    """Return who did what, to whom and why."""
    return Table(
        "Audit log",
        ("no.", "at", "who", "did", "to", "why", "figures"),
        tuple(
            (
                str(entry.id),
                show_time(entry.at, now),
                entry.actor,
                entry.action,
                entry.subject,
                entry.reason,
                "" if entry.details == "{}" else entry.details,
            )
            for entry in entries
        ),
        empty="nothing was done yet",
        figures=frozenset({"no."}),
    )


def check_table(check: CheckInfo) -> Table:
    """Return what is wrong with the books."""
    parts = (("ledger", check.ledger), ("audit log", check.audit), ("seals", check.seals))
    return Table(
        "Books",
        ("", ""),
        tuple(
            (what, problem) for what, problems in parts for problem in problems or ("all is well",)
        ),
    )
