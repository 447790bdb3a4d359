"""Claude: what goes over the wire, and what comes back of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dask_workers.backends.anthropic import AnthropicBackend
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Done, ModelSpec
from mtor_kernel.protocol.errors import BackendFailed, BadInput, TooLarge
from mtor_kernel.protocol.query import Image, Message, Modality, Options, Query, Text
from tests.dask_workers.contract import ContextDouble, Said
from tests.dask_workers.services.anthropic import AnthropicService, event
from tests.dask_workers.services.service import Asked, Fault, Reply

KEY = "sk-ant-abcdefgh"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture
def service() -> Iterator[AnthropicService]:
    with AnthropicService() as service:
        yield service


def ask(
    service: AnthropicService,
    query: Query,
    modality: Modality = Modality.CHAT,
    defaults: Options | None = None,
    **settings: Any,
) -> Said:
    entry = ModelSpec(
        "claude",
        modality,
        "anthropic",
        RateCard(free=True),
        defaults=defaults or Options(),
        settings={"url": service.url, "model": "claude-haiku-5-5", **settings},
    )
    backend = AnthropicBackend(entry)
    assert backend.missing() == ""
    backend.load()
    try:
        return list(backend.stream(query, ContextDouble()))
    finally:
        backend.unload()


def done_of(said: Said) -> Done:
    assert isinstance(said[-1], Done)
    return said[-1]


def test_a_question_travels_in_the_apis_own_form(service: AnthropicService) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    query = Query.ask(
        "Hello", system="Be brief.", max_tokens=7, stop=["x"], json_schema=schema, seed=4
    )
    ask(service, query)
    asked = service.next_asked()
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["anthropic-version"] == "2026-10-21"
    assert asked.json == {
        "model": "claude-haiku-5-5",
        "max_tokens": 7,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "stop_sequences": ["x"],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "stream": True,
    }


def test_what_the_api_does_not_take_any_more_is_left_out(service: AnthropicService) -> None:
    query = Query.ask("Hello", temperature=0.5, top_p=0.9)
    assert done_of(ask(service, query, defaults=Options(temperature=0.2))).finish_reason == "stop"


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}),
        ({"temperature": 1.7}, {"temperature": 1.0}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({}, {}),
    ],
)
def test_an_older_version_of_the_api_gets_one_of_temperature_and_top_p(
    service: AnthropicService, options: dict[str, float], sent: dict[str, float]
) -> None:
    ask(service, Query.ask("Hello", **options), api_version="2023-06-01")
    body = service.next_asked().json
    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == sent


def test_the_apis_own_figures_count_and_its_cache_too(service: AnthropicService) -> None:
    service.cached = 100
    usage = done_of(ask(service, Query.ask("one two three", max_tokens=5))).usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (103, 5, False)


def test_it_answers_like_a_chat_model_where_nothing_is_to_be_seen(
    service: AnthropicService,
) -> None:
    assert done_of(ask(service, Query.ask("Hello"), Modality.VISION)).finish_reason == "stop"


def test_a_picture_of_another_kind_is_refused(service: AnthropicService) -> None:
    query = Query((Message("user", (Image("a" * 64, "image/tiff"), Text("?"))),))
    with pytest.raises(BadInput, match="PNG"):
        ask(service, query, Modality.VISION)


def test_an_overload_in_the_middle_of_an_answer_is_told() -> None:
    class Overloaded(AnthropicService):
        def reply(self, asked: Asked) -> Reply:
            first = list(super().reply(asked).pieces)[:5]
            ill = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
            return Reply([*first, ill], "text/event-stream")

    with Overloaded() as service, pytest.raises(BackendFailed, match="Overloaded"):
        ask(service, Query.ask("Hello"))


def test_an_overload_before_the_answer_is_told(service: AnthropicService) -> None:
    service.fault = Fault(529, {"Retry-After": "3"})
    with pytest.raises(BackendFailed, match="no room just now") as full:
        ask(service, Query.ask("Hello"))
    assert full.value.retry_after_seconds == 3


def test_a_prompt_that_does_not_fit_is_too_large() -> None:
    class Full(AnthropicService):
        def error(self, status: int, message: str) -> Any:
            told = "prompt is too long: 205000 tokens > 200000 maximum"
            return super().error(status, told)

    with Full() as service:
        service.fault = Fault(400)
        with pytest.raises(TooLarge, match="205000 tokens"):
            ask(service, Query.ask("Hello"))


def test_a_question_that_it_declines_is_told() -> None:
    class Declining(AnthropicService):
        def reply(self, asked: Asked) -> Reply:
            start = next(iter(super().reply(asked).pieces))
            end = event(
                "message_delta",
                delta={"stop_reason": "refusal", "stop_sequence": None},
                usage={"output_tokens": 0},
            )
            return Reply([start, end, event("message_stop")], "text/event-stream")

    with Declining() as service, pytest.raises(BadInput, match="declines"):
        ask(service, Query.ask("Hello"))


def test_without_its_key_it_cannot_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    entry = ModelSpec("claude", Modality.CHAT, "anthropic", RateCard(free=True))
    assert "ANTHROPIC_API_KEY" in AnthropicBackend(entry).missing()
