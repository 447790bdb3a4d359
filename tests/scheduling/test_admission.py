"""Who is admitted, and what those who are not are told."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.protocol.errors import AdmissionPaused, QuotaExceeded
from mtor_kernel.protocol.quota import Quotas, Standing, Use
from mtor_kernel.scheduling.admission import admit

NOW = datetime(2025, 3, 14, 15, 9, 26, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2025, 3, 15, tzinfo=UTC).timestamp()
NEXT_MONTH = datetime(2025, 4, 1, tzinfo=UTC).timestamp()


def refusal(quotas: Quotas, *, hold: int = 100, tokens: int = 50, **uses: Use) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refused:
        admit(Standing(uses), quotas, hold, tokens, NOW, paused=False)
    return refused.value


def test_without_rules_everybody_is_admitted() -> None:
    admit(Standing(), Quotas(), 10**12, 10**9, NOW, paused=False)


def test_when_the_sysop_has_paused_admission_nobody_is() -> None:
    with pytest.raises(AdmissionPaused, match="Try again") as refused:
        admit(Standing(), Quotas(), 0, 0, NOW, paused=True)
    assert refused.value.retry_after_seconds


def test_too_many_queries_in_a_minute_wait_for_seconds() -> None:
    error = refusal(Quotas(queries_per_minute=10), queries_per_minute=Use(10, resets_at=NOW + 14.2))
    assert error.rule == "queries_per_minute"
    assert error.retry_after_seconds == pytest.approx(14.2)
    assert error.details == {"limit": 10, "used": 10, "needed": 1}
    assert error.message == (
        "You may have 10 queries a minute and have used 10: try again in 15 s, by 15:10 UTC."
    )


def test_one_is_said_as_one() -> None:
    error = refusal(Quotas(queries_per_minute=1), queries_per_minute=Use(1, resets_at=NOW + 14.2))
    assert error.message.startswith("You may have 1 query a minute and have used 1: ")
    error = refusal(Quotas(tokens_per_day=1), tokens=2)
    assert error.message.startswith("You may have 1 token a day, and this query alone may take 2: ")


def test_tokens_of_the_day_are_counted_with_the_worst_case_of_this_query() -> None:
    quotas, use = Quotas(tokens_per_day=1000), Use(960, resets_at=MIDNIGHT)
    admit(Standing({"tokens_per_day": use}), quotas, 0, 40, NOW, paused=False)
    error = refusal(quotas, tokens=41, tokens_per_day=use)
    assert error.retry_after_seconds == pytest.approx(MIDNIGHT - NOW)
    assert error.message == (
        "You may have 1,000 tokens a day and have used 960; this query may take 41: ask for less "
        "(max_tokens, a shorter prompt), or try again after 00:00 UTC."
    )


def test_credits_are_said_in_credits_and_a_far_reset_with_its_date() -> None:
    error = refusal(
        Quotas(credits_per_month_micro=5_000_000),
        hold=250_000,
        credits_per_month_micro=Use(4_900_000, resets_at=NEXT_MONTH),
    )
    assert error.rule == "credits_per_month_micro"
    assert error.message == (
        "You may have 5.00 credits a month and have used 4.90; this query may take 0.25: ask for "
        "less or of a cheaper model, or try again after 00:00 UTC on 1 April."
    )


def test_a_query_that_alone_is_too_much_is_not_told_to_wait() -> None:
    error = refusal(
        Quotas(credits_per_day_micro=99), credits_per_day_micro=Use(0, resets_at=MIDNIGHT)
    )
    assert error.retry_after_seconds is None
    assert "this query alone may take 0.0001" in error.message


def test_who_waits_too_often_is_told_to_wait_for_an_end() -> None:
    error = refusal(Quotas(waiting=3), waiting=Use(3))
    assert error.retry_after_seconds is None
    assert error.message == (
        "You may have 3 queries waiting at once, and so many are: try again when one has ended, "
        "or cancel one."
    )


def test_a_rule_of_zero_sends_to_the_sysop() -> None:
    error = refusal(Quotas(tokens_per_day=0), tokens_per_day=Use(0, resets_at=MIDNIGHT))
    assert error.message == "You may have 0 tokens a day: ask the sysop for more."
    assert error.retry_after_seconds is None


def test_of_several_rules_the_one_that_refuses_longest_is_named() -> None:
    quotas = Quotas(queries_per_minute=1, tokens_per_day=10, waiting=1)
    uses = {
        "queries_per_minute": Use(1, NOW + 5),
        "tokens_per_day": Use(10, MIDNIGHT),
        "waiting": Use(1),
    }
    assert refusal(quotas, tokens=5, **uses).rule == "tokens_per_day"
    hopeless = Quotas(queries_per_minute=1, tokens_per_day=10, credits_per_day_micro=99)
    assert refusal(hopeless, tokens=5, **uses).rule == "credits_per_day_micro"


def test_a_cap_on_what_runs_is_no_reason_to_refuse() -> None:
    admit(Standing({"running": Use(5)}), Quotas(running=1), 0, 0, NOW, paused=False)


def test_where_nothing_may_ever_run_nothing_is_taken() -> None:
    error = refusal(Quotas(running=0))
    assert error.rule == "running"
    assert error.message == "You may have 0 queries running at once: ask the sysop for more."


RULES = (
    "queries_per_minute", "tokens_per_day", "credits_per_day_micro", "credits_per_month_micro",
    "waiting",
)  # fmt: skip


@given(
    limits=st.fixed_dictionaries({rule: st.none() | st.integers(0, 100) for rule in RULES}),
    used=st.fixed_dictionaries({rule: st.integers(0, 100) for rule in RULES}),
    hold=st.integers(0, 50),
    tokens=st.integers(0, 50),
)
def test_a_query_is_admitted_exactly_when_every_rule_has_room_for_it(
    limits: dict[str, Any], used: dict[str, int], hold: int, tokens: int
) -> None:
    takes = dict(zip(RULES, (1, tokens, hold, hold, 1), strict=True))
    has_room = all(
        limits[rule] is None or used[rule] + takes[rule] <= limits[rule] for rule in RULES
    )
    standing = Standing({rule: Use(figure, NOW + 60) for rule, figure in used.items()})
    error = None
    try:
        admit(standing, Quotas(**limits), hold, tokens, NOW, paused=False)
    except QuotaExceeded as refused:
        error = refused
    assert has_room == (error is None)
    if error is not None:
        assert error.details["used"] + error.details["needed"] > error.details["limit"]
        assert error.message.endswith(".")


def rows_refused(rows: int, limit: int, use: Use) -> QuotaExceeded:
    quotas, standing = Quotas(queries_per_minute=limit), Standing({"queries_per_minute": use})
    with pytest.raises(QuotaExceeded) as refused:
        admit(standing, quotas, 0, 0, NOW, rows, paused=False)
    return refused.value


def test_rows_count_as_so_many_queries_of_a_minute() -> None:
    use = Use(6, resets_at=NOW + 14.2)
    quotas, standing = Quotas(queries_per_minute=10), Standing({"queries_per_minute": use})
    admit(standing, quotas, 0, 0, NOW, 4, paused=False)
    error = rows_refused(5, 10, use)
    assert error.details == {"limit": 10, "used": 6, "needed": 5}
    assert error.message == (
        "You may have 10 queries a minute and have used 6; this query may take 5: ask for fewer "
        "rows at once, or try again in 15 s, by 15:10 UTC."
    )


def test_more_rows_than_a_minute_has_are_not_told_to_wait() -> None:
    error = rows_refused(11, 10, Use(0))
    assert error.retry_after_seconds is None
    assert error.message == (
        "You may have 10 queries a minute, and this query alone may take 11: ask for fewer rows at "
        "once."
    )


@pytest.mark.parametrize("rule", ["running", "waiting"])
def test_rows_wait_and_run_as_one_query(rule: str) -> None:
    standing = Standing({rule: Use(1)})
    admit(standing, Quotas(**{rule: 2}), 0, 0, NOW, 256, paused=False)
