"""Statements over several rows of values at once, compiled once for each of a few counts.

The rows travel as a list of ``VALUES`` with a name, from which the statement takes what it needs;
where there are fewer rows than the list has room for, the rest of it is rows of nothing. So a slice
of a map is one statement a step and not one a row: each step of a statement lets go of the
interpreter and has to get it back from the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from mtor_kernel.storage.faults import as_sqlalchemys
from mtor_kernel.storage.prepared import Reading
from mtor_kernel.storage.rows import Row

#: How many rows a statement has room for: the least of these that is enough.
SIZES = (4, 16, 64)

#: What each row holds, in order.
Columns = Mapping[str, TypeEngine[Any]]
_Statement = sa.Select[Any] | sa.Insert | sa.Update | sa.Delete


class Several:
    """A statement over rows of values.

    Parameters
    ----------
    columns
        The first is ``None`` in no row.
    make
        Returns the statement, given the rows as what it selects from.
    """

    def __init__(self, columns: Columns, make: Callable[[sa.CTE], _Statement]) -> None:
        self._columns = columns
        self._make = make
        self._plans: dict[tuple[str, int], _Plan] = {}

    def run(
        self, conn: sa.Connection, rows: Sequence[Sequence[Any]], told: Mapping[str, Any]
    ) -> list[Row]:
        """Carry it out for all `rows`; return what it finds, if it is one that finds.

        What it finds of more rows than :data:`SIZES` have room for is found by parts of them.
        """
        found: list[Row] = []
        for begin in range(0, len(rows), SIZES[-1]):
            some = rows[begin : begin + SIZES[-1]]
            size = next(size for size in SIZES if size >= len(some))
            plan = self._plan(conn.dialect, size)
            found += plan.carry_out(conn, some, told)
        return found

    def _plan(self, dialect: sa.Dialect, size: int) -> _Plan:
        kind = f"{dialect.name}+{dialect.driver}", size
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = _Plan(self._made(size), dialect, self._columns, size)
        return plan

    def _made(self, size: int) -> _Statement:
        columns = [sa.column(name, kind) for name, kind in self._columns.items()]
        values = [
            tuple(_value(name, kind, at) for name, kind in self._columns.items())
            for at in range(size)
        ]
        given = sa.values(*columns, name="given").data(values).cte("given")
        return self._make(given)


class _Plan:
    """The statement for a count of rows, as one kind of database takes it."""

    def __init__(
        self,
        statement: _Statement,
        dialect: sa.Dialect,
        columns: Columns,
        size: int,
    ) -> None:
        compiled = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._size, self._width = size, len(columns)
        names = [_name(name, at) for at in range(size) for name in columns]
        #: Values that are part of the statement, or told once for all rows.
        self._constants = {
            name: value for name, value in compiled.params.items() if name not in set(names)
        }
        self._convert = [
            (at, convert)
            for at, kind in enumerate(columns.values())
            if (convert := kind.dialect_impl(dialect).bind_processor(dialect))
        ]
        #: Where the driver takes values by position: where each stands among all that there are.
        self._order: list[int] | None = None
        self._names = [*names, *self._constants]
        if compiled.positional:
            places = {name: at for at, name in enumerate(self._names)}
            self._order = [places[name] for name in compiled.positiontup or ()]
        self._reading = Reading(list(statement.exported_columns), dialect)

    def carry_out(
        self, conn: sa.Connection, rows: Sequence[Sequence[Any]], told: Mapping[str, Any]
    ) -> list[Row]:
        cursor = conn.connection.cursor()
        try:
            cursor.execute(self._text, self._values(rows, told))
            return self._reading.rows(cursor) if cursor.description else []
        except conn.dialect.loaded_dbapi.Error as error:
            raise as_sqlalchemys(error, self._text, conn.dialect) from error
        finally:
            cursor.close()

    def _values(self, rows: Sequence[Sequence[Any]], told: Mapping[str, Any]) -> Any:
        for at, convert in self._convert:
            rows = [(*row[:at], convert(row[at]), *row[at + 1 :]) for row in rows]
        values = list(chain.from_iterable(rows))
        values += [None] * ((self._size - len(rows)) * self._width)
        values += [told.get(name, value) for name, value in self._constants.items()]
        if self._order is None:
            return dict(zip(self._names, values, strict=True))
        return [values[at] for at in self._order]


def _value(column: str, kind: TypeEngine[Any], at: int) -> sa.ColumnElement[Any]:
    value: sa.ColumnElement[Any] = sa.bindparam(_name(column, at), type_=kind)
    # PostgreSQL takes the type of a column from its values, of which some are NULL.
    return value if at else sa.cast(value, kind)


def _name(column: str, at: int) -> str:
    return f"{column}_{at}"
