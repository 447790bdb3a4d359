"""The yes or no before the queue: is admission open, and do the person's quotas have room?

Funds are the ledger's to refuse, since only it sees every hold. Roles and bans come before this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime

from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.errors import AdmissionPaused, QuotaExceeded
from mtor_kernel.protocol.quota import Quotas, Standing, Use

#: When to look again while the sysop has paused admission, in seconds.
PAUSED_RETRY_SECONDS = 30.0

#: Each rule that admission looks at: what it counts, over what time, and how to ask for less.
#: (How many may *run* is a limit on turns, not on questions: it refuses where none may ever.)
RULES: dict[str, tuple[str, str, str]] = {
    "queries_per_minute": ("queries", "a minute", ""),
    "tokens_per_day": ("tokens", "a day", "ask for less (max_tokens, a shorter prompt)"),
    "credits_per_day_micro": ("credits", "a day", "ask for less or of a cheaper model"),
    "credits_per_month_micro": ("credits", "a month", "ask for less or of a cheaper model"),
    "waiting": ("queries", "waiting at once", ""),
    "running": ("queries", "running at once", ""),
}

#: What mends one query that is many.
_FEWER = "ask for fewer rows at once"

_ONE = {"queries": "query", "tokens": "token"}


def admit(
    standing: Standing,
    quotas: Quotas,
    hold_micro: int,
    tokens: int,
    now: float,
    queries: int = 1,
    *,
    paused: bool,
) -> None:
    """Return if the query may be taken, else raise.

    Where several rules refuse, the one that refuses longest is named: when it has room again, so
    have the others.

    Parameters
    ----------
    standing
        How much of each rule that is set is used, this query not counted.
    hold_micro, tokens
        What this query takes of the rules for credits and tokens: its worst case.
    now
        Wall time, in seconds since the epoch.
    queries
        How many questions are in it: its rows, where it has some.
    paused
        Whether the sysop has paused admission.

    Raises
    ------
    AdmissionPaused
        Nobody's queries are taken now.
    QuotaExceeded
        With the rule, its ``limit``, what is ``used``, and when it has room again, if ever.
    """
    if paused:
        raise AdmissionPaused(
            "The sysop has paused admission: nothing new is taken now. Try again in a while.",
            retry_after_seconds=PAUSED_RETRY_SECONDS,
        )
    takes = {
        "queries_per_minute": queries,
        "tokens_per_day": tokens,
        "credits_per_day_micro": hold_micro,
        "credits_per_month_micro": hold_micro,
        "waiting": 1,
    }
    refused = list(_refusals(standing, quotas, takes, now))
    if refused:
        raise max(refused, key=_how_long)


def _refusals(
    standing: Standing, quotas: Quotas, takes: dict[str, int], now: float
) -> Iterator[QuotaExceeded]:
    if quotas.running == 0:
        yield _refusal("running", 0, 1, Use(), now)
    for rule, needed in takes.items():
        limit: int | None = getattr(quotas, rule)
        use = standing.uses.get(rule, Use())
        if limit is not None and use.used + needed > limit:
            yield _refusal(rule, limit, needed, use, now)


def _refusal(rule: str, limit: int, needed: int, use: Use, now: float) -> QuotaExceeded:
    noun, over, less = RULES[rule]
    less = less or (_FEWER if needed > 1 else "")
    never = needed > limit
    wait = None if never or use.resets_at is None else max(0.0, use.resets_at - now)
    show = show_credits if noun == "credits" else "{:,}".format
    many = _ONE.get(noun, noun) if limit == 1 else noun
    sentence = f"You may have {show(limit)} {many} {over}"
    if limit == 0:
        sentence += ": ask the sysop for more."
    elif never:
        sentence += f", and this query alone may take {show(needed)}: {less}."
    else:
        sentence += f" and have used {show(use.used)}" if rule != "waiting" else ", and so many are"
        if less:
            sentence += f"; this query may take {show(needed)}"
        sentence += f": {_what_to_do(less, use, now)}."
    return QuotaExceeded(
        sentence, rule=rule, retry_after_seconds=wait, limit=limit, used=use.used, needed=needed
    )


def _what_to_do(less: str, use: Use, now: float) -> str:
    if use.resets_at is None:
        return "try again when one has ended, or cancel one"
    wait = use.resets_at - now
    # Rounded up, so that at the time it names there is room.
    at = datetime.fromtimestamp(math.ceil(use.resets_at / 60) * 60, UTC)
    when = f"{at:%H:%M} UTC" if wait < 86_400 else f"{at:%H:%M} UTC on {at.day} {at:%B}"
    soon = f"in {max(1, math.ceil(wait))} s, by {when}" if wait <= 120 else f"after {when}"
    return f"{less}, or try again {soon}" if less else f"try again {soon}"


def _how_long(refusal: QuotaExceeded) -> tuple[bool, float]:
    """Sort by how long it lasts: what waiting does not mend last of all."""
    hopeless = int(refusal.details["needed"]) > int(refusal.details["limit"])
    return hopeless, refusal.retry_after_seconds or 0.0
