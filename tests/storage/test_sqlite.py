"""The store in a file: its modes, its lock and its settings."""

import stat
from pathlib import Path

import pytest

from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.storage import Store, people
from mtor_kernel.storage.sqlite import SqliteFile
from tests.storage.helpers import opened, person


@pytest.fixture
def kind() -> str:
    """These are about a file."""
    return "sqlite"


def file_of(store: Store) -> Path:
    assert isinstance(store.database, SqliteFile)
    return store.database.path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pragma(name: str) -> object:
    """A work that looks at one setting."""
    return lambda db: db.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_files_are_their_owners_only(tmp_path: Path) -> None:
    store = opened(tmp_path)
    person(store, "ann")
    files = [path for path in file_of(store).parent.iterdir() if path.is_file()]
    assert {path.name for path in files} > {"realm.db", "realm.db-wal", "realm.db-shm"}
    assert {mode(path) for path in files} == {0o600}
    assert mode(file_of(store).parent) == mode(store.blob_dir) == 0o700
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


def test_a_second_opening_is_told_who_holds_the_database(store: Store, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"in use by process \d+ on .*: stop that realm"):
        opened(tmp_path)
    assert person(store, "ann") == "ann"  # and the holder is not disturbed


def test_closing_lets_go_of_the_files_and_folds_the_log_in(tmp_path: Path) -> None:
    store = opened(tmp_path)
    person(store, "ann")
    store.close()
    store.close()
    assert not list(file_of(store).parent.glob("*-wal"))
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


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_only_a_file_is_a_store(url: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="SQLite file"):
        Store.open(url, tmp_path)
