"""A store on the disk, and one person with funds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mtor_kernel.storage import Store
from tests.storage.helpers import opened, person, problems


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store. Whatever a test does with it, its books add up afterwards."""
    store = opened(tmp_path)
    yield store
    assert problems(store) == []
    store.close()


@pytest.fixture
def ann(store: Store) -> str:
    """Somebody with 1,000 micro-credits."""
    return person(store, "ann", 1000)
