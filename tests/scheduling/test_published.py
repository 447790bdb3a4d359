"""What is counted of an answer that was cancelled half-way."""

from __future__ import annotations

from typing import Any

import pytest

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.query import (
    Audio,
    Data,
    Image,
    Message,
    Modality,
    Options,
    Part,
    Query,
    RowAnswer,
    Rows,
    TableRow,
    Text,
)
from mtor_kernel.scheduling import pricing
from mtor_kernel.scheduling.published import published
from tests.scheduling.examples import make_spec

PICTURE, SOUND, DATA = Image("a" * 64), Audio("b" * 64), Data([0.5])
SIZE = Options(width=64, height=64, steps=10)


def ask(*parts: Part, **fields: Any) -> Query:
    return Query((Message("user", parts),), **fields)


SPEECH = ask(Text("One. Two! And this is three?"))
CASES: list[tuple[Modality, Query, tuple[Part, ...], Usage]] = [
    (Modality.CHAT, ask(Text("hi")), (Text("well hello"),), Usage(output_tokens=7)),
    (Modality.IMAGE, ask(Text("a cat"), options=SIZE), (), Usage()),
    (
        Modality.IMAGE,
        ask(Text("a cat"), options=SIZE),
        (PICTURE,),
        Usage(images=1, pixel_steps=64 * 64 * 10),
    ),
    (
        Modality.TRANSCRIPTION,
        ask(SOUND),
        (Text("five words in two seconds"),),
        Usage(audio_ms=2000),
    ),
    (Modality.SPEECH, SPEECH, (SOUND,), Usage(characters=4, audio_ms=267)),
    (Modality.SPEECH, SPEECH, (SOUND,) * 3, Usage(characters=28, audio_ms=1867)),
    (Modality.SPEECH, SPEECH, (SOUND,) * 9, Usage(characters=28, audio_ms=1867)),
    (Modality.SPEECH, SPEECH, (), Usage()),
    (Modality.EMBEDDING, ask(Text("a" * 40), Text("b" * 40)), (DATA,), Usage(input_tokens=10)),
    (Modality.API, ask(Text("")), (Text("sunny"),), Usage()),
]


@pytest.mark.parametrize(("modality", "query", "parts", "usage"), CASES)
def test_what_was_shown_is_counted_and_nothing_else(
    modality: Modality, query: Query, parts: tuple[Part, ...], usage: Usage
) -> None:
    counted = published(query, make_spec(modality=modality), parts, 7)
    assert counted.estimated
    for name in Usage.__struct_fields__:
        if name != "estimated":
            assert getattr(counted, name) == getattr(usage, name), name


@pytest.mark.parametrize(("modality", "query", "parts", "usage"), CASES)
def test_it_never_costs_more_than_the_hold(
    modality: Modality, query: Query, parts: tuple[Part, ...], usage: Usage
) -> None:
    spec = make_spec(modality=modality)
    counted = published(query, spec, parts * 100, 10**9)
    assert pricing.price(counted, spec.rates, answered=False) <= pricing.hold_for(query, spec)


def table(*texts: str) -> Query:
    return ask(Text(texts[0]), rows=tuple(TableRow(text, text[:9]) for text in texts))


NO = ErrorInfo("bad_input", "No.")
ROWS = Rows((RowAnswer(0, (DATA,)), RowAnswer(1, error=NO))), Rows((RowAnswer(3, (DATA,)),))


def test_of_rows_those_are_counted_that_were_answered() -> None:
    query = table("a" * 40, "b" * 400, "c" * 4000, "d" * 8)
    embedded = published(query, make_spec(modality=Modality.EMBEDDING), ROWS, 0)
    assert (embedded.rows, embedded.input_tokens, embedded.estimated) == (2, 12, True)
    chatted = published(query, make_spec(), ROWS, 7)
    assert (chatted.rows, chatted.output_tokens) == (2, 7)
    assert published(query, make_spec(), (), 0).rows == 0


def test_of_rows_none_that_was_not_asked_is_read() -> None:
    """What a worker says may be wrong."""
    spec = make_spec(modality=Modality.EMBEDDING)
    assert published(table("a" * 40), spec, (Rows((RowAnswer(200),)),), 0).input_tokens == 0


@pytest.mark.parametrize("modality", [Modality.CHAT, Modality.EMBEDDING])
def test_rows_never_cost_more_than_their_hold(modality: Modality) -> None:
    query, spec = table("a" * 40, "b" * 400, "c", "d"), make_spec(modality=modality)
    every = Rows(tuple(RowAnswer(n) for n in range(4)))
    for parts in ((every,), ROWS, ROWS * 100, ()):
        counted = published(query, spec, parts, 10**9)
        assert pricing.price(counted, spec.rates) <= pricing.hold_for(query, spec)
