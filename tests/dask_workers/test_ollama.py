"""An Ollama server: what goes over the wire, its models, and pulls that somebody asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from dask_workers.backends.ollama import OllamaBackend
from dask_workers.discovery import discover
from dask_workers.runtime import Runtime
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Done, ModelSpec
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.link import Health, Load, WorkerHello
from mtor_kernel.protocol.query import Modality, Query
from tests.dask_workers.contract import ContextDouble, Said, text_of
from tests.dask_workers.gateway_double import TOKEN, GatewayDouble
from tests.dask_workers.samples import echo
from tests.dask_workers.services.ollama import OllamaService
from tests.dask_workers.services.service import Asked, Reply


@pytest.fixture
def service() -> Iterator[OllamaService]:
    with OllamaService() as service:
        yield service


def entry(
    service: OllamaService,
    modality: Modality = Modality.CHAT,
    *,
    discover: bool = False,
    **settings: Any,
) -> ModelSpec:
    return ModelSpec(
        "ollama",
        modality,
        "ollama",
        RateCard(output_token_micro=5),
        context_tokens=8192,
        discover=discover,
        settings={"url": service.url, **settings},
    )


def ask(service: OllamaService, query: Query, **settings: Any) -> Said:
    backend = OllamaBackend(entry(service, model="llama3.2:3b", **settings))
    backend.load()
    try:
        return list(backend.stream(query, ContextDouble()))
    finally:
        backend.unload()


def test_options_reach_the_server_under_its_names(service: OllamaService) -> None:
    schema = {"type": "object"}
    ask(
        service,
        Query.ask("Hello", seed=3, stop=["x"], top_p=0.5, max_tokens=7, json_schema=schema),
        keep_alive="30m",
    )
    assert service.next_asked().json == {
        "model": "llama3.2:3b",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "format": schema,
        "keep_alive": "30m",
        "options": {"num_predict": 7, "top_p": 0.5, "seed": 3, "stop": ["x"], "num_ctx": 8192},
        "tools": [],
    }


def test_the_servers_figures_count_and_lacking_ones_are_marked(service: OllamaService) -> None:
    told = ask(service, Query.ask("one two three", max_tokens=5))[-1]
    assert isinstance(told, Done)
    assert (told.usage.input_tokens, told.usage.output_tokens) == (3, 5)
    assert not told.usage.estimated
    service.tells_usage = False
    guessed = ask(service, Query.ask("one two three", max_tokens=5))[-1]
    assert isinstance(guessed, Done)
    assert guessed.usage.estimated
    assert guessed.usage.input_tokens > 0
    assert guessed.usage.output_tokens >= 5


def test_an_error_in_the_middle_of_an_answer_is_told_in_the_servers_words() -> None:
    class Failing(OllamaService):
        def reply(self, asked: Asked) -> Reply:
            first = next(iter(super().reply(asked).pieces))
            ill = b'{"error": "llama runner has terminated: /root/.ollama/blobs/sha256"}\n'
            return Reply([first, ill], "application/x-ndjson")

    with Failing() as service, pytest.raises(BackendFailed, match="runner has terminated") as ill:
        ask(service, Query.ask("Hello"))
    assert ".ollama" not in ill.value.message


def test_no_key_is_sent_that_nobody_named(
    service: OllamaService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-of-somebody-else")
    ask(service, Query.ask("Hello"))
    assert "Authorization" not in service.next_asked().headers


@pytest.mark.parametrize(
    ("modality", "names"),
    [
        (Modality.CHAT, ["ollama/llama3.2:3b", "ollama/llava", "ollama/hf.co/ann/tiny-gguf:q4"]),
        (Modality.VISION, ["ollama/llava"]),
        (Modality.EMBEDDING, ["ollama/nomic-embed-text"]),
    ],
)
def test_it_finds_the_models_that_the_server_has(
    service: OllamaService, modality: Modality, names: list[str]
) -> None:
    spec = entry(service, modality, discover=True)
    found = OllamaBackend(spec).variants()
    assert [one.name for one in found] == names
    assert {one.rates for one in found} == {spec.rates}
    for one in found:
        assert one == msgspec.convert(msgspec.to_builtins(one), ModelSpec)


@pytest.mark.parametrize("isolate", [False, True])
def test_a_worker_serves_each_of_them_and_not_the_entry(
    service: OllamaService, isolate: bool
) -> None:
    spec = msgspec.structs.replace(entry(service, discover=True), isolate=isolate)
    of_all, *found = discover([spec], "/tmp/data")
    assert "ollama/llama3.2:3b" in of_all.missing
    assert [one.spec.name for one in found][:2] == ["ollama/llama3.2:3b", "ollama/llava"]
    assert {(one.missing, one.spec.isolate, one.spec.discover) for one in found} == {
        ("", isolate, False)
    }


def test_a_backend_that_cannot_look_says_so() -> None:
    (found,) = discover([msgspec.structs.replace(echo(), discover=True)])
    assert found.missing == "The backend echo finds no models by itself."


def test_a_model_that_was_found_answers(service: OllamaService) -> None:
    last = OllamaBackend(entry(service, discover=True)).variants()[-1]
    backend = OllamaBackend(last)
    backend.load()
    said = list(backend.stream(Query.ask("Hello", last.name), ContextDouble()))
    assert text_of(said)
    asked = [service.next_asked() for _ in range(service.asked.qsize())]
    assert asked[-1].json["model"] == "hf.co/Ann/Tiny-GGUF:Q4"


def test_a_query_pulls_nothing(service: OllamaService) -> None:
    ask(service, Query.ask("Hello"))
    paths = [service.next_asked().path for _ in range(service.asked.qsize())]
    assert paths == ["/api/chat"]


def test_a_sysop_who_has_a_model_loaded_sees_it_being_pulled(
    service: OllamaService, make_worker: Callable[..., Runtime], gateway: GatewayDouble
) -> None:
    worker = make_worker(entry(service, model="qwen3:0.6b"))
    worker.connect(gateway.url, TOKEN)
    gateway.wait_for(WorkerHello)
    gateway.say(Load("ollama"))
    told = gateway.wait_for(Health, 7)
    troubles = [one.served[0].trouble for one in told]
    assert "Pulling qwen3:0.6b: 50 % of 2 MB." in troubles
    assert "qwen3:0.6b" in service.models
    gateway.wait_for(Health, 9)
    assert worker.models.get("ollama").trouble == ""


def test_a_pull_that_breaks_off_is_told(
    service: OllamaService, make_worker: Callable[..., Runtime]
) -> None:
    class Broken(OllamaService):
        def _pull(self, name: str) -> Iterator[bytes]:
            yield from list(super()._pull(name))[:2]

    with Broken() as broken:
        model = make_worker(entry(broken, model="qwen3:0.6b")).models.get("ollama")
        with pytest.raises(BackendFailed, match="load it again"):
            model.fetch()
    assert "broke off in pulling" in model.trouble


def test_what_is_there_is_not_pulled_again(service: OllamaService) -> None:
    told: list[str] = []
    OllamaBackend(entry(service, model="llava")).fetch(told.append)
    assert told == []
