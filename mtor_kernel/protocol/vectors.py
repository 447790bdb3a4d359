"""Texts to embed, cut into queries, and the vectors in their answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.query import Data, Message, Part, Query, Text, make_options

#: Most texts of one query, and their most bytes: a query must fit into a frame.
MOST_TEXTS = 256
MOST_BYTES = 128 * 1024


def groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield `texts` in groups that fit into one query each.

    Raises
    ------
    BadInput
        There is none, or one is empty, or no text.
    """
    if not texts:
        raise BadInput("There is no text: give one, or a list of texts.", param="input")
    group: list[str] = []
    size = 0
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"Text {at} is a {type(text).__name__}: give texts.", param="input")
        if not text.strip():
            raise BadInput(f"Text {at} is empty: leave it out.", param="input")
        length = len(text.encode("utf-8", "replace"))
        if group and (len(group) == MOST_TEXTS or size + length > MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(text)
        size += length
    yield group


def embedding_query(texts: Sequence[str], model: str, **options: Any) -> Query:
    """Return the query that asks for the vectors of one group."""
    turn = Message("user", tuple(Text(text) for text in texts))
    return Query((turn,), model, make_options(options))


def vectors_of(parts: Iterable[Part], count: int) -> list[list[float]]:
    """Return the vectors of an answer; raise :class:`BackendFailed` where there are not `count`."""
    found = [
        [float(number) for number in part.value["embedding"]]
        for part in parts
        if isinstance(part, Data) and isinstance(part.value, dict) and "embedding" in part.value
    ]
    if len(found) != count:
        raise BackendFailed(f"The model gave {len(found)} vectors for {count} texts: ask again.")
    return found


def check_one_model(models: Iterable[str]) -> None:
    """Raise :class:`BackendFailed` unless one model made all vectors: others cannot be compared."""
    different = sorted(set(models))
    if len(different) > 1:
        raise BackendFailed(
            f"The vectors are of different models ({', '.join(different)}) and cannot be compared: "
            "ask again, or name one model."
        )
