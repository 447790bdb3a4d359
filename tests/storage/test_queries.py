"""The life of a query: written down once, ended once, by the attempt that may."""

import itertools

import pytest

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import (
    ErrorInfo,
)
from mtor_kernel.protocol.lifecycle import STEPS, Stage
from mtor_kernel.storage import Store, endings, queries, records
from mtor_kernel.storage.ledger import LedgerRefused
from tests.storage.helpers import (
    ANSWER,
    NOON,
    accept,
    balance,
    dispatch,
    new_query,
    opened,
    person,
    problems,
    settle,
    stage,
)

BROKE = ErrorInfo("backend_failed", "It broke.")


def requeue(store: Store, id: str, attempt: int = 1, epoch: int | None = None) -> bool:
    of = store.epoch if epoch is None else epoch
    return store.write_sync(lambda db: queries.requeue(db, id, attempt, of, NOON))


def fail(store: Store, id: str, **of: int) -> bool:
    return store.write_sync(lambda db: endings.fail(db, id, BROKE, NOON + 2, **of))


def cancel(store: Store, id: str, micro: int = 0, **of: int) -> bool:
    charge = Charge(micro, Usage(output_tokens=1))
    return store.write_sync(
        lambda db: endings.cancel(db, id, NOON + 2, answer=ANSWER, charge=charge, **of)
    )


def test_many_are_dispatched_at_once_and_those_that_do_not_wait_are_left_out(
    store: Store, ann: str
) -> None:
    new = [new_query() for _ in range(5)]
    for one in new:
        accept(store, one)
    cancel(store, new[1].id)
    wanted = [one.id for one in reversed(new)] + ["0" * 32]
    begun = store.write_sync(lambda db: queries.dispatch(db, wanted, store.epoch, NOON + 1))
    assert [one.id for one in begun] == [new[n].id for n in (4, 3, 2, 0)]
    assert begun[0].body == new[4].body
    assert {one.attempt for one in begun} == {1}
    assert store.write_sync(lambda db: queries.dispatch(db, wanted, store.epoch, NOON)) == []
    assert store.write_sync(lambda db: queries.dispatch(db, [], store.epoch, NOON)) == []


def test_a_settled_query_is_charged_once_and_keeps_its_answer(store: Store, ann: str) -> None:
    new = new_query()
    accept(store, new)
    dispatch(store, new.id)
    assert settle(store, new.id)
    assert not settle(store, new.id)
    info = store.read_sync(lambda db: records.info(db, new.id, "ann"))
    assert (info.stage, info.charge, info.answer) == (
        Stage.SETTLED, Charge(60, Usage(4, 5)), ANSWER,
    )  # fmt: skip
    assert balance(store, "ann").posted_micro == 940
    assert balance(store, "ann").held_micro == 0


def test_a_charge_above_the_hold_settles_nothing(store: Store, ann: str) -> None:
    new = new_query(hold=100)
    accept(store, new)
    dispatch(store, new.id)
    with pytest.raises(LedgerRefused):
        settle(store, new.id, micro=101)
    assert stage(store, new.id) is Stage.RUNNING
    assert settle(store, new.id, micro=100)


def test_a_free_query_is_settled_like_any_other(store: Store) -> None:
    person(store, "poor")
    new = new_query("poor", hold=0)
    accept(store, new)
    dispatch(store, new.id)
    assert settle(store, new.id, micro=0)
    assert store.read_sync(lambda db: records.usage(db, "poor", NOON))[0].queries == 1


def test_a_stale_attempt_changes_nothing(store: Store, ann: str) -> None:
    new = new_query()
    accept(store, new)
    dispatch(store, new.id)
    assert requeue(store, new.id)
    second = dispatch(store, new.id)
    assert second.attempt == 2
    for attempt, epoch in ((1, store.epoch), (3, store.epoch), (2, store.epoch + 1)):
        assert not settle(store, new.id, attempt, epoch)
        assert not requeue(store, new.id, attempt, epoch)
        assert not fail(store, new.id, attempt=attempt, epoch=epoch)
        assert not cancel(store, new.id, attempt=attempt, epoch=epoch)
    assert stage(store, new.id) is Stage.RUNNING
    assert settle(store, new.id, 2)


