"""What migrations have each kind of database refuse, in its own words."""

from __future__ import annotations

from alembic import op


def append_only(table: str) -> None:
    """Have the database refuse to change or remove a row of `table`."""
    if op.get_bind().dialect.name == "postgresql":
        _on_postgresql(table)
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f'CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON "{table}"'
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _on_postgresql(table: str) -> None:
    op.execute(
        f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION '{table} is append-only'"
        " USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for verb, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f'CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON "{table}"'
            f" FOR EACH {each} EXECUTE FUNCTION {table}_is_append_only()"
        )
