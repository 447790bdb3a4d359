"""Many queries in a few statements: what holds of each alone holds of each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import msgspec
import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import (
    Banned,
    ErrorInfo,
    InsufficientFunds,
    KeyConflict,
    QuotaExceeded,
)
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Answer, Text
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.scheduling import admission
from mtor_kernel.storage import (
    Store,
    acceptance,
    endings,
    ledger,
    people,
    queries,
    records,
    together,
)
from mtor_kernel.storage.acceptance import Decide
from mtor_kernel.storage.rows import Accepted, NewQuery
from mtor_kernel.storage.schema import query, transfer
from mtor_kernel.storage.several import SIZES
from mtor_kernel.storage.together import Ending
from tests.storage.helpers import NO_RULES, NOON, admit_all, balance, new_query, person

ANSWER = Answer((Text("yes"),))
_BROKE = ErrorInfo("worker_lost", "Its worker died.")
#: One that fits into a statement, one that fills it, and one that takes several.
COUNTS = (1, 3, SIZES[0], SIZES[-1] - 1, SIZES[-1], SIZES[-1] + 6)


def accept_all(
    store: Store,
    news: Sequence[NewQuery],
    quotas: Quotas = NO_RULES,
    decide: Decide = admit_all,
    epoch: int | None = None,
) -> list[Accepted | Exception]:
    asked = [(new, quotas, epoch) for new in news]
    return list(store.write_sync(lambda db: together.accept_all(db, asked, decide)))


def rich(store: Store, name: str = "ann") -> str:
    return person(store, name, 10**6)


def ending(new: NewQuery, charge: int = 7, attempt: int = 1) -> Ending:
    used = Charge(charge, Usage(2, 3, compute_ms=4))
    return Ending(new.id, new.user, new.model, attempt, ANSWER, used)


def settling(store: Store, endings: Sequence[Ending]) -> Callable[[sa.Connection], bool]:
    epoch = store.epoch
    return lambda db: together.settle_all(db, endings, epoch, NOON + 2)


def refused(said: Accepted | Exception, kind: type[Exception]) -> Exception:
    assert isinstance(said, kind)
    return said


def stage_of(store: Store, id: str) -> Stage:
    return store.read_sync(lambda db: records.info(db, id, None)).stage


@pytest.mark.parametrize("count", COUNTS)
def test_each_is_as_if_it_had_come_and_ended_alone(store: Store, count: int) -> None:
    alone, together_ = rich(store, "alone"), rich(store, "together")
    news = [new_query(together_, hold=10 + n, key=f"k{n}", tokens=n) for n in range(count)]
    twins = [msgspec.structs.replace(new, id=new.id[::-1], user=alone) for new in news]
    epoch = store.epoch
    for twin in twins:
        store.write_sync(lambda db, n=twin: acceptance.accept(db, n, NO_RULES, admit_all, epoch))
    assert accept_all(store, news, epoch=epoch) == [
        Accepted(new.id, new.model, new.hold_micro, stage=Stage.RUNNING) for new in news
    ]
    assert balance(store, alone) == balance(store, together_)
    for twin in twins:
        done = ending(twin)
        store.write_sync(
            lambda db, d=done: endings.settle(db, d.id, 1, epoch, ANSWER, d.charge, NOON + 2)
        )
    assert store.write_sync(settling(store, [ending(new) for new in news]))
    assert balance(store, alone) == balance(store, together_)
    assert spent(store, alone) == spent(store, together_)
    for new, twin in zip(news, twins, strict=True):
        found, other = (look(store, one) for one in (new, twin))
        assert msgspec.structs.replace(other, id=new.id) == found
    assert ledger_of(store, news) == ledger_of(store, twins)


def look(store: Store, new: NewQuery) -> object:
    return store.read_sync(lambda db: records.info(db, new.id, new.user))


def spent(store: Store, user: str) -> object:
    return store.read_sync(lambda db: records.usage(db, user, NOON - 86_400))


def ledger_of(store: Store, news: Sequence[NewQuery]) -> list[tuple[object, ...]]:
    """The transfers of queries in their order, but for whose they are and their numbers."""
    columns = (transfer.c.kind, transfer.c.amount_micro, transfer.c.held_micro, transfer.c.query)
    wanted = sa.select(*columns).where(transfer.c.query.is_not(None)).order_by(transfer.c.id)
    places = {new.id: at for at, new in enumerate(news)}
    return [
        (kind, amount, held, places[of])
        for kind, amount, held, of in store.read_sync(lambda db: db.execute(wanted).all())
        if of in places
    ]


def test_they_wait_in_the_order_in_which_they_came(store: Store) -> None:
    rich(store)
    news = [new_query() for _ in range(100)]
    accept_all(store, news)
    line = store.read_sync(queries.line)
    assert [row.id for row in line] == [new.id for new in news]


def test_a_key_that_is_known_gives_the_query_that_it_names(store: Store) -> None:
    rich(store)
    first = new_query(key="a")
    accept_all(store, [first])
    again, other = new_query(key="a"), new_query(key="a", prompt="Something else")
    fresh, twice = new_query(key="b"), new_query(key="b")
    told = accept_all(store, [again, other, fresh, twice])
    assert told[0] == Accepted(first.id, first.model, first.hold_micro, True)
    refused(told[1], KeyConflict)
    assert told[2] == Accepted(fresh.id, fresh.model, fresh.hold_micro)
    assert told[3] == Accepted(fresh.id, fresh.model, fresh.hold_micro, True)
    assert balance(store, "ann").held_micro == first.hold_micro + fresh.hold_micro


def test_who_is_banned_is_told_of_what_was_asked_before_and_no_more(store: Store) -> None:
    rich(store)
    before = new_query(key="a")
    accept_all(store, [before])
    store.write_sync(lambda db: people.ban(db, "ann", "spam", NOON))
    told = accept_all(store, [new_query(key="a"), new_query(key="b")])
    assert isinstance(told[0], Accepted)
    refused(told[1], Banned)


def test_funds_for_some_of_them_are_used_for_those_that_come_first(store: Store) -> None:
    person(store, "ann", 250)
    news = [new_query(hold=hold) for hold in (100, 200, 100, 60, 50)]
    told = accept_all(store, news)
    assert [isinstance(one, Accepted) for one in told] == [True, False, True, False, True]
    refused(told[1], InsufficientFunds)
    assert balance(store, "ann").available_micro == 0


@pytest.mark.parametrize(
    ("quotas", "taken"),
    [
        (Quotas(queries_per_minute=3), 3),
        (Quotas(tokens_per_day=220), 4),
        (Quotas(credits_per_day_micro=250), 2),
        (Quotas(credits_per_month_micro=399), 3),
        (Quotas(waiting=4), 4),
    ],
    ids=lambda given: next(iter(msgspec.to_builtins(given))) if isinstance(given, Quotas) else "",
)
def test_a_quota_counts_each_of_them(store: Store, quotas: Quotas, taken: int) -> None:
    rich(store)

    def decide(*given: object) -> None:
        admission.admit(*given, paused=False)  # type: ignore[arg-type]

    told = accept_all(store, [new_query() for _ in range(6)], quotas, decide)
    assert [isinstance(one, Accepted) for one in told] == [n < taken for n in range(6)]
    last = refused(told[-1], QuotaExceeded)
    by_itself = new_query()
    with pytest.raises(QuotaExceeded) as alone:
        store.write_sync(lambda db: acceptance.accept(db, by_itself, quotas, decide))
    assert str(alone.value) == str(last)


def test_only_as_many_begin_at_once_as_may_run(store: Store) -> None:
    rich(store)
    told = accept_all(store, [new_query() for _ in range(5)], Quotas(running=2), epoch=store.epoch)
    stages = [one.stage for one in told if isinstance(one, Accepted)]
    assert stages == [Stage.RUNNING] * 2 + [Stage.QUEUED] * 3


def test_nobody_who_is_unknown_is_taken_in(store: Store) -> None:
    with pytest.raises(LookupError):
        accept_all(store, [new_query("nobody")])


@pytest.mark.parametrize("at", [0, 3, 6])
def test_one_that_is_stale_leaves_all_of_them_as_they_were(store: Store, at: int) -> None:
    rich(store)
    news = [new_query(key=f"k{n}") for n in range(7)]
    accept_all(store, news, epoch=store.epoch)
    stale = [ending(new, attempt=1 + (n == at)) for n, new in enumerate(news)]
    held = balance(store, "ann")
    assert not store.write_sync(settling(store, stale))
    store.write_sync(lambda db: endings.fail(db, news[at].id, _BROKE, NOON))
    assert not store.write_sync(settling(store, [ending(new) for new in news]))
    assert {stage_of(store, new.id) for n, new in enumerate(news) if n != at} == {Stage.RUNNING}
    assert balance(store, "ann").held_micro == held.held_micro - 100
    rest = [ending(new) for n, new in enumerate(news) if n != at]
    assert store.write_sync(settling(store, rest))
    assert not store.write_sync(settling(store, rest))
    assert balance(store, "ann") == ledger.Balance(10**6 - 42, 0, False)


def test_one_charge_above_its_hold_charges_none_of_them(store: Store) -> None:
    rich(store)
    news = [new_query(hold=100) for _ in range(5)]
    accept_all(store, news, epoch=store.epoch)
    endings = [ending(new, charge=100 + (n == 3)) for n, new in enumerate(news)]
    with pytest.raises(ledger.LedgerRefused):
        store.write_sync(settling(store, endings))
    assert balance(store, "ann") == ledger.Balance(10**6, 500, False)


def test_a_ledger_ends_no_hold_twice_for_many(store: Store) -> None:
    rich(store)
    news = [new_query(hold=100) for _ in range(5)]
    accept_all(store, news, epoch=store.epoch)
    charges = [(new.id, 50) for new in news]
    store.write_sync(settling(store, [ending(new) for new in news]))
    with pytest.raises(ledger.LedgerRefused):
        store.write_sync(lambda db: ledger.settle_all(db, charges, NOON))


def test_bodies_come_back_as_they_were_asked(store: Store) -> None:
    rich(store)
    news = [new_query(prompt=f"{n} ü \x00 '") for n in range(9)]
    accept_all(store, news)
    for new in news:
        body = store.read_sync(lambda db, n=new: queries.question_of(db, n.id))
        assert hashlib.sha256(body).hexdigest() == new.body_hash
    keys = sa.select(sa.func.count()).select_from(query)
    assert store.read_sync(lambda db: db.execute(keys).scalar_one()) == 9
