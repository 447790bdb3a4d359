"""The migrations: they make the schema that the code expects, once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mtor_kernel.protocol.errors import ErrorInfo, RowsKnown
from mtor_kernel.storage import Store, endings, migrations, queries, schema
from mtor_kernel.storage.database import database_of
from mtor_kernel.storage.migrations import upgrade
from mtor_kernel.storage.postgres import Postgres, _commit
from tests.storage.helpers import (
    NOON,
    URL_FILE,
    accept,
    dispatch,
    new_query,
    opened,
    person,
    problems,
    settle,
    stranger,
    url_of,
)

#: What m0007 adds to the queries.
ROWS = schema.query.c.rows


def checks(conn: sa.Connection) -> dict[str, set[object]]:
    inspector = sa.inspect(conn)
    return {
        table: {check["name"] for check in inspector.get_check_constraints(table)}
        for table in schema.metadata.tables
    }


def test_the_newest_migration_is_the_one_that_the_code_names() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_heads() == [schema.HEAD]


def differences(conn: sa.Connection) -> list[object]:
    return compare_metadata(MigrationContext.configure(conn), schema.metadata)


def test_an_empty_database_gets_the_schema_that_the_code_expects(store: Store) -> None:
    assert store.read_sync(differences) == []


def test_the_constraints_are_those_that_the_code_expects(store: Store, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "db").mkdir(parents=True)
    if (tmp_path / URL_FILE).exists():
        server, schema_name = url_of(tmp_path).split("%3D")
        with stranger(tmp_path) as conn:
            conn.exec_driver_sql(f"CREATE SCHEMA {schema_name}_other")
        (other / URL_FILE).write_text(f"{server}%3D{schema_name}_other")
    with stranger(other) as conn:
        schema.metadata.create_all(conn)
        expected = checks(conn)
    assert store.read_sync(checks) == expected
    assert sum(map(len, expected.values())) >= 7


def test_to_upgrade_again_changes_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    person(store, "ann", 10)
    store.write_sync(upgrade)
    before = store.read_sync(dump)
    store.close()
    again = opened(tmp_path)
    after = again.read_sync(dump)
    again.close()
    epochs, epochs_before = after.pop("epoch"), before.pop("epoch")
    assert after == before
    assert len(epochs) == len(epochs_before) + 1


def test_an_upgrade_that_was_cut_off_leaves_an_empty_database(tmp_path: Path) -> None:
    database = database_of(url_of(tmp_path))
    database.claim()
    engine = database.writer()
    with engine.connect() as conn:
        with conn.begin() as cut_off:
            upgrade(conn)
            assert sa.inspect(conn).has_table("transfer")
            cut_off.rollback()
        with conn.begin():
            assert sa.inspect(conn).get_table_names() == []
    engine.dispose()
    database.release()


def test_two_that_start_at_once_migrate_once(tmp_path: Path, kind: str) -> None:
    if kind == "sqlite":
        pytest.skip("a file is one process's from before its migration on")

    def start(_: int) -> list[int]:
        engine = Postgres(sa.make_url(url_of(tmp_path)))._engine(1)
        sa.event.listen(engine, "begin", Postgres(sa.make_url(url_of(tmp_path)))._begin)
        sa.event.listen(engine, "commit", _commit)
        with engine.connect() as conn, conn.begin():
            upgrade(conn)
            people = conn.exec_driver_sql("SELECT count(*) FROM account").scalar_one()
        engine.dispose()
        return people

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start, range(4))) == [2, 2, 2, 2]


def dump(conn: sa.Connection, *, before_rows: bool = False) -> dict[str, list[tuple[object, ...]]]:
    return {
        table.name: [
            tuple(row)
            for row in conn.execute(
                sa.select(*(one for one in table.c if not before_rows or one is not ROWS))
            )
        ]
        for table in schema.metadata.sorted_tables
        if not before_rows or table is not schema.table_row
    }


def test_a_database_from_before_rows_keeps_what_it_has_and_takes_them(tmp_path: Path) -> None:
    store = opened(tmp_path)
    person(store, "ann", 1000)
    ended, runs, waits = (accept(store, new_query(key=key)).query for key in "abc")
    dispatch(store, ended)
    assert settle(store, ended)
    dispatch(store, runs)
    store.close()
    with stranger(tmp_path) as conn:
        for said in (
            "DROP TABLE table_row",
            "ALTER TABLE query DROP COLUMN rows",
            "UPDATE alembic_version SET version_num = 'm0006'",
        ):
            conn.exec_driver_sql(said)
        before = {
            name: rows for name, rows in dump(conn, before_rows=True).items() if name != "epoch"
        }
    store = opened(tmp_path)
    after = store.read_sync(lambda db: dump(db, before_rows=True))
    assert {name: after[name] for name in before} == before
    assert store.read_sync(migrations.revision) == schema.HEAD
    assert store.read_sync(differences) == []
    assert [row.id for row in store.write_sync(queries.reclaim)] == [runs, waits]
    dispatch(store, runs)
    assert settle(store, runs, attempt=2)
    store.write_sync(lambda db: endings.fail(db, waits, ErrorInfo("expired", "Late."), NOON))
    again = accept(store, new_query(key="a"))
    assert (again.query, again.repeated) == (ended, True)
    accept(store, new_query(rows=("x", "y")))
    with pytest.raises(RowsKnown):
        accept(store, new_query(rows=("y",)))
    assert problems(store) == []
    store.close()
