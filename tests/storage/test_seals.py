"""Seals: a change of the ledger around its triggers shows, wherever it was made."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.storage import Store, ledger, seals
from tests.storage.helpers import NOON, behind, opened, person, problems


def grant(store: Store, times: int) -> None:
    of = ledger.account_of("ann")
    store.write_sync(lambda db: [ledger.grant(db, of, 10 + n, "", NOON) for n in range(times)])


def set_seal(store: Store) -> bool:
    return store.write_sync(lambda db: seals.set_seal(db, NOON))


def verify(store: Store) -> list[str]:
    return store.read_sync(seals.verify)


@pytest.fixture
def sealed(store: Store) -> Store:
    """Two seals over ten transfers, and one transfer after them."""
    person(store, "ann")
    for _ in range(2):
        grant(store, 5)
        set_seal(store)
    grant(store, 1)
    return store


def test_what_is_sealed_verifies_and_so_does_what_comes_after(sealed: Store) -> None:
    assert verify(sealed) == []
    set_seal(sealed)
    assert verify(sealed) == []


def test_where_nothing_is_new_there_is_no_seal(sealed: Store) -> None:
    count = lambda: sealed.read_sync(  # noqa: E731
        lambda db: db.scalar(sa.text("SELECT count(*) FROM seal"))
    )
    assert count() == 2
    assert [set_seal(sealed) for _ in range(3)] == [False] * 3
    assert count() == 3


def test_many_transfers_get_several_seals(store: Store) -> None:
    person(store, "ann")
    grant(store, 2 * seals.MOST + 5)
    assert [set_seal(store) for _ in range(4)] == [True, True, False, False]
    assert verify(store) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfer SET reason = 'x' WHERE id = 2",
        "UPDATE transfer SET created_at = created_at - 1 WHERE id = 5",
        "UPDATE transfer SET amount_micro = amount_micro + 1 WHERE id = 9",
        "DELETE FROM transfer WHERE id = 10",
        "DELETE FROM transfer WHERE id = 1",
        "DELETE FROM seal WHERE id = 1",
        "UPDATE seal SET hash = '0123456789abcdef' WHERE id = 1",
        "UPDATE seal SET upto = 4 WHERE id = 1",
    ],
)
def test_a_change_around_the_triggers_shows(tmp_path: Path, statement: str) -> None:
    store = opened(tmp_path)
    person(store, "ann")
    for _ in range(2):
        grant(store, 5)
        set_seal(store)
    with behind(tmp_path) as change:
        assert change(statement) == 1
    assert verify(store)
    store.close()


def test_the_first_broken_stretch_is_named(sealed: Store, tmp_path: Path) -> None:
    with behind(tmp_path) as change:
        change("UPDATE transfer SET reason = 'for Eve' WHERE id = 7")
    assert verify(sealed) == [
        "transfers 6 to 10 are not those that were sealed, or the seal before theirs is not"
    ]
    assert problems(sealed) == []


@pytest.mark.parametrize("statement", ["UPDATE seal SET hash = 'x'", "DELETE FROM seal"])
def test_the_database_refuses_to_change_a_seal(sealed: Store, statement: str) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="append-only"):
        sealed.write_sync(lambda db: db.exec_driver_sql(statement))
