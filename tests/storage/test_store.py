"""The store: its files, its lock, its epochs, and what reading and closing promise."""

import sqlite3
import stat
from pathlib import Path

import pytest

from mtor_kernel.protocol.errors import NotFound, RealmStopping, Unavailable
from mtor_kernel.storage import Store, people
from tests.storage.helpers import NOON, opened, person


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pragma(name: str) -> object:
    """A work that looks at one setting."""
    return lambda db: db.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_files_are_their_owners_only(tmp_path: Path) -> None:
    store = opened(tmp_path)
    person(store, "ann")
    files = [path for path in store.path.parent.iterdir() if path.is_file()]
    assert {path.name for path in files} > {"realm.db", "realm.db-wal", "realm.db-shm"}
    assert {mode(path) for path in files} == {0o600}
    assert mode(store.path.parent) == mode(store.blob_dir) == 0o700
    store.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    opened(tmp_path).close()
    file = tmp_path / "db" / "realm.db"
    file.chmod(0o644)
    opened(tmp_path).close()
    assert mode(file) == 0o600


def test_commits_are_synced_in_full_and_foreign_keys_hold(store: Store) -> None:
    for name, value in (("synchronous", 2), ("foreign_keys", 1), ("journal_mode", "wal")):
        assert store.write_sync(pragma(name)) == value


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(Unavailable):
        store.read_sync(lambda db: people.ensure(db, "ann", "user", NOON))
    with pytest.raises(NotFound):
        store.read_sync(lambda db: people.get(db, "ann"))


def test_each_opening_has_a_greater_epoch(tmp_path: Path) -> None:
    epochs = []
    for _ in range(3):
        store = opened(tmp_path)
        epochs.append(store.epoch)
        store.close()
    assert epochs == [1, 2, 3]


def test_a_second_opening_is_told_who_holds_the_database(store: Store, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"in use by process \d+ on .*: stop that realm"):
        opened(tmp_path)
    assert person(store, "ann") == "ann"  # and the holder is not disturbed


def test_closing_lets_go_of_the_files_and_folds_the_log_in(tmp_path: Path) -> None:
    store = opened(tmp_path)
    person(store, "ann")
    store.close()
    store.close()
    assert not list(store.path.parent.glob("*-wal"))
    again = opened(tmp_path)
    assert again.read_sync(people.all)[0].name == "ann"
    again.close()


def test_what_is_not_a_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "db" / "realm.db"
    file.parent.mkdir()
    file.write_bytes(b"a shopping list, not a database; " * 100)
    with pytest.raises(Unavailable, match="cannot be used"):
        opened(tmp_path)
    assert file.read_bytes().startswith(b"a shopping list")
    with pytest.raises(Unavailable, match="cannot be used"):
        opened(tmp_path)  # and the lock was released


def test_a_database_of_a_newer_mtor_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "db" / "realm.db") as conn:
        conn.execute("UPDATE alembic_version SET version_num = 'm9999'")
    conn.close()
    with pytest.raises(Unavailable, match="newer MTOR"):
        opened(tmp_path)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://u:secret@h/db"])
def test_only_a_file_is_a_store_and_no_password_is_shown(url: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="SQLite file") as refused:
        Store.open(url, tmp_path)
    assert "secret" not in str(refused.value)


@pytest.mark.asyncio
async def test_a_read_sees_what_was_written_before_it(store: Store) -> None:
    await store.write(lambda db: people.ensure(db, "ann", "user", NOON))
    found = await store.read(people.all)
    assert [someone.name for someone in found] == ["ann"]


@pytest.mark.asyncio
async def test_a_closed_store_says_that_the_realm_is_closing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.close()
    with pytest.raises(RealmStopping):
        await store.write(people.all)
    with pytest.raises(RealmStopping):
        await store.read(people.all)
    with pytest.raises(RealmStopping):
        store.write_sync(people.all)
