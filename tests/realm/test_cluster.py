"""When the children of a realm are started again."""

from mtor_kernel.realm.cluster import LONGEST_REST_SECONDS, STEADY_SECONDS, _Watch


def rest(watch: _Watch, now: float) -> float:
    """Return for how long a worker that ends at `now` is not started again."""
    later = now
    while not watch.is_due(later):
        later += 0.25
    return later - now


def test_a_worker_that_was_killed_is_started_again_at_once() -> None:
    watch = _Watch(0.0)
    assert rest(watch, 5.0) == 0


def test_one_that_ends_again_and_again_rests_longer_each_time_and_never_for_ever() -> None:
    watch, now, rests = _Watch(0.0), 0.0, []
    for _ in range(9):
        now += 2.0
        rests.append(rest(watch, now))
        now += rests[-1]
    assert rests[:5] == [0, 1, 2, 4, 8]
    assert rests[-1] == LONGEST_REST_SECONDS


def test_one_that_has_run_for_a_while_is_forgiven() -> None:
    watch = _Watch(0.0)
    for now in (1.0, 2.0):
        rest(watch, now)
    assert rest(watch, 3.0 + STEADY_SECONDS + 10) == 0
