"""What one has, and what one spent."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mtor_kernel.client import Realm
from mtor_kernel.protocol.account import show_credits
from mtor_kernel.widgets.looking import Looking
from mtor_kernel.widgets.script import script


class Cost(Looking):
    """Balance, holds, and what one spent of late by model and by day.

    Parameters
    ----------
    realm
        Whose; by default the notebook's ``realm``.
    days
        How many days back.
    """

    _esm = script("common", "table", "cost")
    pace_seconds = 5.0

    def __init__(
        self, realm: Realm | None = None, *, days: int = 7, label: str = "What it costs"
    ) -> None:
        super().__init__(realm, label=label)
        self._days = days

    def _found(self) -> tuple[str, dict[str, Any]]:
        me, usage = self.realm.me(), self.realm.usage(self._days)
        by_day: Counter[str] = Counter()
        by_model: Counter[str] = Counter()
        queries: Counter[str] = Counter()
        for row in usage:
            by_day[row.day] += row.charge_micro
            by_model[row.model] += row.charge_micro
            queries[row.model] += row.queries
        most = max([*by_day.values(), 1])
        return "cost", {
            "balance": show_credits(me.balance_micro),
            "held": show_credits(me.held_micro) if me.held_micro else "",
            "unlimited": me.unlimited,
            "spent": show_credits(sum(by_day.values())),
            "span": f"in {self._days} days" if self._days > 1 else "today",
            "models": [
                [model, f"{queries[model]:,}", show_credits(micro)]
                for model, micro in by_model.most_common()
            ],
            "days": [
                {"day": day, "credits": show_credits(micro), "share": micro / most}
                for day, micro in sorted(by_day.items())
            ],
        }
