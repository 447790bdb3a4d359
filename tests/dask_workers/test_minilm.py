"""Embeddings: near for what means the same, far for what does not, and the same every time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dask_workers.backends.minilm import MiniLMBackend
from dask_workers.weights import pull
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import BackendFailed, BadInput, Unavailable
from mtor_kernel.protocol.query import Image, Message, Modality, Query, Text
from tests.dask_workers.desk import Desk, Said, ask

PAIRS = [
    ("How old are you?", "What is your age?"),
    ("A man is playing the guitar.", "Someone plays a guitar."),
    ("The match was called off because of the rain.", "Rain stopped the game."),
]


def spec(**settings: Any) -> ModelSpec:
    return ModelSpec("minilm", Modality.EMBEDDING, "minilm", RateCard(free=True), settings=settings)


def texts(*words: str) -> Query:
    return Query((Message("user", tuple(Text(word) for word in words)),), "minilm")


def vectors(said: Said) -> list[list[float]]:
    return [part.value["embedding"] for part in said.data]


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def model() -> Iterator[MiniLMBackend]:
    pull("minilm")
    backend = MiniLMBackend(spec())
    assert backend.missing() == ""
    backend.load()
    yield backend
    backend.unload()


@pytest.mark.slow
def test_what_means_the_same_is_near_and_everything_else_far(model: MiniLMBackend) -> None:
    found = vectors(ask(model, texts(*(text for pair in PAIRS for text in pair))))
    assert len(found) == 6
    for first in range(6):
        for second in range(first):
            alike = likeness(found[first], found[second])
            assert alike > 0.6 if first // 2 == second // 2 else alike < 0.3


@pytest.mark.slow
def test_a_vector_has_384_figures_and_the_length_1(model: MiniLMBackend) -> None:
    (vector,) = vectors(ask(model, texts("Tea. Earl Grey. Hot.")))
    assert len(vector) == 384
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_a_text_has_the_same_vector_in_any_company(model: MiniLMBackend) -> None:
    words = ["Tea.", "An answer that is a good deal longer than the others are.", "", "\n茶 ☕"]
    together = vectors(ask(model, texts(*words)))
    assert together == [vectors(ask(model, texts(word)))[0] for word in words]


@pytest.mark.slow
def test_the_tokens_that_were_read_are_the_usage(model: MiniLMBackend) -> None:
    done = ask(model, texts("one two three", "four")).done
    assert done.usage.input_tokens == 4
    assert not done.usage.estimated
    assert done.finish_reason == "stop"


@pytest.mark.slow
def test_a_text_that_is_too_long_is_cut_and_the_answer_says_so(model: MiniLMBackend) -> None:
    said = ask(model, texts("word " * 5000, "short"))
    assert said.done.usage.input_tokens == 254 + 1
    assert said.done.finish_reason == "length"
    assert said.notes == ["1 of 2 texts: only the first 256 tokens read"]


@pytest.mark.slow
def test_of_a_text_of_megabytes_only_the_beginning_is_looked_at(model: MiniLMBackend) -> None:
    short, long = (ask(model, texts("red " * count)) for count in (400, 1_000_000))
    assert vectors(short) == vectors(long)
    assert long.done == short.done


def test_a_cancel_ends_it_between_two_texts(model: MiniLMBackend) -> None:
    desk = Desk()
    stream = model.stream(texts(*["word " * 500] * 200), desk)
    next(stream)
    desk.cancel()
    assert list(stream) == []


@pytest.mark.slow
def test_pictures_are_refused(model: MiniLMBackend) -> None:
    with pytest.raises(BadInput, match="words only"):
        ask(model, Query((Message("user", (Text("see"), Image("a" * 64))),)))


@pytest.mark.slow
def test_files_that_are_no_model_are_an_error_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing of the kind")
    (tmp_path / "tokenizer.json").write_text("{}")
    backend = MiniLMBackend(spec(path=str(tmp_path)))
    assert backend.missing() == ""
    with pytest.raises(BackendFailed, match="no sentence encoder"):
        backend.load()


def test_what_is_missing_is_said_with_what_mends_it(tmp_path: Path) -> None:
    assert "mtor pull minilm" in MiniLMBackend(spec(data_dir=str(tmp_path))).missing()
    assert "no built-in weights named 'huge'" in MiniLMBackend(spec(weights="huge")).missing()
    assert "There is no folder" in MiniLMBackend(spec(path=str(tmp_path / "none"))).missing()
    assert "holds no model.onnx" in MiniLMBackend(spec(path=str(tmp_path))).missing()
    with pytest.raises(Unavailable, match="mtor pull minilm"):
        MiniLMBackend(spec(data_dir=str(tmp_path))).load()
