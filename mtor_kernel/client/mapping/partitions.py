"""Dask's DataFrames, Series and bags as rows, a partition at a time.

The partitions are computed by whatever scheduler the person has chosen, never by the realm's. Each
is computed twice (looked over, then asked), and only what the prompt needs of it; the answers stay
in memory and join the collection as a graph of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtor_kernel.client.mapping.frames import (
    Columns,
    pandas_dtype,
    pandas_names,
    pandas_rows,
    with_answers,
)
from mtor_kernel.client.mapping.report import Found
from mtor_kernel.client.mapping.rows import (
    Listed,
    Rows,
    Source,
    listed,
    media_among,
    mixed_rows,
    names_of,
    not_rows,
)
from mtor_kernel.client.media import Kind
from mtor_kernel.protocol.errors import BadInput


def collection_source(data: Any, kind: Kind | None) -> Source:
    """Return a Dask collection as rows; raise :class:`BadInput` where it has none."""
    if hasattr(data, "to_textfiles"):
        return DaskBag(data, kind)
    if not hasattr(data, "map_partitions") or not hasattr(data, "divisions"):
        raise not_rows(data)
    return DaskTable(data) if hasattr(data, "columns") and data.ndim == 2 else DaskColumn(data)


class DaskTable(Source):
    """A Dask DataFrame."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.names = pandas_names(data)
        self.parts = data.npartitions

    def load(self, part: int) -> Rows:
        return pandas_rows(_computed(self._data.partitions[part]))

    def give(self, found: list[Found], into: str) -> Any:
        return _joined(self._data, _table, found, into)


class DaskColumn(Source):
    """A Dask Series."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.parts = data.npartitions

    def load(self, part: int) -> Rows:
        column = _computed(self._data.partitions[part])
        return Columns({"": column.array}, len(column))

    def give(self, found: list[Found], into: str) -> Any:
        return _joined(self._data, _column, found, into)


class DaskBag(Source):
    """A Dask bag of values, or of mappings."""

    def __init__(self, data: Any, kind: Kind | None) -> None:
        self._data = data
        self.parts = data.npartitions
        # A bag does not say what is in it.
        first = next((some for part in range(self.parts) if (some := self._items(part))), [])
        self.names = names_of(first)
        self.is_media = self.names is None and media_among(first, kind)

    def load(self, part: int) -> Rows:
        items = self._items(part)
        if items and (names_of(items) is None) != (self.names is None):
            raise mixed_rows()
        return Listed(items)

    def give(self, found: list[Found], into: str) -> Any:
        from dask import bag
        from dask.delayed import delayed

        return bag.from_delayed(
            [
                delayed(list)(listed(self._items(part), one, into))
                if self.names
                else delayed(list)(one.values)
                for part, one in enumerate(found)
            ]
        )

    def _items(self, part: int) -> Sequence[Any]:
        return list(_computed(self._data.to_delayed()[part]))


def _computed(part: Any) -> Any:
    """Return one partition; where nobody has chosen a scheduler, no processes start for it."""
    from dask.base import get_scheduler

    chosen = get_scheduler()
    return part.compute() if chosen is not None else part.compute(scheduler="threads")


def _joined(data: Any, join: Any, found: list[Found], into: str) -> Any:
    """Return the collection with each partition's answers beside it."""
    import dask
    import dask.dataframe

    # One type for all of them, whatever one partition's answers alone would be.
    dtype = pandas_dtype(value for box in found for value in box.values)
    answers = [_frame(box, into, dtype) for box in found]
    # Values of a class would be made strings of.
    with dask.config.set({"dataframe.convert-string": False}):
        lazy = dask.dataframe.from_map(_itself, answers, meta=answers[0].iloc[:0])
    return data.map_partitions(
        join,
        lazy,
        into,
        align_dataframes=False,
        meta=join(data._meta, answers[0].iloc[:0], into),
    )


def _frame(found: Found, into: str, dtype: str) -> Any:
    """Return answers and failures as a table of their own."""
    import pandas

    count = len(found.values)
    return with_answers(pandas.DataFrame(index=range(count)), found, into, dtype)


def _itself(answers: Any) -> Any:
    return answers


def _table(part: Any, answers: Any, into: str) -> Any:
    _check_length(part, answers)
    return part.assign(**{name: answers[name].array for name in answers.columns})


def _column(part: Any, answers: Any, into: str) -> Any:
    _check_length(part, answers)
    return answers[into].set_axis(part.index)


def _check_length(part: Any, answers: Any) -> None:
    if len(part) != len(answers):
        raise BadInput(
            f"A partition had {len(answers):,} rows when it was asked about and has "
            f"{len(part):,} now: persist() the collection before it is mapped."
        )
