"""The life of a query: written down once, ended once, by the attempt that may."""

import asyncio
import itertools

import msgspec
import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import (
    Banned,
    ErrorInfo,
    InsufficientFunds,
    KeyConflict,
    NotFound,
    QuotaExceeded,
)
from mtor_kernel.protocol.lifecycle import STEPS, Stage
from mtor_kernel.protocol.query import Answer, Text
from mtor_kernel.protocol.quota import Quotas, Standing
from mtor_kernel.storage import Store, people, queries, quotas
from mtor_kernel.storage.ledger import LedgerRefused
from mtor_kernel.storage.schema import question, transfer
from tests.storage.helpers import (
    NOON,
    accept,
    admit_all,
    balance,
    dispatch,
    new_query,
    opened,
    person,
    problems,
)

BROKE = ErrorInfo("backend_failed", "It broke.")
ANSWER = Answer((Text("A queue and its slots."),))


def stage(store: Store, id: str) -> Stage:
    return store.read_sync(lambda db: queries.info(db, id, None)).stage


def settle(
    store: Store, id: str, attempt: int = 1, epoch: int | None = None, micro: int = 60
) -> bool:
    of = store.epoch if epoch is None else epoch
    charge = Charge(micro, Usage(input_tokens=4, output_tokens=5))
    return store.write_sync(
        lambda db: queries.settle(db, id, attempt, of, ANSWER, charge, NOON + 2)
    )


def requeue(store: Store, id: str, attempt: int = 1, epoch: int | None = None) -> bool:
    of = store.epoch if epoch is None else epoch
    return store.write_sync(lambda db: queries.requeue(db, id, attempt, of, NOON))


def fail(store: Store, id: str, **of: int) -> bool:
    return store.write_sync(lambda db: queries.fail(db, id, BROKE, NOON + 2, **of))


def cancel(store: Store, id: str, micro: int = 0, **of: int) -> bool:
    charge = Charge(micro, Usage(output_tokens=1))
    return store.write_sync(
        lambda db: queries.cancel(db, id, NOON + 2, answer=ANSWER, charge=charge, **of)
    )


def count(store: Store, table: sa.Table) -> int:
    return store.read_sync(
        lambda db: db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    )


def test_an_accepted_query_is_queued_with_its_hold(store: Store, ann: str) -> None:
    new = new_query(hold=100)
    accepted = accept(store, new)
    assert accepted == queries.Accepted(new.id, accepted.hold_id, "smollm2", 100)
    assert stage(store, new.id) is Stage.QUEUED
    assert balance(store, "ann").held_micro == 100


def test_the_same_key_and_body_are_one_query_whatever_became_of_it(store: Store, ann: str) -> None:
    new = new_query(key="k", hold=1000)
    first = accept(store, new)
    for expected in (Stage.QUEUED, Stage.RUNNING, Stage.SETTLED):
        if expected is Stage.RUNNING:
            dispatch(store, new.id)
        if expected is Stage.SETTLED:
            settle(store, new.id)
        again = accept(store, msgspec.structs.replace(new, id="f" * 32))
        assert again == msgspec.structs.replace(first, repeated=True, stage=expected)


def test_the_same_key_with_another_body_is_a_conflict(store: Store, ann: str) -> None:
    accept(store, new_query(key="k"))
    with pytest.raises(KeyConflict, match="new key"):
        accept(store, new_query(key="k", prompt="Something else"))
    assert balance(store, "ann").held_micro == 100


def test_two_people_may_use_the_same_key(store: Store, ann: str) -> None:
    person(store, "bob", 1000)
    one = accept(store, new_query("ann", key="k"))
    other = accept(store, new_query("bob", key="k"))
    assert one.query != other.query
    assert not other.repeated


def test_a_banned_person_hears_of_old_queries_and_gets_no_new_one(store: Store, ann: str) -> None:
    old = new_query(key="old")
    accept(store, old)
    store.write_sync(lambda db: people.ban(db, "ann", "mining", NOON))
    assert accept(store, old).repeated
    with pytest.raises(Banned, match="mining"):
        accept(store, new_query())


def test_somebody_unknown_is_a_bug_of_the_caller(store: Store) -> None:
    with pytest.raises(LookupError):
        accept(store, new_query("nobody"))


def test_a_refused_query_leaves_nothing_behind(store: Store, ann: str) -> None:
    def refuse(*_: object) -> None:
        raise QuotaExceeded("Too many.", rule="waiting")

    before = [count(store, table) for table in (question, transfer)]
    new = new_query()
    with pytest.raises(QuotaExceeded):
        accept(store, new, decide=refuse)
    with pytest.raises(InsufficientFunds):
        accept(store, msgspec.structs.replace(new, hold_micro=1001))
    with pytest.raises(NotFound, match="blob"):
        accept(store, msgspec.structs.replace(new, blobs=frozenset({"a" * 64})))
    with pytest.raises(NotFound):
        stage(store, new.id)
    assert [count(store, table) for table in (question, transfer)] == before
    assert balance(store, "ann").held_micro == 0
    assert not accept(store, new).repeated


def test_admission_is_asked_with_the_standing_and_the_persons_own_rules(
    store: Store, ann: str
) -> None:
    asked: list[tuple[object, ...]] = []

    def note(*told: object) -> None:
        asked.append(told)

    role = Quotas(waiting=5)
    accept(store, new_query(), role, note)
    own = Quotas(running=1, tokens_per_day=9)
    store.write_sync(lambda db: quotas.set_override(db, "ann", own))
    accept(store, new_query(hold=7, tokens=8, at=NOON + 1), role, note)
    (standing, rules, *rest), (standing2, rules2, *rest2) = asked
    assert (standing.uses["waiting"].used, rules, rest) == (0, role, [100, 50, NOON])
    assert isinstance(standing2, Standing)
    assert {rule: use.used for rule, use in standing2.uses.items()} == {
        "running": 0,
        "waiting": 1,
        "tokens_per_day": 50,
    }
    assert (rules2, rest2) == (own.over(role), [7, 8, NOON + 1])


@pytest.mark.asyncio
async def test_of_fifty_at_once_the_funds_for_ten_admit_ten(store: Store, ann: str) -> None:
    new = [new_query(hold=100) for _ in range(50)]
    done = await asyncio.gather(
        *(store.write(lambda db, n=n: queries.accept(db, n, Quotas(), admit_all)) for n in new),
        return_exceptions=True,
    )
    accepted = [one for one in done if isinstance(one, queries.Accepted)]
    refused = [one for one in done if isinstance(one, InsufficientFunds)]
    assert (len(accepted), len(refused)) == (10, 40)
    assert balance(store, "ann").available_micro == 0


@pytest.mark.asyncio
async def test_of_fifty_at_once_with_one_key_there_is_one_query(store: Store, ann: str) -> None:
    new = [new_query(hold=100, key="k") for _ in range(50)]
    done = await asyncio.gather(
        *(store.write(lambda db, n=n: queries.accept(db, n, Quotas(), admit_all)) for n in new)
    )
    assert len({one.query for one in done}) == 1
    assert sum(not one.repeated for one in done) == 1
    assert balance(store, "ann").held_micro == 100


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
    info = store.read_sync(lambda db: queries.info(db, new.id, "ann"))
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
    assert store.read_sync(lambda db: queries.usage(db, "poor", NOON))[0].queries == 1


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
    info = store.read_sync(lambda db: queries.info(db, new.id, "ann"))
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
    info = store.read_sync(lambda db: queries.info(db, new.id, "ann"))
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
