"""A store of each kind of database, and one person with funds.

A test of the store runs once on SQLite and once on PostgreSQL. A file that is about one of them
says so by a fixture `kind` of its own.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtor_kernel.storage import Store
from tests.postgres import Server
from tests.storage.helpers import URL_FILE, opened, person, problems
from tests.storage.schemas import Schemas


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    return str(request.param)


@pytest.fixture(autouse=True)
def database(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """What :func:`opened` opens in the test's folder is an empty database of this kind."""
    if kind == "sqlite" or "store" in request.fixturenames:
        yield
        return
    server: Server = request.getfixturevalue("postgresql")
    url = server.schema()
    (tmp_path / URL_FILE).write_text(url)
    yield
    server.drop(url)


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that is up to date: a copy of it saves a test the migrations."""
    folder = tmp_path_factory.mktemp("empty")
    opened(folder).close()
    return folder


@pytest.fixture(scope="session")
def schemas(postgresql: Server) -> Schemas:
    """Schemas of the server that are up to date and empty."""
    return Schemas(postgresql)


@pytest.fixture
def store(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store. Whatever a test does with it, its books add up afterwards."""
    if kind == "sqlite":
        empty: Path = request.getfixturevalue("empty_sqlite")
        shutil.copytree(empty / "db", tmp_path / "db")
    else:
        schemas: Schemas = request.getfixturevalue("schemas")
        (tmp_path / URL_FILE).write_text(schemas.take())
    store = opened(tmp_path)
    yield store
    assert problems(store) == []
    store.close()
    if kind == "postgresql":
        schemas.give_back()


@pytest.fixture
def ann(store: Store) -> str:
    """Somebody with 1,000 micro-credits."""
    return person(store, "ann", 1000)
