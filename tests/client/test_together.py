"""Submissions that come together go in one frame, where the realm takes that."""

from __future__ import annotations

from typing import Any

from mtor_kernel.client.connection import together
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode, encode
from mtor_kernel.protocol.ngram import Cancel, ClientNGram, Submit, SubmitAll
from mtor_kernel.protocol.query import Query


def submit(number: int, prompt: str = "hello", **options: Any) -> Submit:
    return Submit(f"k{number}", Query.ask(prompt, **options), f"{number}")


def ids(said: list[ClientNGram]) -> list[list[str]]:
    return [
        [one.id for one in ngram.asked] if isinstance(ngram, SubmitAll) else [ngram.id]
        for ngram in said
    ]


def test_neighbours_go_together_and_the_order_stays() -> None:
    stop = Cancel("0" * 32, "stop")
    said = [submit(1), submit(2), stop, submit(3)]
    assert ids(list(together(said, 64))) == [["1", "2"], ["stop"], ["3"]]


def test_no_more_than_the_realm_takes() -> None:
    said = [submit(number) for number in range(5)]
    assert ids(list(together(said, 2))) == [["0", "1"], ["2", "3"], ["4"]]


def test_a_realm_that_does_not_know_of_it_is_told_one_by_one() -> None:
    said = [submit(1), submit(2)]
    assert list(together(said, 0)) == said


def test_no_frame_is_too_long() -> None:
    said = [submit(number, "x" * 100_000) for number in range(5)]
    frames = [encode(one) for one in together(said, 64)]
    assert len(frames) == 3
    assert max(map(len, frames)) <= MAX_FRAME_BYTES


def test_what_would_nest_too_deep_goes_alone() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(14):
        schema = {"type": "object", "properties": {"a": schema}}
    said = [submit(1), submit(2, json_schema=schema), submit(3)]
    told = list(together(said, 64))
    assert ids(told) == [["1"], ["2"], ["3"]]
    for one in told:
        decode(encode(one), ClientNGram)  # type: ignore[arg-type]  # a union
