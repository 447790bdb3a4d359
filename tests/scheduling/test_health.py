"""When a lane's breaker opens and closes, and what its score says."""

import pytest

from mtor_kernel.protocol import errors
from mtor_kernel.scheduling.health import (
    FAILURES_IN_A_ROW,
    OUTCOMES_LOOKED_AT,
    Breaker,
    BreakerState,
    Score,
    outcome,
)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(cool_down_seconds=10, max_cool_down_seconds=35)
    for _ in range(FAILURES_IN_A_ROW):
        breaker.record(False, now)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_IN_A_ROW - 1):
        breaker.record(False, 0)
    assert breaker.allows(0)
    breaker.record(False, 0)
    assert breaker.state(0) is BreakerState.OPEN
    assert not breaker.allows(0)
    assert breaker.retry_after(4) == 6


def test_a_success_breaks_the_row() -> None:
    breaker = Breaker()
    for _ in range(3):
        for ok in (*[False] * (FAILURES_IN_A_ROW - 1), None, *[True] * 6):
            breaker.record(ok, 0)
    assert breaker.state(0) is BreakerState.CLOSED


def test_it_opens_when_half_of_many_fail() -> None:
    breaker = Breaker()
    for n in range(OUTCOMES_LOOKED_AT - 1):
        breaker.record(n % 2 == 1, 0)
    assert breaker.state(0) is BreakerState.CLOSED
    breaker.record(True, 0)
    assert breaker.state(0) is BreakerState.OPEN


def test_what_says_nothing_is_ignored() -> None:
    breaker = Breaker()
    for _ in range(100):
        breaker.record(None, 0)
    assert breaker.state(0) is BreakerState.CLOSED


def test_after_a_rest_one_probe_is_let_through() -> None:
    breaker = opened()
    assert breaker.state(10) is BreakerState.HALF_OPEN
    assert breaker.allows(10)
    assert breaker.allows(10)
    breaker.started(10)
    assert not breaker.allows(11)
    assert breaker.retry_after(11) == 9


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.started(10)
    breaker.record(True, 12)
    assert breaker.state(12) is BreakerState.CLOSED
    breaker.record(False, 12)
    assert breaker.allows(12)
    assert breaker.retry_after(12) == 0


def test_each_probe_that_fails_doubles_the_rest_up_to_the_longest() -> None:
    breaker, now = opened(), 0.0
    for rest in (10, 20, 35, 35):
        assert not breaker.allows(now + rest - 0.1)
        now += rest
        assert breaker.allows(now)
        breaker.started(now)
        breaker.record(False, now)
    now += 35
    breaker.record(True, now)
    for _ in range(FAILURES_IN_A_ROW):
        breaker.record(False, now)
    assert breaker.allows(now + 10)


def test_a_probe_that_says_nothing_makes_room_for_the_next() -> None:
    breaker = opened()
    breaker.started(10)
    breaker.record(None, 11)
    assert breaker.allows(11)


def test_a_probe_of_which_nothing_is_heard_does_not_close_the_lane_for_ever() -> None:
    breaker = opened()
    breaker.started(10)
    assert not breaker.allows(19)
    assert breaker.allows(20)


def test_what_ends_while_it_rests_changes_nothing() -> None:
    breaker = opened()
    breaker.record(True, 1)
    breaker.record(False, 9)
    assert breaker.state(9) is BreakerState.OPEN
    assert breaker.state(10) is BreakerState.HALF_OPEN


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (None, True),
        (errors.BackendFailed("x"), False),
        (errors.ResourceExhausted("x"), False),
        (errors.WorkerLost("x"), False),
        (errors.QueryCancelled("x"), None),
        (errors.Expired("x"), None),
        (errors.TooLarge("x"), None),
        (errors.UnknownOption("x"), None),
        (errors.RealmStopping("x"), None),
    ],
)
def test_only_the_lanes_own_faults_count_against_it(
    error: errors.RealmError | None, says: bool | None
) -> None:
    assert outcome(error and error.info()) is says


def test_a_score_falls_with_failures_and_forgets_them_with_time() -> None:
    score = Score(half_life_seconds=60)
    assert score.value(0) == 1
    for _ in range(9):
        score.record(False, 0)
    assert score.value(0) == 0.1
    assert score.value(0) < score.value(60) < score.value(600)
    assert score.value(6000) == pytest.approx(1)


def test_a_score_stays_between_none_and_all() -> None:
    score = Score()
    for now, ok in enumerate([True, False, None, False, True] * 20):
        score.record(ok, now)
        assert 0 < score.value(now) <= 1
    assert score.value(100) == pytest.approx(0.5, abs=0.05)


def test_a_clock_that_stands_still_or_goes_back_does_no_harm() -> None:
    score = Score()
    score.record(True, 10)
    score.record(False, 5)
    assert score.value(0) == pytest.approx(2 / 3)


def test_a_rest_that_was_asked_for_is_kept_and_never_shortened() -> None:
    breaker = Breaker(cool_down_seconds=10, max_cool_down_seconds=300)
    breaker.rest(30, 100.0)
    breaker.rest(5, 101.0)
    assert not breaker.allows(129.9)
    assert breaker.retry_after(110.0) == 20
    assert breaker.state(130.0) is BreakerState.HALF_OPEN
    breaker.started(130.0)
    breaker.record(True, 131.0)
    assert breaker.state(131.0) is BreakerState.CLOSED
    breaker.rest(10_000, 200.0)
    assert breaker.retry_after(200.0) == 300
