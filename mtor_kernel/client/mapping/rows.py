"""Data as rows: what a map can ask about, and how its answers go back.

A :class:`Source` has its rows in parts that are loaded one after the other, so that of a Dask
collection only one partition is here at a time. Everything else is one part.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtor_kernel.client.mapping.report import Found, Mapped
from mtor_kernel.client.media import Kind, Media, is_picture
from mtor_kernel.protocol.errors import BadInput

#: Added to the name of the column of answers, it is that of the failures.
ERROR_SUFFIX = "_error"


class Rows(ABC):
    """Some rows, in order, in memory."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def cell(self, at: int, name: str) -> Any:
        """Return what row `at` has under `name`; the row itself where rows have no names."""


class Source(ABC):
    """What was given to be mapped."""

    #: The names of a row's cells; ``None``: a row is one value.
    names: tuple[str, ...] | None = None
    #: Whether each row is itself a picture or a sound.
    is_media: bool = False
    #: How many parts there are.
    parts: int = 1

    @abstractmethod
    def load(self, part: int) -> Rows:
        """Return the rows of one part. It may take its time."""

    @abstractmethod
    def give(self, found: list[Found], into: str) -> Any:
        """Return the answers as the kind of thing that was given."""


class Listed(Rows):
    """The rows of a list: values, or mappings of names to values."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def cell(self, at: int, name: str) -> Any:
        """Return the item, or what it has under `name`."""
        item = self.items[at]
        if not isinstance(item, Mapping):
            return item
        # A key need not be a text, but a name in a prompt is one.
        return item[name] if name in item else _by_text(item, name)


def _by_text(item: Mapping[Any, Any], name: str) -> Any:
    return next((value for key, value in item.items() if str(key) == name), None)


class OfList(Source):
    """A list or a tuple."""

    def __init__(self, items: Sequence[Any], kind: Kind | None) -> None:
        self._items = items
        self.names = names_of(items)
        self.is_media = self.names is None and media_among(items, kind)

    def load(self, part: int) -> Rows:
        return Listed(self._items)

    def give(self, found: list[Found], into: str) -> Mapped:
        return listed(self._items, found[0], into)


def listed(items: Sequence[Any], found: Found, into: str) -> Mapped:
    """Return the answers as a list; of rows with names, each row with its answer."""
    told = found.sentences()
    if names_of(items) is None:
        return Mapped(found.values, told)
    beside = into + ERROR_SUFFIX
    return Mapped(
        [
            {**item, into: value, beside: told.get(at)}
            for at, (item, value) in enumerate(zip(items, found.values, strict=True))
        ],
        told,
    )


def names_of(items: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the names that rows have; ``None`` where they are plain values.

    Raises
    ------
    BadInput
        Some are mappings and some are not.
    """
    mappings = sum(isinstance(item, Mapping) for item in items)
    if not mappings:
        return None
    if mappings < len(items):
        raise mixed_rows()
    return tuple(dict.fromkeys(str(name) for item in items for name in item))


def media_among(items: Sequence[Any], kind: Kind | None) -> bool:
    """Tell whether rows are pictures or sounds; texts are taken as paths only with a `kind`."""
    first = next((item for item in items if item is not None), None)
    if isinstance(first, str):
        return kind is not None
    return isinstance(first, Path | bytes | bytearray | Media | tuple) or (
        first is not None and is_picture(first)
    )


def source_of(data: Any, kind: Kind | None = None) -> Source:
    """Return `data` as rows.

    Raises
    ------
    BadInput
        It is nothing that has rows, or has none; says what to give.
    """
    if isinstance(data, list | tuple):
        if not data:
            raise no_rows("list")
        return OfList(data, kind)
    module = type(data).__module__.partition(".")[0]
    # Data of a library are here only if the library is; nothing is imported for anybody else.
    if module in ("pandas", "polars") and module in sys.modules:
        from mtor_kernel.client.mapping.frames import frame_source

        return frame_source(data, kind)
    if module in ("dask", "dask_expr") and "dask" in sys.modules:
        from mtor_kernel.client.mapping.partitions import collection_source

        return collection_source(data, kind)
    raise not_rows(data)


def mixed_rows() -> BadInput:
    """Return the error of rows that are not all of one kind."""
    return BadInput("Some rows are mappings and some are not: make them all of one kind.")


def no_rows(what: str) -> BadInput:
    """Return the error of what is empty."""
    return BadInput(f"The {what} has no rows: there is nothing to ask.")


def not_rows(data: Any) -> BadInput:
    """Return the error of what cannot be mapped."""
    if isinstance(data, str):
        return BadInput("A text is one question: use realm.ask, or give a list of texts.")
    return BadInput(
        f"A {type(data).__name__} cannot be mapped: give a DataFrame or Series (pandas, Polars), "
        "a list, or a Dask DataFrame, Series or bag. list(…) makes a list of an iterator."
    )
