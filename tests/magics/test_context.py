"""What a Computer cell may know of the notebook."""

import enum
import json
import types
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.magics.context import context_line, mentioned, shape_of

#: Occurs in every value below, and must occur in nothing that is told.
SECRET = "s3cr3tvalue"


@dataclass
class Person:
    name: str = SECRET

    def __len__(self) -> int:
        return 3


class Shy:
    """Raises whatever is looked at."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(SECRET)

    def __len__(self) -> int:
        raise RuntimeError(SECRET)


class DType:
    """A type that tells its values, as enumerations of some data frame libraries do."""

    def __str__(self) -> str:
        return f"Enum(categories=['{SECRET}'])"

    __repr__ = __str__


class Int64:
    name = "int64"


class DataFrame:
    """The face of a data frame, as far as it is looked at."""

    shape = (3, 2)
    columns = ("town", "people")
    dtypes = (DType(), Int64())

    def __repr__(self) -> str:
        return SECRET


class Array:
    shape = (2, 2)
    dtype = Int64()

    def __len__(self) -> int:
        return 2

    __repr__ = __str__ = lambda self: SECRET


class Colour(enum.Enum):
    RED = SECRET


def a_function(default: str = SECRET) -> str:
    return default


VALUES: dict[str, Any] = {
    "text": SECRET,
    "number": 42.5,
    "words": [SECRET] * 3,
    "table": {SECRET: SECRET},
    "person": Person(),
    "shy": Shy(),
    "frame": DataFrame(),
    "array": Array(),
    "colour": Colour.RED,
    "run": a_function,
    "kind": Person,
    "nothing": None,
    "raw": SECRET.encode(),
    "space": types.SimpleNamespace(shape=(SECRET, 2)),
    "module": json,
}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("text", "a str of length 11"),
        ("number", "a float"),
        ("words", "a list of length 3"),
        ("table", "a dict of length 1"),
        ("person", "a Person of length 3"),
        ("shy", "a Shy"),
        ("frame", "a DataFrame of shape (3, 2) with columns town (DType), people (int64)"),
        ("array", "an Array of shape (2, 2) of int64"),
        ("colour", "a Colour"),
        ("run", "a function"),
        ("kind", "a class"),
        ("nothing", "a NoneType"),
        ("space", "a SimpleNamespace of shape (?, 2)"),
        ("module", "a module"),
    ],
)
def test_a_variable_is_told_by_its_type_and_size(name: str, told: str) -> None:
    assert shape_of(VALUES[name]) == told


def test_no_value_ever_leaks() -> None:
    line = context_line(f"What about {', '.join(VALUES)}?", VALUES, ())
    assert line.count(" is ") == 12  # as many variables as are told at most
    assert SECRET not in "".join(map(shape_of, VALUES.values())) + line


@given(
    st.recursive(
        st.text(min_size=4, alphabet="ξψω") | st.binary(min_size=4),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="ξψω"), inner),
    )
)
def test_no_text_inside_any_value_leaks(value: Any) -> None:
    told = shape_of(value)
    assert told.isascii()
    assert "\\x" not in told


def test_only_what_the_question_mentions_is_told() -> None:
    assert context_line("How long is words?", VALUES, ()) == (
        "In the notebook: words is a list of length 3."
    )
    assert context_line("What is the weather?", VALUES, ()) == ""


def test_hidden_and_private_names_are_not_told() -> None:
    variables = {"In": [SECRET], "_last": SECRET, "words": []}
    assert mentioned("In _last words", variables, {"In"}) == ["words"]


def test_english_words_are_variables_only_in_backticks() -> None:
    variables = {"a": 1, "I": 2}
    assert mentioned("I have a question", variables, ()) == []
    assert mentioned("I have `a` question", variables, ()) == ["a"]


def test_a_wide_table_is_told_in_short() -> None:
    class LazyFrame:
        columns = tuple(f"c{n}" for n in range(40))

    assert shape_of(LazyFrame()).endswith("c15 and 24 more")
