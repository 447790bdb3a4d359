"""OpenAI's dialect: what goes over the wire, and what comes back of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dask_workers.backends.llama_cpp import LlamaCppBackend
from dask_workers.backends.openai_compatible import OpenAICompatibleBackend
from dask_workers.runtime import Runtime
from dask_workers.tasks import carry
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Delta, Done, ModelSpec
from mtor_kernel.protocol.errors import BackendFailed, BadInput, TooLarge
from mtor_kernel.protocol.query import (
    Data,
    Image,
    Message,
    Modality,
    Options,
    Query,
    Text,
    make_options,
)
from tests.dask_workers.contract import ContextDouble, Said, png, text_of
from tests.dask_workers.samples import SMOLLM2, task
from tests.dask_workers.services.openai import OpenAIService
from tests.dask_workers.services.service import Asked, Fault, Reply


@pytest.fixture
def service() -> Iterator[OpenAIService]:
    with OpenAIService() as service:
        yield service


def spec(service: OpenAIService, modality: Modality = Modality.CHAT, **settings: Any) -> ModelSpec:
    return ModelSpec(
        "claude",
        modality,
        "openai_compatible",
        RateCard(free=True),
        default_max_tokens=20,
        max_output_tokens=30,
        defaults=Options(temperature=0.3),
        settings={"url": service.url, **settings},
    )


def ask(
    service: OpenAIService,
    query: Query | str,
    modality: Modality = Modality.CHAT,
    context: ContextDouble | None = None,
    **settings: Any,
) -> Said:
    backend = OpenAICompatibleBackend(spec(service, modality, **settings))
    assert backend.missing() == ""
    backend.load()
    query = Query.ask(query) if isinstance(query, str) else query
    try:
        return list(backend.stream(query, context or ContextDouble()))
    finally:
        backend.unload()


def done_of(said: Said) -> Done:
    assert isinstance(said[-1], Done)
    return said[-1]


def test_options_reach_the_service_and_the_catalogue_stands_behind_them(
    service: OpenAIService,
) -> None:
    schema = {"type": "object"}
    query = Query.ask("Hello", seed=3, stop=["x"], top_p=0.5, max_tokens=7, json_schema=schema)
    ask(service, query, model="babble-7b")
    body = service.next_asked().json
    assert body == {
        "model": "babble-7b",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 7,
        "temperature": 0.3,
        "top_p": 0.5,
        "seed": 3,
        "stop": ["x"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema},
        },
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_nobody_chose_is_the_services_to_choose(service: OpenAIService) -> None:
    ask(service, "Hello", limit_parameter="max_completion_tokens", extra={"top_k": 5})
    body = service.next_asked().json
    assert "seed" not in body
    assert body["max_completion_tokens"] == 20
    assert body["top_k"] == 5


def test_no_answer_is_longer_than_the_model_gives(service: OpenAIService) -> None:
    ask(service, Query.ask("Hello", max_tokens=1000))
    assert service.next_asked().json["max_tokens"] == 30


def test_the_services_own_figures_count(service: OpenAIService) -> None:
    usage = done_of(ask(service, "one two three")).usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (3, 20, False)


def test_figures_that_a_service_does_not_tell_are_counted_and_marked(
    service: OpenAIService,
) -> None:
    service.tells_usage = False
    said = ask(service, "one two three")
    usage = done_of(said).usage
    assert usage.estimated
    assert usage.input_tokens > 0
    assert 10 <= usage.output_tokens <= len(text_of(said))


def test_a_picture_travels_as_a_data_url(service: OpenAIService) -> None:
    context = ContextDouble()
    picture = Image(context.write_blob(png(), "image/png"), "image/png")
    query = Query((Message("user", (picture, Text("What is this?"))),))
    ask(service, query, Modality.VISION, context)
    (turn,) = service.next_asked().json["messages"]
    url = turn["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == png()
    assert turn["content"][1] == {"type": "text", "text": "What is this?"}


def test_a_picture_is_not_for_a_model_that_reads(service: OpenAIService) -> None:
    with pytest.raises(BadInput, match="words only"):
        ask(service, Query((Message("user", (Image("a" * 64),)),)))


def test_a_conversation_that_does_not_fit_is_too_large(service: OpenAIService) -> None:
    class Full(OpenAIService):
        def error(self, status: int, message: str) -> Any:
            told = "This model's maximum context length is 4096 tokens. However, you asked for 9000"
            return {"error": {"message": told, "code": "context_length_exceeded"}}

    with Full() as full:
        full.fault = Fault(status=400)
        with pytest.raises(TooLarge, match="maximum context length is 4096"):
            ask(full, "Hello")


def test_vectors_come_in_the_order_of_the_texts(service: OpenAIService) -> None:
    query = Query((Message("user", (Text("a"), Text("bb"))),))
    said = ask(service, query, Modality.EMBEDDING)
    parts = [one.part for one in said if isinstance(one, Delta)]
    again = ask(service, Query((Message("user", (Text("bb"),)),)), Modality.EMBEDDING)
    assert isinstance(again[0], Delta)
    assert parts[1] == again[0].part
    assert parts[0] != parts[1]
    assert isinstance(parts[0], Data)


def test_a_picture_is_drawn_in_the_size_that_was_asked_for(service: OpenAIService) -> None:
    query = Query(
        (Message("user", (Text("a red heart"),)),),
        options=make_options({"width": 64, "height": 32, "steps": 4, "negative_prompt": "blue"}),
    )
    usage = done_of(ask(service, query, Modality.IMAGE)).usage
    body = service.next_asked().json
    assert (body["size"], body["step"], body["negative_prompt"]) == ("64x32", 4, "blue")
    assert (usage.images, usage.pixel_steps) == (1, 64 * 32 * 4)


def test_sentences_are_spoken_one_by_one(service: OpenAIService) -> None:
    context = ContextDouble()
    query = Query((Message("user", (Text("Hello there. How are you?"),)),))
    said = ask(service, query, Modality.SPEECH, context)
    assert len(said) == 3
    assert [service.next_asked().json["input"] for _ in range(2)] == [
        "Hello there.",
        "How are you?",
    ]
    assert done_of(said).usage.audio_ms == 1000
    assert done_of(said).usage.characters == 25


def test_an_answer_that_the_service_does_not_end_is_broken(service: OpenAIService) -> None:
    class Forgetful(OpenAIService):
        def reply(self, asked: Asked) -> Reply:
            pieces = list(super().reply(asked).pieces)
            return Reply(pieces[:3], "text/event-stream")

    with Forgetful() as forgetful, pytest.raises(Exception, match="broke off"):
        ask(forgetful, "Hello")


def test_without_an_address_it_cannot_be_served() -> None:
    entry = ModelSpec("x", Modality.CHAT, "openai_compatible", RateCard(free=True))
    assert "settings.url" in OpenAICompatibleBackend(entry).missing()


def test_without_its_key_it_cannot_be_served(service: OpenAIService) -> None:
    backend = OpenAICompatibleBackend(spec(service, key_env="MTOR_NO_SUCH_KEY"))
    assert "MTOR_NO_SUCH_KEY" in backend.missing()


def test_a_whole_attempt_fails_so_that_it_is_tried_again(
    service: OpenAIService, make_worker: Callable[..., Runtime]
) -> None:
    service.fault = Fault(429, {"Retry-After": "11"})
    entry = spec(service)
    outcome = carry(task(entry), make_worker(entry))
    assert outcome.error is not None
    assert outcome.error.retry_after_seconds == 11
    assert outcome.retryable


def test_a_whole_attempt_is_answered(
    service: OpenAIService, make_worker: Callable[..., Runtime]
) -> None:
    entry = spec(service)
    outcome = carry(task(entry, "Hello"), make_worker(entry))
    assert outcome.error is None
    assert outcome.usage.output_tokens == 20
    assert outcome.finish_reason == "length"


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
class TestARealServer:
    """llama.cpp's own server, with a real model: no double of ours can misremember its dialect."""

    @pytest.fixture
    def backend(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAICompatibleBackend]:
        server = LlamaCppBackend(SMOLLM2)
        server.load()
        monkeypatch.setenv("MTOR_TEST_KEY", server._key)
        settings = {"url": f"{server.address}/v1", "key_env": "MTOR_TEST_KEY"}
        entry = ModelSpec(
            "smollm2",
            Modality.CHAT,
            "openai_compatible",
            RateCard(free=True),
            settings=settings,
        )
        backend = OpenAICompatibleBackend(entry)
        backend.load()
        yield backend
        backend.unload()
        server.unload()

    def test_it_answers_and_tells_what_it_used(self, backend: OpenAICompatibleBackend) -> None:
        query = Query.ask("Name the capital city of France.", temperature=0.0, max_tokens=20)
        said = list(backend.stream(query, ContextDouble()))
        assert "Paris" in text_of(said)
        usage = done_of(said).usage
        assert usage.input_tokens > 10
        assert 1 <= usage.output_tokens <= 20
        assert not usage.estimated

    def test_it_holds_an_answer_to_a_schema(self, backend: OpenAICompatibleBackend) -> None:
        schema = {
            "type": "object",
            "properties": {"age": {"type": "integer"}},
            "required": ["age"],
            "additionalProperties": False,
        }
        query = Query.ask("How old is she?", json_schema=schema, max_tokens=60)
        said = list(backend.stream(query, ContextDouble()))
        assert isinstance(json.loads(text_of(said))["age"], int)

    def test_what_does_not_fit_is_too_large(self, backend: OpenAICompatibleBackend) -> None:
        with pytest.raises(TooLarge):
            list(backend.stream(Query.ask("bee " * 3000), ContextDouble()))

    def test_a_cancel_stops_it(self, backend: OpenAICompatibleBackend) -> None:
        context = ContextDouble()
        query = Query.ask("Tell a very long story about the sea.", max_tokens=1500)
        stream = iter(backend.stream(query, context))
        next(stream)
        context.cancel()
        with pytest.raises(BackendFailed):
            list(stream)

    def test_a_wrong_key_is_told(
        self, backend: OpenAICompatibleBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MTOR_TEST_KEY", "sk-wrong-wrong")
        backend.unload()
        backend.load()
        with pytest.raises(BackendFailed, match="refuses the realm's key"):
            list(backend.stream(Query.ask("Hello"), ContextDouble()))
