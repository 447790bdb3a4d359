"""Room is made by those that were not used for longest, and never by those in use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dask_workers.room import Room, Seat, Stay, make_room

BUDGET = Room(100)


def seat(name: str, need: float, *, users: int = 0, used_at: float = 0.0, since: float = 0) -> Seat:
    """A model that lies in memory."""
    made = Seat(name, Room(need))
    made.stay, made.users, made.used_at, made.since = Stay.IN, users, used_at, since
    return made


def names(seats: tuple[Seat, ...] | None) -> list[str] | None:
    return None if seats is None else [one.name for one in seats]


def test_where_there_is_room_nobody_leaves() -> None:
    assert make_room(Room(40), BUDGET, [seat("a", 60)], 1000, 0).leave == ()


def test_the_one_that_was_not_used_for_longest_leaves() -> None:
    seats = [seat("new", 50, used_at=9), seat("old", 50, used_at=1)]
    assert names(make_room(Room(40), BUDGET, seats, 1000, 0).leave) == ["old"]


def test_nobody_leaves_for_nothing() -> None:
    seats = [seat("small", 10, used_at=1), seat("large", 90, used_at=2)]
    assert names(make_room(Room(80), BUDGET, seats, 1000, 0).leave) == ["large"]


def test_one_in_use_never_leaves() -> None:
    plan = make_room(Room(40), BUDGET, [seat("busy", 80, users=1)], 1000, 0)
    assert plan.leave is None
    assert plan.drain == ()


def test_after_long_waiting_one_in_use_is_asked_to_take_nobody_new() -> None:
    plan = make_room(Room(40), BUDGET, [seat("busy", 80, users=1)], 1000, waited=60)
    assert plan.leave is None
    assert names(plan.drain) == ["busy"]


def test_one_that_has_just_come_stays_for_a_while() -> None:
    plan = make_room(Room(40), BUDGET, [seat("fresh", 80, since=995)], 1000, 0, residency=20)
    assert plan.leave is None
    assert plan.again_at == 1015


def test_the_memory_of_a_gpu_counts_by_itself() -> None:
    resident = Seat("gpu", Room(1, 8))
    resident.stay = Stay.IN
    assert names(make_room(Room(1, 4), Room(100, 10), [resident], 1000, 0).leave) == ["gpu"]
    assert make_room(Room(90, 0), Room(100, 10), [resident], 1000, 0).leave == ()


def test_who_is_on_the_way_out_is_waited_for_and_nobody_else_leaves() -> None:
    going = seat("going", 60)
    going.stay = Stay.GOING
    plan = make_room(Room(50), BUDGET, [going, seat("other", 40)], 1000, 0)
    assert plan.leave is None


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2), st.integers(0, 99)), max_size=6),
    st.integers(0, 100),
    st.integers(0, 60),
)
def test_whoever_is_told_to_leave_is_idle_and_makes_enough_room(
    held: list[tuple[int, int, int]], need: int, waited: int
) -> None:
    seats = [seat(str(n), size, users=u, used_at=t) for n, (size, u, t) in enumerate(held)]
    plan = make_room(Room(need), BUDGET, seats, 1000, waited)
    if plan.leave:
        stays = [one for one in seats if one not in plan.leave]
        assert all(one.users == 0 for one in plan.leave)
        assert sum(one.need.memory_mb for one in stays) + need <= 100
    if plan.leave is None:
        idle = sum(one.need.memory_mb for one in seats if not one.users)
        taken = sum(one.need.memory_mb for one in seats)
        assert taken - idle + need > 100
