"""A store on the disk, and one person with funds."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtor_kernel.storage import Store
from tests.storage.helpers import opened, person, problems


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that is up to date: a copy of it saves a test the migrations."""
    folder = tmp_path_factory.mktemp("empty")
    opened(folder).close()
    return folder


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Iterator[Store]:
    """An empty store. Whatever a test does with it, its books add up afterwards."""
    shutil.copytree(empty_database / "db", tmp_path / "db")
    store = opened(tmp_path)
    yield store
    assert problems(store) == []
    store.close()


@pytest.fixture
def ann(store: Store) -> str:
    """Somebody with 1,000 micro-credits."""
    return person(store, "ann", 1000)
