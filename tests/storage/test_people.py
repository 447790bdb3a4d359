"""People: made known once, with an account; banned with a reason."""

import pytest

from mtor_kernel.protocol.errors import Banned, NotFound
from mtor_kernel.protocol.identity import Role
from mtor_kernel.storage import Store, ledger, people
from tests.storage.helpers import NOON, accept, balance, new_query, person


def test_a_newcomer_gets_an_account_and_the_grant_once(store: Store) -> None:
    for _ in range(3):
        person(store, "ann", 500)
    assert balance(store, "ann") == ledger.Balance(500, 0, False)
    assert balance(store, "ann").available_micro == 500


def test_a_new_role_is_remembered_and_the_first_arrival_too(store: Store) -> None:
    person(store, "ann")
    later = store.write_sync(lambda db: people.ensure(db, "ann", Role.CONTRIBUTOR, NOON + 9))
    assert later == people.Person("ann", Role.CONTRIBUTOR, NOON)
    assert store.read_sync(lambda db: people.get(db, "ann")) == later


def test_a_banned_person_is_told_why_until_the_ban_is_lifted(store: Store) -> None:
    person(store, "ann")
    store.write_sync(lambda db: people.ban(db, "ann", "mining coins", NOON + 1))
    banned = store.write_sync(lambda db: people.ensure(db, "ann", Role.USER, NOON + 2))
    assert banned.banned_at == NOON + 1
    with pytest.raises(Banned, match="mining coins"):
        banned.require_welcome()
    store.write_sync(lambda db: people.unban(db, "ann"))
    store.read_sync(lambda db: people.get(db, "ann")).require_welcome()


@pytest.mark.parametrize("act", [people.get, people.unban, lambda db, n: people.ban(db, n, "", 0)])
def test_nobody_is_found_under_an_unknown_name(store: Store, act: object) -> None:
    with pytest.raises(NotFound, match="'bob'"):
        store.write_sync(lambda db: act(db, "bob"))


def test_everybody_is_listed_by_name(store: Store) -> None:
    for name in ("carol", "ann", "Bjørn Ødegård", "robert'); DROP TABLE person;--"):
        person(store, name)
    assert [someone.name for someone in store.read_sync(people.all)] == [
        "Bjørn Ødegård", "ann", "carol", "robert'); DROP TABLE person;--",
    ]  # fmt: skip


def test_an_unlimited_account_goes_below_zero_and_its_debt_ends_with_it(store: Store) -> None:
    of = ledger.account_of("ann")
    person(store, "ann", unlimited=True)
    first = store.write_sync(lambda db: ledger.hold(db, of, 700, None, NOON))
    store.write_sync(lambda db: ledger.settle(db, first, 600, NOON))
    store.write_sync(lambda db: ledger.hold(db, of, 50, None, NOON))
    assert balance(store, "ann") == ledger.Balance(-600, 50, True)
    person(store, "ann", unlimited=False)
    assert balance(store, "ann") == ledger.Balance(50, 50, False)
    person(store, "ann", unlimited=True)
    assert balance(store, "ann").unlimited


def test_groups_are_remembered_and_changed(store: Store) -> None:
    for groups in (frozenset({"physics", "Übung"}), frozenset({"maths"}), frozenset[str]()):
        store.write_sync(lambda db, g=groups: people.ensure(db, "ann", Role.USER, NOON, groups=g))
        assert store.read_sync(lambda db: people.get(db, "ann")).groups == groups


def test_the_list_of_everybody_shows_what_they_have(store: Store) -> None:
    person(store, "ann", 700)
    store.write_sync(lambda db: ledger.hold(db, ledger.account_of("ann"), 200, None, NOON))
    (ann,) = store.read_sync(people.all)
    assert (ann.balance_micro, ann.held_micro, ann.unlimited) == (700, 200, False)


def test_those_with_queries_under_way_are_found_after_a_restart(store: Store) -> None:
    for name in ("ann", "bob"):
        person(store, name, 1000)
    accept(store, new_query("bob"))
    assert [someone.name for someone in store.read_sync(people.busy)] == ["bob"]
