"""Monthly credits: once a month a person, however often and by however many they are asked for."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.storage import Store, grants, ledger
from tests.storage.helpers import NOON, balance, person, stranger

JULY = datetime(2025, 7, 1, tzinfo=UTC).timestamp()


def give(store: Store, name: str = "ann", micro: int = 500, at: float = NOON) -> bool:
    return store.write_sync(lambda db: grants.monthly(db, name, "user", micro, at))


def test_a_month_is_granted_once_and_the_next_one_again(store: Store) -> None:
    person(store, "ann")
    person(store, "bob")
    assert [give(store) for _ in range(3)] == [True, False, False]
    assert give(store, "bob")
    assert not give(store, at=JULY - 1)
    assert give(store, at=JULY)
    assert balance(store, "ann").posted_micro == 1000
    assert balance(store, "bob").posted_micro == 500


def test_the_ledger_says_what_it_was_for(store: Store) -> None:
    person(store, "ann")
    give(store)
    reasons = store.read_sync(
        lambda db: db.scalars(sa.text("SELECT reason FROM transfer WHERE kind = 'grant'")).all()
    )
    assert reasons == ["for 2025-06, as user"]


def test_a_role_without_credits_gets_none_and_may_get_some_later_in_the_month(
    store: Store,
) -> None:
    person(store, "ann")
    assert not give(store, micro=0)
    assert give(store)


def test_nothing_is_marked_as_given_where_the_grant_fails(store: Store) -> None:
    def fail(db: sa.Connection) -> None:
        grants.monthly(db, "ann", "user", 500, NOON)
        raise ZeroDivisionError

    person(store, "ann")
    with pytest.raises(ZeroDivisionError):
        store.write_sync(fail)
    assert balance(store, "ann").posted_micro == 0
    assert give(store)


def test_another_process_that_was_first_has_given_it(store: Store, tmp_path: Path) -> None:
    """Two connections, as two processes have them: the second finds the first one's mark."""
    person(store, "ann")
    with stranger(tmp_path) as other:
        other.exec_driver_sql("INSERT INTO monthly_grant VALUES ('ann', '2025-06', 500, 0.0)")
    assert not give(store)
    assert store.read_sync(ledger.check) == []
