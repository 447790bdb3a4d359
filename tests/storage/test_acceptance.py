"""A query is accepted once for each key of its person, with its hold, or leaves nothing behind."""

import asyncio

import msgspec
import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.errors import (
    Banned,
    InsufficientFunds,
    KeyConflict,
    NotFound,
    QuotaExceeded,
)
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.quota import Quotas, Standing
from mtor_kernel.storage import Store, acceptance, people, quotas
from mtor_kernel.storage.rows import Accepted
from mtor_kernel.storage.schema import question, transfer
from tests.storage.helpers import (
    NOON,
    accept,
    admit_all,
    balance,
    dispatch,
    new_query,
    person,
    settle,
    stage,
)


def count(store: Store, table: sa.Table) -> int:
    return store.read_sync(
        lambda db: db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    )


def test_an_accepted_query_is_queued_with_its_hold(store: Store, ann: str) -> None:
    new = new_query(hold=100)
    accepted = accept(store, new)
    assert accepted == Accepted(new.id, "smollm2", 100)
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
    assert (standing.uses["waiting"].used, rules, rest) == (0, role, [100, 50, NOON, 1])
    assert isinstance(standing2, Standing)
    assert {rule: use.used for rule, use in standing2.uses.items()} == {
        "running": 0,
        "waiting": 1,
        "tokens_per_day": 50,
    }
    assert (rules2, rest2) == (own.over(role), [7, 8, NOON + 1, 1])


@pytest.mark.asyncio
async def test_of_fifty_at_once_the_funds_for_ten_admit_ten(store: Store, ann: str) -> None:
    new = [new_query(hold=100) for _ in range(50)]
    done = await asyncio.gather(
        *(store.write(lambda db, n=n: acceptance.accept(db, n, Quotas(), admit_all)) for n in new),
        return_exceptions=True,
    )
    accepted = [one for one in done if isinstance(one, Accepted)]
    refused = [one for one in done if isinstance(one, InsufficientFunds)]
    assert (len(accepted), len(refused)) == (10, 40)
    assert balance(store, "ann").available_micro == 0


@pytest.mark.asyncio
async def test_of_fifty_at_once_with_one_key_there_is_one_query(store: Store, ann: str) -> None:
    new = [new_query(hold=100, key="k") for _ in range(50)]
    done = await asyncio.gather(
        *(store.write(lambda db, n=n: acceptance.accept(db, n, Quotas(), admit_all)) for n in new)
    )
    assert len({one.query for one in done}) == 1
    assert sum(not one.repeated for one in done) == 1
    assert balance(store, "ann").held_micro == 100
