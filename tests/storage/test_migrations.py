"""The migrations: they make the schema that the code expects, once."""

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mtor_kernel.storage import Store, migrations, schema
from mtor_kernel.storage.migrations import upgrade
from tests.storage.helpers import opened, person


def checks(conn: sa.Connection) -> dict[str, set[object]]:
    inspector = sa.inspect(conn)
    return {
        table: {check["name"] for check in inspector.get_check_constraints(table)}
        for table in schema.metadata.tables
    }


def test_the_newest_migration_is_the_one_that_the_code_names() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_heads() == [schema.HEAD]


def test_an_empty_database_gets_the_schema_that_the_code_expects(store: Store) -> None:
    def differences(conn: sa.Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(conn), schema.metadata)

    assert store.read_sync(differences) == []


def test_the_constraints_are_those_that_the_code_expects(store: Store, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/expected.db")
    with engine.begin() as conn:
        schema.metadata.create_all(conn)
        expected = checks(conn)
    engine.dispose()
    assert store.read_sync(checks) == expected
    assert sum(map(len, expected.values())) >= 7


def test_to_upgrade_again_changes_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    person(store, "ann", 10)
    store.write_sync(upgrade)
    store.close()
    file = tmp_path / "db" / "realm.db"
    before = dump(file)
    opened(tmp_path).close()
    after = dump(file)
    assert [line for line in after if line not in before] == [
        line for line in after if 'INTO "epoch"' in line
    ][-1:]


def test_an_upgrade_that_was_cut_off_leaves_an_empty_database(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/cut.db")
    with engine.connect() as conn:
        conn.connection.dbapi_connection.isolation_level = None
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        upgrade(conn)
        assert sa.inspect(conn).has_table("transfer")
        conn.connection.dbapi_connection.execute("ROLLBACK")
    with engine.connect() as conn:
        assert sa.inspect(conn).get_table_names() == []
    engine.dispose()


def dump(file: Path) -> list[str]:
    conn = sqlite3.connect(file)
    lines = list(conn.iterdump())
    conn.close()
    return lines
