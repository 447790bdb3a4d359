"""A store that is copied into another database: all of it or nothing, and it adds up."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.cli import main
from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import BadInput, RowsKnown, Unavailable
from mtor_kernel.protocol.query import Answer, Text
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.storage import (
    Store,
    audit,
    endings,
    ledger,
    migrations,
    queries,
    quotas,
    schema,
    seals,
)
from mtor_kernel.storage.moving import BATCH, copy
from tests.postgres import Server
from tests.storage.helpers import NOON, accept, answer_to, balance, dispatch, new_query, person

pytestmark = pytest.mark.slow

PEOPLE = ("ann", "Älva", "zoë", "Bob")


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture
def lived_in(tmp_path: Path) -> str:
    """A store in a file with something in most tables, and a query that runs and one that waits."""
    url = f"sqlite:///{tmp_path}/old/realm.db"
    store = Store.open(url, tmp_path / "blobs")
    for name in PEOPLE:
        person(store, name, 10_000_000)
    asked = [new_query(PEOPLE[n % len(PEOPLE)], hold=500, prompt=f"Nr. {n} 🐝") for n in range(40)]
    for number, new in enumerate(asked):
        accept(store, new)
        if number < 38:
            begun = dispatch(store, new.id)
        if number < 30:
            answer = Answer((Text("Honey."),))
            charge = Charge(number, Usage(input_tokens=7, output_tokens=number))
            store.write_sync(
                lambda db, new=new, of=begun.attempt, a=answer, c=charge: endings.settle(
                    db, new.id, of, store.epoch, a, c, NOON + 1
                )
            )
        elif number < 36:
            store.write_sync(lambda db, new=new: endings.cancel(db, new.id, NOON + 1))
    table = new_query("Älva", hold=500, rows=("a", "b", "c"))
    accept(store, table)
    dispatch(store, table.id)
    charge = Charge(5, Usage(output_tokens=1, rows=2))
    store.write_sync(
        lambda db: endings.settle(db, table.id, 1, store.epoch, answer_to(0, 2), charge, NOON)
    )
    # More rows than are carried at a time.
    store.write_sync(
        lambda db: [
            audit.record(db, "sue", "ban", "bob", f"reason {n}", {"n": n}, NOON + n)
            for n in range(BATCH + 10)
        ]
    )
    store.write_sync(lambda db: quotas.set_override(db, "ann", Quotas(running=2)))
    store.write_sync(lambda db: seals.set_seal(db, NOON))
    store.close()
    return url


@pytest.fixture
def empty(postgresql: Server) -> Iterator[str]:
    url = postgresql.schema()
    yield url
    postgresql.drop(url)


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables but the processes', sorted as Python does."""
    return {
        table.name: sorted(
            (
                tuple(row)
                for row in store.read_sync(lambda db, t=table: db.execute(sa.select(t)).all())
            ),
            key=repr,
        )
        for table in schema.metadata.sorted_tables
        if table.name != "epoch"
    }


def is_untouched(url: str) -> bool:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as conn:
            return migrations.revision(conn) is None and not sa.inspect(conn).get_table_names()
    finally:
        engine.dispose()


def test_all_of_a_file_is_on_the_server_and_the_realm_goes_on_there(
    lived_in: str, empty: str, tmp_path: Path
) -> None:
    moved = copy(lived_in, empty)
    assert (moved.rows["query"], moved.rows["table_row"]) == (41, 2)
    assert moved.rows["audit"] == BATCH + 10
    old, new = Store.open(lived_in, tmp_path / "blobs"), Store.open(empty, tmp_path / "blobs")
    try:
        assert everything(new) == everything(old)
        # Both have begun the epoch after the last one.
        assert new.epoch == old.epoch == 2
        assert new.read_sync(audit.head) == moved.audit_head
        assert balance(new, "ann") == balance(old, "ann")
        # What ran is put back, what waited waits; what is new has numbers of its own.
        assert len(new.write_sync(queries.reclaim)) == 4
        accept(new, new_query("ann"))
        with pytest.raises(RowsKnown):
            accept(new, new_query("Älva", rows=("b", "c")))
        new.write_sync(lambda db: audit.record(db, "sue", "unban", "bob", "", {}, NOON + 9999))
        assert not new.write_sync(lambda db: seals.set_seal(db, NOON + 9999))
        for check in (ledger.check, audit.verify, seals.verify):
            assert new.read_sync(check) == []
    finally:
        old.close()
        new.close()


def test_it_comes_back_into_a_file(lived_in: str, empty: str, tmp_path: Path) -> None:
    sent = copy(lived_in, empty)
    back = copy(empty, f"sqlite:///{tmp_path}/back/realm.db")
    assert back == sent


def test_into_what_is_not_empty_nothing_is_copied(
    lived_in: str, empty: str, tmp_path: Path
) -> None:
    Store.open(empty, tmp_path / "blobs").close()
    with pytest.raises(BadInput, match="name an empty database"):
        copy(lived_in, empty)
    with pytest.raises(BadInput, match="same database"):
        copy(lived_in, lived_in)
    store = Store.open(empty, tmp_path / "blobs")
    try:
        assert (
            store.read_sync(
                lambda db: db.scalar(sa.select(sa.func.count()).select_from(schema.query))
            )
            == 0
        )
    finally:
        store.close()


def test_a_store_that_does_not_add_up_leaves_nothing_behind(
    lived_in: str, empty: str, tmp_path: Path
) -> None:
    with sqlite3.connect(lived_in.removeprefix("sqlite:///")) as db:
        db.execute("DROP TRIGGER transfer_no_update")
        db.execute("UPDATE transfer SET reason = 'another' WHERE id = 3")
    with pytest.raises(BadInput, match="not those that were sealed"):
        copy(lived_in, empty)
    assert is_untouched(empty)
    with sqlite3.connect(lived_in.removeprefix("sqlite:///")) as db:
        db.execute("UPDATE account SET posted_micro = posted_micro + 1 WHERE id LIKE '%ann%'")
    with pytest.raises(BadInput, match="instead of 0"):
        copy(lived_in, empty)
    assert is_untouched(empty)


def test_while_a_realm_has_one_of_them_nothing_is_copied(
    lived_in: str, empty: str, tmp_path: Path
) -> None:
    store = Store.open(lived_in, tmp_path / "blobs")
    try:
        with pytest.raises(Unavailable, match="in use"):
            copy(lived_in, empty)
    finally:
        store.close()
    assert is_untouched(empty)
    with pytest.raises(Unavailable, match="There is no database"):
        copy(f"sqlite:///{tmp_path}/nowhere.db", empty)
    assert not (tmp_path / "nowhere.db").exists()
    (tmp_path / "older").mkdir()
    shutil.copy(lived_in.removeprefix("sqlite:///"), tmp_path / "older" / "realm.db")
    with sqlite3.connect(tmp_path / "older" / "realm.db") as db:
        db.execute("UPDATE alembic_version SET version_num = 'm0005'")
    with pytest.raises(BadInput, match="not of this version"):
        copy(f"sqlite:///{tmp_path}/older/realm.db", empty)


def test_the_command_says_what_came_over(
    lived_in: str, empty: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", "copy", "--from", lived_in, "--to", empty]) == 0
    told = capsys.readouterr().out
    assert "query                         41" in told
    assert "sums to zero" in told
    assert main(["store", "copy", "--from", lived_in, "--to", empty]) == 1
    assert "name an empty database" in capsys.readouterr().err
