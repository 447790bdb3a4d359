"""Processes that share a store: who lives, and what becomes of what a silent one ran."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.errors import RealmStopping, RowsKnown
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Answer
from mtor_kernel.storage import Store, endings, ledger, processes, queries
from tests.storage.helpers import (
    NOON,
    accept,
    answer_to,
    balance,
    dispatch,
    new_query,
    person,
    problems,
    stranger,
    url_of,
)


@pytest.fixture
def kind() -> str:
    """A file is never shared."""
    return "postgresql"


def shared(folder: Path) -> Store:
    return Store.open(url_of(folder), folder / "blobs", shared=True)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """Two processes of one store, and ann."""
    with closing(shared(tmp_path)) as one, closing(shared(tmp_path)) as other:
        person(one, "ann", 1000)
        yield one, other
        assert problems(other) == []


def beat(store: Store) -> tuple[list[int], list[int]]:
    return store.write_sync(lambda db: processes.beat(db, store.epoch))


def test_those_who_live_know_of_each_other(two: tuple[Store, Store]) -> None:
    one, other = two
    assert beat(one) == beat(other) == ([one.epoch, other.epoch], [])


def test_a_silent_one_is_ended_and_what_it_ran_is_on_the_line(
    two: tuple[Store, Store], tmp_path: Path
) -> None:
    one, other = two
    theirs, mine = (accept(other, new_query("ann")).query for _ in range(2))
    ran = dispatch(one, theirs)
    dispatch(other, mine)
    with stranger(tmp_path) as conn:
        conn.exec_driver_sql(f"UPDATE epoch SET beat_at = beat_at - 16 WHERE number = {one.epoch}")
    assert beat(other) == ([other.epoch], [one.epoch])
    assert [row.id for row in other.read_sync(queries.line)] == [theirs]
    # It was only frozen: whatever it tries now is refused, and the next attempt counts.
    for work in (
        lambda db: endings.settle(db, theirs, ran.attempt, one.epoch, Answer(), Charge(5), NOON),
        lambda db: processes.beat(db, one.epoch),
    ):
        with pytest.raises(RealmStopping, match="taken over"):
            one.write_sync(work)
    assert dispatch(other, theirs).attempt == 2


def test_one_that_ends_in_good_order_leaves_its_queries_at_once(
    two: tuple[Store, Store],
) -> None:
    one, other = two
    theirs = accept(one, new_query("ann")).query
    dispatch(one, theirs)
    one.write_sync(lambda db: processes.end(db, one.epoch))
    assert beat(other)[0] == [other.epoch]
    assert [row.id for row in other.read_sync(queries.line)] == [theirs]


def test_a_wish_to_stop_is_seen_by_who_carries_the_query(two: tuple[Store, Store]) -> None:
    one, other = two
    theirs = accept(one, new_query("ann")).query
    dispatch(one, theirs)
    other.write_sync(lambda db: queries.ask_to_stop(db, theirs, NOON))
    (seen,) = one.read_sync(queries.under_way)
    assert (seen.id, seen.stage, seen.epoch, seen.to_stop) == (
        theirs, Stage.RUNNING, one.epoch, True,
    )  # fmt: skip


def test_the_same_rows_from_two_at_once_are_asked_by_one_and_known_to_the_other(
    two: tuple[Store, Store],
) -> None:
    person(two[0], "rich", 10**9)
    together = Barrier(2)

    def ask(store: Store, keys: tuple[str, ...]) -> str | RowsKnown:
        together.wait(60)
        try:
            return accept(store, new_query("rich", rows=keys)).query
        except RowsKnown as known:
            return known

    with ThreadPoolExecutor(2) as pool:
        for number in range(25):
            keys = tuple(f"{number}-{row}" for row in range(40))
            first, second = pool.map(ask, two, (keys, keys[::-1]))
            asked, known = (first, second) if isinstance(first, str) else (second, first)
            assert isinstance(asked, str)
            assert isinstance(known, RowsKnown)
            assert set(known.details.values()) == {f"{asked}:{row}" for row in range(40)}
    assert balance(two[0], "rich") == ledger.Balance(10**9, 25 * 100, False)


def test_rows_that_one_has_left_open_may_be_asked_by_another(two: tuple[Store, Store]) -> None:
    one, other = two
    theirs = accept(one, new_query("ann", rows=("a", "b"))).query
    dispatch(one, theirs)
    with pytest.raises(RowsKnown):
        accept(other, new_query("ann", rows=("b", "c")))
    said, charge = answer_to(0), Charge(5)
    one.write_sync(lambda db: endings.settle(db, theirs, 1, one.epoch, said, charge, NOON))
    assert accept(other, new_query("ann", rows=("b", "c"))).query
