"""What the realm shows of itself, as tables. Pure: views in, tables out."""

from __future__ import annotations

from collections.abc import Iterable

from mtor_kernel.magics.table import Table
from mtor_kernel.protocol.account import RateCard, show_credits
from mtor_kernel.protocol.lifecycle import ENDS
from mtor_kernel.protocol.ngram import RealmState
from mtor_kernel.protocol.views import Me, ModelInfo, QueryInfo, QuotaInfo, UsageRow, WorkerInfo
from mtor_kernel.telling.figures import (
    SHORTEST_SECONDS,
    show_cost,
    show_count,
    show_seconds,
    show_time,
)

#: How much of an id, and of a question, a table shows, in characters.
ID_CHARACTERS = 8
_PROMPT_CHARACTERS = 48
_UNSERVED = (
    "none now: no worker serves it yet, as just after the start; what is asked waits for one. "
    "%mtor workers shows who is linked."
)
#: The units of a rate card beside tokens: what is priced, and for how many of them it is shown.
_UNITS = {
    "query_micro": ("query", 1),
    "image_micro": ("picture", 1),
    "megapixel_step_micro": ("megapixel step", 1),
    "audio_second_micro": ("second of sound", 1),
    "character_micro": ("1,000 characters", 1000),
    "compute_second_micro": ("second of computing", 1),
}


def models_table(models: Iterable[ModelInfo]) -> Table:
    """Return what may be asked, who serves it, and at what price."""
    shown = tuple(models)
    return Table(
        "Models",
        ("name", "kind", "slots", "waiting", "price in credits", "what it is"),
        tuple(
            (
                model.name,
                str(model.modality),
                str(model.slots) if model.slots else "none now",
                str(model.waiting),
                price_of(model.rates),
                f"→ {', '.join(model.stands_for)}" if model.stands_for else model.description,
            )
            for model in shown
        ),
        empty="no model; `mtor pull smollm2` fetches a small one",
        figures=frozenset({"slots", "waiting"}),
        note="" if all(model.slots for model in shown) else _UNSERVED,
    )


def price_of(rates: RateCard | None) -> str:
    """Return a price list on one line."""
    if rates is None:
        return ""
    if rates.free:
        return "free"
    priced = ((getattr(rates, field), *unit) for field, unit in _UNITS.items())
    prices = [f"{show_credits(micro * n)} a {unit}" for micro, unit, n in priced if micro]
    tokens = ((rates.input_token_micro, "in"), (rates.output_token_micro, "out"))
    sides = [f"{show_credits(micro * 1000)} {side}" for micro, side in tokens if micro]
    return ", ".join([*prices, f"{' + '.join(sides)} per 1,000 tokens"] if sides else prices)


def workers_table(workers: Iterable[WorkerInfo]) -> Table:
    """Return who answers, how they are and what they serve."""
    return Table(
        "Workers",
        ("name", "state", "serves", "running", "memory", "last heard"),
        tuple(
            (
                worker.name,
                worker.state,
                ", ".join(
                    f"{served.model} ({served.trouble})" if served.trouble else served.model
                    for served in worker.served
                ),
                _busy(worker),
                f"{worker.memory_bytes / 2**20:,.0f} MiB" if worker.memory_bytes else "",
                f"{show_seconds(worker.silent_seconds)} ago",
            )
            for worker in workers
        ),
        empty="no worker is linked now: what is asked waits",
        figures=frozenset({"running", "memory"}),
    )


def _busy(worker: WorkerInfo) -> str:
    running = sum(served.running for served in worker.served)
    return f"{running} of {sum(served.slots for served in worker.served)}"