@pytest.mark.parametrize("ran", [False, True])
def test_a_failed_query_costs_nothing(store: Store, ann: str, ran: bool) -> None:
    new = new_query()
    accept(store, new)
    if ran:
        dispatch(store, new.id)
    assert fail(store, new.id)
    info = store.read_sync(lambda db: records.info(db, new.id, "ann"))
    assert (info.stage, info.error, info.charge) == (Stage.FAILED, BROKE, None)
    assert balance(store, "ann").available_micro == 1000


@pytest.mark.parametrize(("micro", "left"), [(0, 1000), (40, 960)])
def test_a_cancelled_query_costs_what_was_published(
    store: Store, ann: str, micro: int, left: int
) -> None:
    new = new_query()
    accept(store, new)
    dispatch(store, new.id)
    assert cancel(store, new.id, micro, attempt=1, epoch=store.epoch)
    info = store.read_sync(lambda db: records.info(db, new.id, "ann"))
    assert (info.stage, info.answer) == (Stage.CANCELLED, ANSWER)
    assert balance(store, "ann").available_micro == left


def lead_to(store: Store, goal: Stage) -> str:
    """Make a query that stands where it is wanted."""
    new = new_query(hold=10)
    accept(store, new)
    if goal is not Stage.QUEUED:
        dispatch(store, new.id)
    {Stage.SETTLED: lambda: settle(store, new.id, micro=1),
     Stage.FAILED: lambda: fail(store, new.id),
     Stage.CANCELLED: lambda: cancel(store, new.id)}.get(goal, lambda: None)()  # fmt: skip
    assert stage(store, new.id) is goal
    return new.id


@pytest.mark.parametrize(("start", "finish"), list(itertools.product(Stage, Stage)))
def test_only_the_steps_of_the_table_are_taken(
    store: Store, ann: str, start: Stage, finish: Stage
) -> None:
    one = lead_to(store, start)
    act = {
        Stage.QUEUED: lambda: requeue(store, one),
        Stage.RUNNING: lambda: bool(
            store.write_sync(lambda db: queries.dispatch(db, [one], store.epoch, NOON))
        ),
        Stage.SETTLED: lambda: settle(store, one, micro=1),
        Stage.FAILED: lambda: fail(store, one),
        Stage.CANCELLED: lambda: cancel(store, one),
    }[finish]
    legal = finish in STEPS[start]
    assert act() is legal
    assert stage(store, one) is (finish if legal else start)


def test_a_restart_puts_what_ran_back_on_the_line_in_the_order_of_acceptance(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("restart")
    store = opened(folder)
    person(store, "ann", 1000)
    # The clock goes backwards: the order is still that of acceptance.
    new = [new_query(at=NOON - n, model=f"m{n}") for n in range(5)]
    for one in new:
        accept(store, one)
    for n in (0, 2, 4):
        dispatch(store, new[n].id)
    settle(store, new[4].id)
    store.close()

    store = opened(folder)
    line = store.write_sync(lambda db: queries.reclaim(db))
    assert [(row.id, row.attempt) for row in line] == [
        (new[0].id, 1), (new[1].id, 0), (new[2].id, 1), (new[3].id, 0),
    ]  # fmt: skip
    row, one = line[0], new[0]
    assert (row.user, row.asked, row.model, row.modality, row.priority, row.tokens) == (
        one.user, one.asked, one.model, one.modality, one.priority, one.tokens,
    )  # fmt: skip
    assert (row.created_at, row.expires_at, row.hold_micro) == (one.created_at, one.expires_at, 100)
    assert not settle(store, new[0].id, 1, store.epoch - 1)
    again = dispatch(store, new[0].id)
    assert again.attempt == 2
    # What runs in this epoch is left alone.
    assert new[0].id not in {row.id for row in store.write_sync(lambda db: queries.reclaim(db))}
    assert settle(store, new[0].id, 2)
    assert problems(store) == []
    store.close()
