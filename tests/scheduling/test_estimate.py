"""For about how long one waits."""

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.scheduling.estimate import OVERDUE, Estimator
from tests.scheduling.examples import make_spec


def taught(*seconds: float) -> Estimator:
    estimator = Estimator(make_spec())
    for each in seconds:
        estimator.learn(100, each)
    return estimator


def test_before_the_first_query_there_is_a_guess_of_tokens_and_none_of_time() -> None:
    estimator = Estimator(make_spec(default_max_tokens=400))
    assert estimator.output_tokens == 200
    assert estimator.seconds is None
    assert estimator.eta(0, [1.0], slots=1) is None


def test_a_free_slot_needs_no_knowledge() -> None:
    assert Estimator(make_spec()).eta(0, [], slots=1) == 0
    assert Estimator(make_spec()).eta(1, [5.0], slots=3) == 0
    assert Estimator(make_spec()).eta(2, [5.0], slots=3) is None


def test_nobody_knows_when_nobody_serves() -> None:
    assert taught(10).eta(0, [], slots=0) is None


def test_the_first_queries_weigh_equally() -> None:
    estimator = taught(10, 20, 30)
    assert estimator.seconds == pytest.approx(20)
    assert estimator.output_tokens == pytest.approx(100)


def test_a_lane_that_has_become_slower_is_believed() -> None:
    estimator = taught(*[1] * 100, *[10] * 50)
    assert estimator.seconds == pytest.approx(10, rel=0.01)


def test_one_waits_for_the_running_and_for_those_before() -> None:
    estimator = taught(10)
    assert estimator.eta(0, [4], slots=1) == 6
    assert estimator.eta(3, [4], slots=1) == 36
    assert estimator.eta(0, [4, 7], slots=2) == 3
    assert estimator.eta(1, [4, 7], slots=2) == 6
    assert estimator.eta(2, [4, 7], slots=2) == 13


def test_a_query_that_runs_longer_than_usual_is_not_expected_at_once() -> None:
    assert taught(10).eta(0, [500], slots=1) == OVERDUE * 10


def test_slots_that_are_going_make_no_room() -> None:
    assert taught(10).eta(0, [1, 5, 8], slots=1) == 9


@given(st.integers(0, 30), st.lists(st.integers(0, 12), max_size=6), st.integers(1, 6))
def test_the_figure_is_what_playing_it_through_gives(
    position: int, running: list[int], slots: int
) -> None:
    usual = 8.0
    free_at = sorted(max(usual - ran, OVERDUE * usual) for ran in running)[-slots:]
    free_at += [0.0] * (slots - len(free_at))
    heapq.heapify(free_at)
    starts = [heapq.heapreplace(free_at, free_at[0] + usual) for _ in range(position)]
    assert taught(usual).eta(position, running, slots) == pytest.approx(free_at[0])
    assert starts == sorted(starts)
