"""Statements that are compiled once: those that every query passes through.

SQLAlchemy works out at each execution what text a statement has and how its values travel. For a
small statement that is most of its cost, and the event loop waits for the interpreter meanwhile. A
:class:`Prepared` statement has it worked out once for a kind of database, and hands text and values
to the driver from then on: the same words by a shorter way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa

from mtor_kernel.storage.faults import as_sqlalchemys
from mtor_kernel.storage.rows import Row

_Convert = Callable[[Any], Any]


class Prepared:
    """A statement whose text does not depend on its values.

    Runs within a transaction that has begun, takes its values by their names (for an ``INSERT``
    always the same ones), and raises what SQLAlchemy would raise.
    """

    def __init__(self, statement: sa.Select[Any] | sa.Insert | sa.Update | sa.Delete) -> None:
        self._statement = statement
        self._plans: dict[str, _Plan] = {}

    def run(self, conn: sa.Connection, told: Mapping[str, Any]) -> int:
        """Carry it out; return how many rows it changed."""
        return self._carry_out(conn, told)[0]

    def rows(self, conn: sa.Connection, told: Mapping[str, Any]) -> list[Row]:
        """Return the rows that it finds, or that it changed and returns."""
        return self._carry_out(conn, told)[1]

    def one_or_none(self, conn: sa.Connection, told: Mapping[str, Any]) -> Row | None:
        """Return its only row, if there is one."""
        found = self._carry_out(conn, told)[1]
        if len(found) > 1:
            raise sa.exc.MultipleResultsFound(f"{len(found)} rows where one at most was expected")
        return found[0] if found else None

    def _carry_out(self, conn: sa.Connection, told: Mapping[str, Any]) -> tuple[int, list[Row]]:
        plan = self._plan(conn.dialect, told)
        cursor = conn.connection.cursor()
        try:
            cursor.execute(plan.text, plan.values(told))
            rows = plan.rows(cursor) if cursor.description else []
            return cursor.rowcount, rows
        except conn.dialect.loaded_dbapi.Error as error:
            raise as_sqlalchemys(error, plan.text, conn.dialect) from error
        finally:
            cursor.close()

    def _plan(self, dialect: sa.Dialect, told: Mapping[str, Any]) -> _Plan:
        kind = f"{dialect.name}+{dialect.driver}"
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = _Plan(self._statement, dialect, sorted(told))
        return plan


class _Plan:
    """A statement as one kind of database takes it."""

    def __init__(self, statement: Any, dialect: sa.Dialect, names: Sequence[str]) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=names)
        self.text = str(compiled)
        if "POSTCOMPILE" in self.text:
            raise TypeError("a list of values would be part of the text: do not prepare this one")
        #: Values that are part of the statement itself, such as a stage.
        self._constants = {
            name: value for name, value in compiled.params.items() if name not in names
        }
        self._to_driver: list[tuple[str, _Convert]] = [
            (name, convert)
            for bound, name in compiled.bind_names.items()
            if (convert := bound.type.dialect_impl(dialect).bind_processor(dialect))
        ]
        #: ``None`` where the driver takes the values by their names.
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        self.rows = Reading(list(statement.exported_columns), dialect).rows

    def values(self, told: Mapping[str, Any]) -> Any:
        """Return the values as the driver takes them."""
        values = {**self._constants, **told}
        for name, convert in self._to_driver:
            values[name] = convert(values[name])
        return values if self._order is None else [values[name] for name in self._order]


class Reading:
    """How the rows of a statement are read that one kind of database brings."""

    def __init__(self, columns: Sequence[Any], dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._columns = columns
        self._row: Any = None
        self._from_driver: list[tuple[int, _Convert]] = []

    def rows(self, cursor: Any) -> list[Row]:
        """Return what a cursor brings, each row read by its columns' names."""
        if self._row is None:
            self._learn(cursor.description)
        if not self._from_driver:
            return list(map(self._row._make, cursor.fetchall()))
        found = []
        for raw in map(list, cursor.fetchall()):
            for at, convert in self._from_driver:
                raw[at] = convert(raw[at])
            found.append(self._row._make(raw))
        return found

    def _learn(self, description: Sequence[Sequence[Any]]) -> None:
        kinds = [column.type.dialect_impl(self._dialect) for column in self._columns]
        ways = [
            kind.result_processor(self._dialect, told[1])
            for kind, told in zip(kinds, description, strict=True)
        ]
        # Whole, and before the row that says that it is known: readers come from several threads.
        self._from_driver = [(at, convert) for at, convert in enumerate(ways) if convert]
        names = [column.key for column in self._columns]
        self._row = cast(Any, namedtuple("Row", names))  # noqa: PYI024
