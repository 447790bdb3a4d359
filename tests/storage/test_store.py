"""The store: its epochs, and what opening, reading and closing promise."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.errors import NotFound, RealmStopping, Unavailable
from mtor_kernel.storage import Store, people, schema
from tests.storage.helpers import NOON, opened, person, stranger


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


def test_a_database_of_a_newer_mtor_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with stranger(tmp_path) as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = 'm9999'")
    with pytest.raises(Unavailable, match="newer MTOR"):
        opened(tmp_path)


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


def test_a_second_opening_is_refused_and_disturbs_nobody(store: Store, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"in use by .*: stop that"):
        opened(tmp_path)
    assert person(store, "ann") == "ann"


def test_an_epoch_ends_when_the_next_one_begins(tmp_path: Path) -> None:
    for _ in range(2):
        opened(tmp_path).close()
    store = opened(tmp_path)
    epochs = store.read_sync(lambda db: db.execute(sa.select(schema.epoch)).all())
    assert [(row.number, row.ended_at is None) for row in epochs] == [
        (1, False), (2, False), (3, True),
    ]  # fmt: skip
    assert all("process" in row.name for row in epochs)
    store.close()


@pytest.mark.parametrize("url", ["mysql://u:secret@h/db", "no url: secret"])
def test_other_databases_are_refused_and_no_password_is_shown(url: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="sqlite:////absolute") as refused:
        Store.open(url, tmp_path)
    assert "secret" not in str(refused.value)
