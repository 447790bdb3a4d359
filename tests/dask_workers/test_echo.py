"""The echo says what it is told to, and goes wrong on demand."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from dask_workers.attempts import Attempt
from dask_workers.backends.echo import EchoBackend
from mtor_kernel.protocol.backend import Delta, Done, Step
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import Query
from tests.dask_workers.samples import echo


def ask(prompt: str, attempt: Attempt | None = None, /, **how: Any) -> list[Delta | Step | Done]:
    """What an echo with some settings says; other names are the query's options."""
    options = {name: how.pop(name) for name in ("seed", "stop", "max_tokens") if name in how}
    attempt = attempt or Attempt(AttemptRef("0" * 32, 1, 1))
    return list(EchoBackend(echo(**how)).stream(Query.ask(prompt, **options), attempt))


def pieces(said: list[Delta | Step | Done]) -> list[str]:
    return [one.text for one in said if isinstance(one, Delta)]


def test_it_says_back_the_last_message_as_it_stands() -> None:
    said = ask("  To be,\nor not?  ")
    assert pieces(said) == ["  To be,\nor not?  "]
    assert isinstance(said[-1], Done)
    assert said[-1].usage.output_tokens == 4


def test_it_says_its_words_in_turn_in_as_many_pieces_as_asked() -> None:
    assert pieces(ask("to be", chunks=5)) == ["to ", "be ", "to ", "be ", "to "]


def test_a_seed_draws_the_words_and_another_draws_others() -> None:
    said = [pieces(ask("a b c d e f", chunks=20, seed=seed)) for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


def test_the_limit_of_tokens_cuts_one_long_piece_too() -> None:
    said = ask("one two three four", max_tokens=2)
    assert pieces(said) == ["one two "]
    assert isinstance(said[-1], Done)
    assert said[-1].finish_reason == "length"


def test_its_pace_is_kept() -> None:
    begun = time.monotonic()
    ask("a", chunks=11, rate=100.0)
    assert time.monotonic() - begun >= 0.1


def test_it_fails_after_so_many_pieces() -> None:
    stream = EchoBackend(echo(chunks=5, fail=True, fail_after=2)).stream(
        Query.ask("a b"), Attempt(AttemptRef("0" * 32, 1, 1))
    )
    assert [next(stream), next(stream)] == [Delta("a "), Delta("b ")]
    with pytest.raises(RuntimeError, match="told to fail"):
        next(stream)


def test_only_the_first_queries_fail_where_so_told() -> None:
    backend = EchoBackend(echo(memory_error=True, fail_first=1))
    attempt = Attempt(AttemptRef("0" * 32, 1, 1))
    with pytest.raises(MemoryError):
        list(backend.stream(Query.ask("a"), attempt))
    assert pieces(list(backend.stream(Query.ask("a"), attempt))) == ["a"]


def test_one_that_hangs_ends_when_it_is_cancelled() -> None:
    attempt = Attempt(AttemptRef("0" * 32, 1, 1))
    said: list[list[Delta | Step | Done]] = []
    thread = threading.Thread(
        target=lambda: said.append(ask("a b", attempt, chunks=2, hang=True, fail_after=1))
    )
    thread.start()
    assert not said
    attempt.cancel()
    thread.join(60)
    assert said == [[Delta("a ")]]


def test_a_setting_that_it_does_not_know_is_an_error() -> None:
    with pytest.raises(ValueError, match="colour"):
        EchoBackend(echo(colour="red"))
