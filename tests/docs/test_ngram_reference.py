"""``docs/ngram.md`` tells every n-gram, and its examples are what travels."""

import json
import re
from typing import Any, get_args

import msgspec
import pytest

from mtor_kernel.protocol import codec, link, ngram, query
from tests.docs.pages import page, rows, section

UNIONS: dict[str, Any] = {
    "ClientNGram": ngram.ClientNGram,
    "RealmNGram": ngram.RealmNGram,
    "WorkerNGram": link.WorkerNGram,
    "LinkNGram": link.LinkNGram,
}
NGRAMS = [(union, kind) for union, kinds in UNIONS.items() for kind in get_args(kinds)]
#: A comment names the union and the class; the example follows it.
_EXAMPLE = re.compile(r"^<!-- ngram: (\w+)\.(\w+) -->\n```json\n(.*?)^```", re.M | re.S)
PAGE = page("ngram.md")
EXAMPLES = [pytest.param(*found, id=".".join(found[:2])) for found in _EXAMPLE.findall(PAGE)]


@pytest.mark.parametrize(("union", "name", "text"), EXAMPLES)
def test_an_example_is_what_travels(union: str, name: str, text: str) -> None:
    """It decodes to its n-gram, and the code would write exactly that, nothing more or less."""
    decoded = codec.decode(text, UNIONS[union])
    assert type(decoded).__name__ == name
    assert json.loads(codec.encode(decoded)) == json.loads(text)


def test_every_ngram_has_one_example() -> None:
    told = [(union, name) for union, name, _ in _EXAMPLE.findall(PAGE)]
    assert sorted(told) == sorted((union, kind.__name__) for union, kind in NGRAMS)


def test_every_json_block_is_an_example() -> None:
    assert PAGE.count("```json\n") == len(EXAMPLES)


@pytest.mark.parametrize(("union", "kind"), NGRAMS, ids=lambda one: getattr(one, "__name__", one))
def test_an_ngram_stands_under_its_op_with_its_class(
    union: str, kind: type[msgspec.Struct]
) -> None:
    assert f"`{kind.__name__}`" in told_of(union, kind)


@pytest.mark.parametrize(("union", "kind"), NGRAMS, ids=lambda one: getattr(one, "__name__", one))
def test_every_field_is_told_with_its_default(union: str, kind: type[msgspec.Struct]) -> None:
    told = {name.strip("`"): default for name, default, _ in rows(told_of(union, kind))[2:]}
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    assert set(told) == set(fields)
    for name, field in fields.items():
        if field.required:
            assert told[name] == ""
        else:
            assert json.loads(told[name].strip("`")) == json.loads(codec.encode(field.default))


def told_of(union: str, kind: type[msgspec.Struct]) -> str:
    """The section of an n-gram: its op, and whose it is where a client has the same."""
    op = f"`{kind.__struct_config__.tag}`"
    on_the_link = union in ("WorkerNGram", "LinkNGram")
    double = f"### {op} (worker)" in PAGE
    return section(PAGE, f"{op} (worker)" if on_the_link and double else op)


@pytest.mark.parametrize(
    ("title", "kind"), [("Query", query.Query), ("Rows of a table", query.RowAnswer)]
)
def test_every_field_of_a_question_and_of_a_rows_answer_is_told(
    title: str, kind: type[msgspec.Struct]
) -> None:
    told = {name.strip("`") for name, _, _ in rows(section(PAGE, title))[2:]}
    assert told == set(kind.__struct_fields__)


def test_every_kind_of_part_is_told() -> None:
    tags = [kind.__struct_config__.tag for kind in get_args(query.Part)]
    assert [tag for tag in tags if f'{{"type": "{tag}"' not in section(PAGE, "Query")] == []