def lanes_table(state: RealmState) -> Table:
    """Return how long the queue of each model is."""
    return Table(
        "Queue",
        ("model", "waiting", "running", "slots", "a new query waits about"),
        tuple(
            (
                lane.model,
                str(lane.waiting),
                str(lane.running),
                str(lane.slots),
                " · ".join(filter(None, (_wait(lane.eta_seconds), lane.trouble))),
            )
            for lane in state.lanes
        ),
        empty="no model is served",
        figures=frozenset({"waiting", "running", "slots"}),
        note="" if state.admission_open else "Admission is paused by the sysop.",
    )


def _wait(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return show_seconds(seconds) if seconds >= SHORTEST_SECONDS else "not at all"


def waiting_table(queries: Iterable[QueryInfo], now: float) -> Table:
    """Return those of one's own queries that have not ended."""
    return Table(
        "Yours",
        ("id", "model", "stage", "before it", "asked at", "question"),
        tuple(
            (
                query.id[:ID_CHARACTERS],
                query.model,
                str(query.stage),
                "" if query.position is None else str(query.position),
                show_time(query.created_at, now),
                shorten(query.prompt),
            )
            for query in queries
            if query.stage not in ENDS
        ),
        empty="nothing of yours waits or runs",
        figures=frozenset({"before it"}),
    )


def history_table(queries: Iterable[QueryInfo], now: float) -> Table:
    """Return one's own queries, newest first, and what each cost."""
    shown = tuple(queries)
    spent = sum(query.charge.amount_micro for query in shown if query.charge)
    return Table(
        "History",
        ("id", "asked at", "model", "stage", "credits", "question"),
        tuple(
            (
                query.id[:ID_CHARACTERS],
                show_time(query.created_at, now),
                query.model,
                str(query.stage),
                show_credits(query.charge.amount_micro if query.charge else 0),
                shorten(query.prompt),
            )
            for query in shown
        ),
        empty="nothing was asked yet, or nothing with these words",
        figures=frozenset({"credits"}),
        note=f"{show_count(len(shown), 'query', 'queries')} · {show_cost(spent)}" if shown else "",
    )


def me_table(me: Me, usage: Iterable[UsageRow], now: float) -> Table:
    """Return who one is here, what one has, and the rules one is held to."""
    floor = " (costs are shown, never refused)" if me.unlimited else ""
    rows = [
        ("name", me.user),
        ("role", str(me.role)),
        *((("groups", ", ".join(me.groups)),) if me.groups else ()),
        ("balance", f"{show_cost(me.balance_micro)}{floor}"),
        ("held for queries under way", show_cost(me.held_micro)),
    ]
    rows += [(f"{row.day}: {row.model}", _used(row)) for row in usage]
    rows += [
        (quota.rule.removesuffix("_micro").replace("_", " "), _left(quota, now))
        for quota in me.quotas
    ]
    note = "Sysops of this realm see the first words of what you ask." if me.prompts_shown else ""
    return Table("You", ("", ""), tuple(rows), note=note)


def _left(quota: QuotaInfo, now: float) -> str:
    show = show_credits if quota.rule.endswith("_micro") else "{:,}".format
    told = f"{show(quota.used)} of {show(quota.limit)} used"
    if quota.resets_at:
        told += f", afresh at {show_time(quota.resets_at, now)}"
    return f"{told} (set for {quota.set_for})" if quota.set_for else told


def _used(row: UsageRow) -> str:
    facts = [show_count(row.queries, "query", "queries"), show_cost(row.charge_micro)]
    facts[1:1] = [
        show_count(count, unit)
        for count, unit in (
            (row.input_tokens + row.output_tokens, "token"),
            (row.images, "picture"),
            (row.characters, "character"),
        )
        if count
    ]
    if row.audio_ms:
        facts.insert(-1, f"{show_seconds(row.audio_ms / 1000)} of sound")
    return " · ".join(facts)


def shorten(prompt: str) -> str:
    """Return the first words of a question, on one line."""
    line = " ".join(prompt.split())
    return line if len(line) <= _PROMPT_CHARACTERS else line[: _PROMPT_CHARACTERS - 1] + "…"
