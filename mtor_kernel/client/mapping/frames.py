"""Tables and columns of pandas and Polars as rows. Imported only where data are theirs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mtor_kernel.client.mapping.report import Found
from mtor_kernel.client.mapping.rows import (
    ERROR_SUFFIX,
    Rows,
    Source,
    media_among,
    no_rows,
    not_rows,
)
from mtor_kernel.client.media import Kind
from mtor_kernel.protocol.errors import BadInput


class Columns(Rows):
    """Rows by their columns, each anything that has a length and items by position."""

    def __init__(self, columns: dict[str, Any], count: int) -> None:
        self._columns = columns
        self._count = count

    def __len__(self) -> int:
        return self._count

    def cell(self, at: int, name: str) -> Any:
        """Return the cell of row `at`; a plain column goes by any name."""
        return self._columns.get(name, self._columns.get(""))[at]  # type: ignore[index]


def frame_source(data: Any, kind: Kind | None) -> Source:
    """Return a table or a column as rows; raise :class:`BadInput` where it is neither."""
    library, name = type(data).__module__.partition(".")[0], type(data).__name__
    if name == "LazyFrame":
        raise BadInput("A LazyFrame has no rows yet: give frame.collect().")
    source = _SOURCES.get((library, "DataFrame" if hasattr(data, "columns") else "Series"))
    if source is None or not (hasattr(data, "columns") or hasattr(data, "dtype")):
        raise not_rows(data)
    if len(data) == 0:
        raise no_rows("table" if hasattr(data, "columns") else "column")
    made: Source = source(data, kind)
    return made


class PandasTable(Source):
    """A DataFrame of pandas. Positions count, so an index may hold anything, also twice."""

    def __init__(self, data: Any, kind: Kind | None) -> None:
        self._data = data
        self.names = pandas_names(data)

    def load(self, part: int) -> Rows:
        return pandas_rows(self._data)

    def give(self, found: list[Found], into: str) -> Any:
        return with_answers(self._data, found[0], into)


class PandasColumn(Source):
    """A Series of pandas."""

    def __init__(self, data: Any, kind: Kind | None) -> None:
        self._data = data
        self.is_media = media_among(data.iloc[:100].tolist(), kind)

    def load(self, part: int) -> Rows:
        return Columns({"": self._data.array}, len(self._data))

    def give(self, found: list[Found], into: str) -> Any:
        return pandas_column(found[0], self._data.index, into)


class PolarsTable(Source):
    """A DataFrame of Polars."""

    def __init__(self, data: Any, kind: Kind | None) -> None:
        self._data = data
        self.names = tuple(data.columns)

    def load(self, part: int) -> Rows:
        data = self._data
        return Columns({name: data.get_column(name) for name in data.columns}, len(data))

    def give(self, found: list[Found], into: str) -> Any:
        import polars

        told = found[0].sentences()
        errors = [told.get(at) for at in range(len(self._data))]
        return self._data.with_columns(
            _polars(into, found[0].values),
            polars.Series(into + ERROR_SUFFIX, errors, dtype=polars.String),
        )


class PolarsColumn(Source):
    """A Series of Polars."""

    def __init__(self, data: Any, kind: Kind | None) -> None:
        self._data = data
        self.is_media = media_among(data.head(100).to_list(), kind)

    def load(self, part: int) -> Rows:
        return Columns({"": self._data}, len(self._data))

    def give(self, found: list[Found], into: str) -> Any:
        return _polars(into, found[0].values)


_SOURCES: dict[tuple[str, str], Any] = {
    ("pandas", "DataFrame"): PandasTable,
    ("pandas", "Series"): PandasColumn,
    ("polars", "DataFrame"): PolarsTable,
    ("polars", "Series"): PolarsColumn,
}


def pandas_names(data: Any) -> tuple[str, ...]:
    """Return the names of a table's columns; raise :class:`BadInput` where one comes twice."""
    names = tuple(str(name) for name in data.columns)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"Two columns are called {twice[0]!r}: rename one.")
    return names


def pandas_rows(data: Any) -> Rows:
    """Return a table's rows."""
    columns = {str(name): data[name].array for name in data.columns}
    return Columns(columns, len(data))


def with_answers(data: Any, found: Found, into: str, dtype: str = "") -> Any:
    """Return a copy of a table with the answers, and the failures beside them."""
    import pandas

    told = found.sentences()
    errors = [told.get(at) for at in range(len(data))]
    return data.assign(
        **{
            into: pandas_column(found, data.index, into, dtype),
            into + ERROR_SUFFIX: pandas.Series(errors, index=data.index, dtype="str"),
        }
    )


def pandas_column(found: Found, index: Any, into: str, dtype: str = "") -> Any:
    """Return the answers as a column; ``attrs["errors"]`` has the failures by position."""
    import pandas

    column = pandas.Series(
        found.values, index=index, name=into, dtype=dtype or pandas_dtype(found.values)
    )
    column.attrs["errors"] = found.sentences()
    return column


def pandas_dtype(values: Iterable[Any]) -> str:
    """Return the type of a column of answers: text where all of them are."""
    return "str" if all(value is None or isinstance(value, str) for value in values) else "object"


def _polars(into: str, values: list[Any]) -> Any:
    import msgspec
    import polars

    if all(value is None or isinstance(value, str) for value in values):
        return polars.Series(into, values, dtype=polars.String)
    try:
        # Structured answers become structs, whatever class they were.
        plain = [None if one is None else msgspec.to_builtins(one) for one in values]
        return polars.Series(into, plain, strict=False)
    except (TypeError, ValueError, polars.exceptions.PolarsError):
        return polars.Series(into, values, dtype=polars.Object)
