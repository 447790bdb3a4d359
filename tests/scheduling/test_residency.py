"""What lies in memory goes first, and nobody is kept behind for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.scheduling.residency import BEHIND_SECONDS, Turn, in_turn


def test_what_is_in_memory_goes_first() -> None:
    lanes = [("cold", Turn(False, 100.0)), ("warm", Turn(True, 100.0))]
    assert in_turn(lanes, 101.0) == ["warm", "cold"]


def test_among_equals_the_order_stays() -> None:
    lanes = [(name, Turn(True, 100.0)) for name in "bca"]
    assert in_turn(lanes, 101.0) == ["b", "c", "a"]


def test_who_was_behind_for_long_goes_before_what_is_in_memory() -> None:
    lanes = [("warm", Turn(True, 100.0)), ("late", Turn(False, 50.0)), ("later", Turn(False, 40.0))]
    assert in_turn(lanes, 101.0) == ["later", "late", "warm"]


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.integers(1, 3))
def test_with_one_place_a_second_every_lane_has_its_turn(warm: list[bool], step: int) -> None:
    """Whoever waits starts something within the bound, and a turn of each of the others."""
    since = dict.fromkeys(range(len(warm)), 0.0)
    longest = BEHIND_SECONDS + step * (len(warm) + 1)
    for now in range(0, 120, step):
        lanes = [(lane, Turn(warm[lane], since[lane])) for lane in since]
        first = in_turn(lanes, float(now))[0]
        assert all(now - at <= longest for at in since.values())
        since[first] = float(now)
