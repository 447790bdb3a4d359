"""The writer: many works to a commit, each for itself, and a thread that nothing ends."""

import asyncio
import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.storage import Store, audit, people
from mtor_kernel.storage.schema import person
from tests.storage.helpers import NOON, opened


def names(store: Store) -> set[str]:
    return {someone.name for someone in store.read_sync(people.all)}


def meet(name: str) -> Callable[[sa.Connection], people.Person]:
    return lambda db: people.ensure(db, name, "user", NOON)


class Gate:
    """A work that keeps the writer busy until it is opened, so that others queue behind it."""

    def __init__(self) -> None:
        self._entered, self._open = threading.Event(), threading.Event()

    def __call__(self, conn: sa.Connection) -> None:
        self._entered.set()
        assert self._open.wait(60)

    async def close(self, store: Store) -> asyncio.Task[None]:
        waiting = asyncio.create_task(store.write(self))
        assert await asyncio.to_thread(self._entered.wait, 60)
        return waiting

    def open(self) -> None:
        self._open.set()


@pytest.mark.asyncio
async def test_many_works_share_a_commit(store: Store, kind: str) -> None:
    before = store.statistics.commits
    people_met = await asyncio.gather(*(store.write(meet(f"p{n}")) for n in range(200)))
    assert [someone.name for someone in people_met] == [f"p{n}" for n in range(200)]
    assert store.statistics.works >= 200
    # A commit takes works in for a while only: few on a starved machine, and each costs PostgreSQL
    # some round trips.
    assert store.statistics.commits - before < {"sqlite": 150, "postgresql": 200}[kind]
    assert len(names(store)) == 200


@pytest.mark.asyncio
async def test_works_are_carried_out_in_the_order_in_which_they_came(store: Store) -> None:
    order: list[int] = []
    await asyncio.gather(*(store.write(lambda db, n=n: order.append(n)) for n in range(100)))
    assert order == list(range(100))


@pytest.mark.asyncio
async def test_a_work_that_raises_leaves_nothing_behind_and_disturbs_no_other(
    store: Store,
) -> None:
    def half(db: sa.Connection) -> None:
        people.ensure(db, "half", "user", NOON)
        raise ZeroDivisionError("in the middle")

    gate = Gate()
    busy = await gate.close(store)
    works = [store.write(work) for work in (meet("first"), half, meet("last"))]
    together = asyncio.gather(*works, return_exceptions=True)
    await asyncio.sleep(0)
    gate.open()
    first, raised, last = await together
    await busy
    assert (first.name, last.name) == ("first", "last")
    assert isinstance(raised, ZeroDivisionError)
    assert names(store) == {"first", "last"}
    assert store.statistics.refused == 1


@pytest.mark.asyncio
async def test_beside_one_that_raises_each_work_counts_once_and_some_are_done_once(
    store: Store,
) -> None:
    calls: list[str] = []

    def called(name: str) -> Callable[[sa.Connection], None]:
        def work(db: sa.Connection) -> None:
            calls.append(name)
            audit.record(db, "root", "notice", name, "", {}, NOON)

        return work

    def refuse(db: sa.Connection) -> None:
        raise ZeroDivisionError

    gate = Gate()
    busy = await gate.close(store)
    works = [
        store.write(called("before")),
        store.write(called("once"), once=True),
        store.write(refuse),
        store.write(called("after")),
    ]
    together = asyncio.gather(*works, return_exceptions=True)
    await asyncio.sleep(0)
    gate.open()
    assert isinstance((await together)[2], ZeroDivisionError)
    await busy
    kept = [entry.subject for entry in store.read_sync(lambda db: audit.entries(db, limit=9))]
    assert sorted(kept) == ["after", "before", "once"]
    assert calls.count("once") == 1


@pytest.mark.asyncio
async def test_a_broken_constraint_undoes_its_own_work_only(store: Store) -> None:
    def twice(db: sa.Connection) -> None:
        people.ensure(db, "twice", "user", NOON)
        row = {"name": "twice", "role": "user", "created_at": NOON, "ban_reason": ""}
        db.execute(sa.insert(person), row)

    done = await asyncio.gather(
        store.write(meet("a")), store.write(twice), store.write(meet("b")), return_exceptions=True
    )
    assert isinstance(done[1], sa.exc.IntegrityError)
    assert names(store) == {"a", "b"}


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit])
async def test_no_exception_ends_the_thread_or_the_loop(
    store: Store, error: type[BaseException]
) -> None:
    def leave(db: sa.Connection) -> None:
        raise error

    with pytest.raises(RuntimeError, match=error.__name__):
        await store.write(leave)
    with pytest.raises(RuntimeError, match=error.__name__):
        await asyncio.to_thread(store.write_sync, leave)
    await store.write(meet("ann"))
    assert names(store) == {"ann"}


@pytest.mark.asyncio
async def test_to_cancel_the_wait_does_not_undo_the_work(store: Store) -> None:
    gate = Gate()
    busy = await gate.close(store)
    waiting = asyncio.create_task(store.write(meet("ann")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open()
    await busy
    await store.write(meet("bob"))
    assert names(store) == {"ann", "bob"}


def test_a_loop_that_was_closed_meanwhile_hinders_nobody(store: Store) -> None:
    gate = Gate()

    async def leave() -> None:
        await gate.close(store)

    asyncio.run(leave())
    gate.open()
    store.write_sync(meet("ann"))
    gc.collect()
    assert names(store) == {"ann"}


@pytest.mark.asyncio
async def test_closing_finishes_what_was_given(tmp_path: Path) -> None:
    store = opened(tmp_path)
    gate = Gate()
    busy = await gate.close(store)
    given = [asyncio.create_task(store.write(meet(f"p{n}"))) for n in range(300)]
    await asyncio.sleep(0)
    assert store.waiting == 300
    closing = asyncio.create_task(asyncio.to_thread(store.close))
    gate.open()
    await closing
    await asyncio.gather(busy, *given)
    again = opened(tmp_path)
    assert len(names(again)) == 300
    again.close()


@pytest.mark.asyncio
async def test_a_work_that_breaks_the_transaction_is_told_apart_and_survived(
    store: Store,
) -> None:
    def end_it(db: sa.Connection) -> None:
        people.ensure(db, "lost", "user", NOON)
        db.connection.dbapi_connection.rollback()

    with pytest.raises(Unavailable, match="could not write"):
        await store.write(end_it)
    await store.write(meet("ann"))
    assert names(store) == {"ann"}
    assert store.statistics.failures == 1


@pytest.mark.asyncio
async def test_a_database_that_cannot_in_the_middle_of_a_work_is_told_as_such(
    store: Store, kind: str
) -> None:
    """As on a standby, or when the disk goes: who gave the work may give it again."""

    def broken(db: sa.Connection) -> None:
        sqlite = kind == "sqlite"
        db.exec_driver_sql("PRAGMA query_only = ON" if sqlite else "SET TRANSACTION READ ONLY")
        try:
            people.ensure(db, "lost", "user", NOON)
        finally:
            if sqlite:
                db.exec_driver_sql("PRAGMA query_only = OFF")

    with pytest.raises(Unavailable, match="could not write"):
        await store.write(broken)
    await store.write(meet("ann"))
    assert names(store) == {"ann"}
