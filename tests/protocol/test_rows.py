"""Rows of a table in one query: what is taken of them, and how their answers are read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mtor_kernel.protocol.account import RateCard, Usage
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.check import check_query
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode, encode
from mtor_kernel.protocol.errors import BadInput, ErrorInfo, Malformed, RowsKnown, TooLarge
from mtor_kernel.protocol.query import (
    MAX_TABLE_ROWS,
    Answer,
    Data,
    Message,
    Modality,
    Part,
    Priority,
    Query,
    RowAnswer,
    Rows,
    TableRow,
    Text,
    answered,
)
from mtor_kernel.protocol.units import after, parts_of

SAID = Rows((RowAnswer(0, (Text("well"),)), RowAnswer(2, error=ErrorInfo("bad_input", "No."))))


def rows_of(*texts: str) -> tuple[TableRow, ...]:
    return tuple(TableRow(text, f"key {n}".replace(" ", "-")) for n, text in enumerate(texts))


def table(*texts: str, **fields: Any) -> Query:
    return msgspec.structs.replace(
        Query.ask(texts[0]), **{"priority": Priority.BATCH, "rows": rows_of(*texts), **fields}
    )


def model(modality: Modality = Modality.CHAT) -> ModelSpec:
    return ModelSpec("small", modality, "echo", RateCard(free=True))


@pytest.mark.parametrize("modality", [Modality.CHAT, Modality.EMBEDDING])
def test_small_questions_in_words_go_together(modality: Modality) -> None:
    check_query(table("one", "two", "two"), model(modality))
    check_query(table("alone"), model(modality))


@pytest.mark.parametrize("modality", sorted(set(Modality) - {Modality.CHAT, Modality.EMBEDDING}))
def test_any_other_is_asked_one_by_one(modality: Modality) -> None:
    asked = table("one", "two")
    with pytest.raises(BadInput):
        check_query(asked, model(modality))
    if modality is not Modality.TRANSCRIPTION:
        with pytest.raises(BadInput, match="one question at a time: send each row by itself"):
            check_query(asked, model(modality))


def test_what_stands_before_them_is_shared() -> None:
    before = (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("An example"),)),
        Message("assistant", (Text("An answer"),)),
    )
    asked = table("one", "two")
    asked = msgspec.structs.replace(asked, messages=(*before, *asked.messages))
    check_query(asked, model())
    assert asked.of_row("two").messages == (*before, Message("user", (Text("two"),)))
    assert asked.of_row("two").rows == ()
    assert asked.of_row("two").priority is Priority.BATCH


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rows": rows_of("one", " \n")}, "row 1 is empty: leave it out"),
        ({"rows": rows_of("one", "", "three")}, "row 1 is empty: leave it out"),
        ({"rows": rows_of("one", "two", "a\0b")}, "row 2 holds a NUL character: leave it out"),
        ({"rows": (TableRow("one", "k"), TableRow("two", "k"))}, "a key of its own"),
        (
            {"rows": rows_of("two", "one")},
            "The last message is the first row: make its words the same",
        ),
        ({"priority": Priority.INTERACTIVE}, "Rows are of the class batch"),
        ({"messages": (Message("user", (Text("o"), Text("ne"))),)}, "is the first row"),
        ({"messages": (Message("assistant", (Text("one"),)),)}, "must be the user's"),
    ],
)
def test_what_is_wrong_with_them_is_told(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        check_query(msgspec.structs.replace(table("one", "two"), **change), model())


def test_the_row_at_fault_is_named_by_its_position() -> None:
    with pytest.raises(BadInput) as refused:
        check_query(table("one", "two", ""), model())
    assert refused.value.details == {"row": 2}


def test_as_many_as_may_be_are_read_and_one_more_is_not() -> None:
    most = table(*(f"row {n}" for n in range(MAX_TABLE_ROWS)))
    assert decode(encode(most), Query) == most
    more = table(*(f"row {n}" for n in range(MAX_TABLE_ROWS + 1)))
    with pytest.raises(Malformed, match=r"length <= 256.*rows"):
        decode(encode(more), Query)


def test_all_of_them_fit_into_one_frame_or_are_refused() -> None:
    large = table("x", *("x" * 2048 for _ in range(MAX_TABLE_ROWS - 1)))
    with pytest.raises(TooLarge):
        decode(encode(large), Query)
    assert len(encode(large)) > MAX_FRAME_BYTES


@pytest.mark.parametrize("key", ["", " ", "a b", "ü", "\0", "x" * 129])
def test_a_key_is_as_any_other(key: str) -> None:
    with pytest.raises(Malformed):
        decode(encode(TableRow("one", key)), TableRow)


@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_nobody_asks_with_rows_of_an_answer(modality: Modality, role: str) -> None:
    last: tuple[Part, ...] = (Text("hello"), SAID) if role == "user" else (Text("hello"),)
    before = (Message(role, (SAID,)),) if role == "assistant" else ()
    with pytest.raises(BadInput):
        check_query(Query((*before, Message("user", last))), model(modality))


def test_rows_of_an_answer_in_a_chat_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"takes no rows of an answer: write it as words"):
        check_query(Query((Message("user", (Text("hi"), SAID)),)), model())


def test_rows_that_nest_too_deep_are_not_read() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    answer = Rows((RowAnswer(0, (Data(deep),)),))
    with pytest.raises(Malformed, match="nests deeper"):
        decode(encode(answer), Rows)


@pytest.mark.parametrize("row", [-1, MAX_TABLE_ROWS])
def test_an_answer_names_a_row_that_there_may_be(row: int) -> None:
    with pytest.raises(Malformed):
        decode(encode({"type": "rows", "answers": [{"row": row}]}), Rows)


def test_only_an_answer_answers() -> None:
    assert answered((Text("words"), SAID, Rows((RowAnswer(5),)))) == {0, 5}
    assert answered(()) == set()


def test_an_answer_of_rows_is_read_as_a_line_each() -> None:
    assert Answer((SAID, Rows((RowAnswer(1, (Text("far"),)),)))).text == "well\n\nfar\n"


def test_some_rows_are_one_unit_of_an_answer() -> None:
    more = Rows((RowAnswer(1),))
    assert parts_of((SAID, more)) == (SAID, more)
    assert after((SAID, more), 1) == [more]


def test_of_an_answer_what_is_usual_is_not_said() -> None:
    assert encode(RowAnswer(3)) == b'{"row":3}'
    assert encode(Usage(rows=1)) == b"{}"
    assert decode(b"{}", Usage).rows == 1
    assert decode(encode(Usage(rows=0)), Usage).rows == 0


def test_the_refusal_says_where_each_row_was_asked() -> None:
    error = RowsKnown("Known.", **{"3": "a" * 32 + ":5"})
    assert error.info().code == "rows_known"
    assert error.info().details == {"3": "a" * 32 + ":5"}
