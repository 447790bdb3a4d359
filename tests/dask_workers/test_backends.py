"""What every backend promises, asked of each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from dask_workers.attempts import Attempt
from dask_workers.discovery import discover
from mtor_kernel.protocol.backend import Backend, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.ngram import AttemptRef
from mtor_kernel.protocol.query import Query
from tests.dask_workers.samples import SMOLLM2, echo

LONG = "Tell a very long story about the sea."

BACKENDS = {
    "echo": echo(),
    "echo, paced": echo(chunks=2000, rate=200.0),
    "llama_cpp": msgspec.structs.replace(SMOLLM2, slots=2),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[pytest.mark.slow] if name == "llama_cpp" else [])
        for name in BACKENDS
    ],
)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    if request.param == "llama_cpp":
        request.getfixturevalue("smollm2")
    return BACKENDS[request.param]


@pytest.fixture(scope="module")
def backend(spec: ModelSpec) -> Iterator[Backend]:
    (found,) = discover([spec])
    assert found.backend is not None
    assert found.missing == ""
    found.backend.load()
    yield found.backend
    found.backend.unload()


def an_attempt() -> Attempt:
    return Attempt(AttemptRef("0" * 32, 1, 1))


def said_by(
    backend: Backend, query: Query, attempt: Attempt | None = None
) -> list[Delta | Step | Done]:
    return list(backend.stream(query, attempt or an_attempt()))


def text_of(said: list[Delta | Step | Done]) -> str:
    return "".join(one.text for one in said if isinstance(one, Delta))


def test_it_answers_in_pieces_and_ends_with_what_it_used(backend: Backend) -> None:
    said = said_by(backend, Query.ask("What do bees make?", max_tokens=8))
    *pieces, done = said
    assert text_of(said).strip()
    assert all(isinstance(piece, Delta) for piece in pieces)
    assert isinstance(done, Done)
    assert done.usage.input_tokens >= 4
    assert 1 <= done.usage.output_tokens <= 8
    assert sum(piece.tokens for piece in pieces) == pytest.approx(done.usage.output_tokens, abs=1)


def test_it_stops_at_the_limit_of_tokens_and_says_so(backend: Backend) -> None:
    done = said_by(backend, Query.ask(LONG, max_tokens=3))[-1]
    assert isinstance(done, Done)
    assert done.usage.output_tokens == 3
    assert done.finish_reason == "length"


def test_the_same_seed_gives_the_same_answer(backend: Backend) -> None:
    query = Query.ask(LONG, seed=7, temperature=0.9, max_tokens=12)
    assert text_of(said_by(backend, query)) == text_of(said_by(backend, query))


def test_it_ends_before_a_stop_word(backend: Backend) -> None:
    whole = text_of(said_by(backend, Query.ask(LONG, max_tokens=12, temperature=0.0)))
    word = whole.split()[2]
    cut = text_of(said_by(backend, Query.ask(LONG, max_tokens=12, temperature=0.0, stop=[word])))
    assert word not in cut
    assert whole.startswith(cut)


def test_it_reads_a_whole_conversation(backend: Backend) -> None:
    query = Query.ask("And what is my name?", system="Be brief.", max_tokens=8)
    assert isinstance(said_by(backend, query)[-1], Done)


def test_several_are_answered_at_once(backend: Backend) -> None:
    answers: list[list[Delta | Step | Done]] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(said_by(backend, Query.ask(LONG, max_tokens=8)))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 3
    assert all(isinstance(answer[-1], Done) for answer in answers)


def test_loading_and_unloading_again_is_harmless(backend: Backend) -> None:
    backend.load()
    backend.unload()
    backend.unload()
    backend.load()
    backend.load()
    assert isinstance(said_by(backend, Query.ask("Hello", max_tokens=2))[-1], Done)


def test_closing_the_stream_leaves_it_ready_for_the_next(backend: Backend) -> None:
    stream = backend.stream(Query.ask(LONG, max_tokens=400), an_attempt())
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator, by the protocol's promise
    begun = time.monotonic()
    assert isinstance(said_by(backend, Query.ask("Hello", max_tokens=2))[-1], Done)
    assert time.monotonic() - begun < 5


def test_a_cancelled_query_is_not_begun(backend: Backend) -> None:
    attempt = an_attempt()
    attempt.cancel()
    said: list[Delta | Step | Done] = []
    try:
        said = said_by(backend, Query.ask(LONG, max_tokens=400), attempt)
    except Exception as error:  # noqa: BLE001 - a backend may say so by raising anything
        print(f"stopped by {error!r}")
    assert len(said) < 20
