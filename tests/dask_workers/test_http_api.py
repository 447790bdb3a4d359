"""A registered API: the operator's URL, the user's values, and an answer of bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dask_workers.backends.http_api import HttpApiBackend
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Delta, ModelSpec
from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.query import Data, Message, Modality, Options, Query, Text
from mtor_kernel.scheduling.routing import parse_catalogue
from tests.dask_workers.contract import ContextDouble, Said, text_of
from tests.dask_workers.services.service import Asked, Reply, Service
from tests.dask_workers.services.weather import WeatherService
from tests.docs.pages import blocks, page

WHERE = {"latitude": "52.52", "longitude": "13.41"}


class Api(Service):
    """Answers with what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = Reply([b'{"ok": true}'])

    def reply(self, asked: Asked) -> Reply:
        return self.answer


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as api:
        yield api


def spec(url: str, **settings: Any) -> ModelSpec:
    return ModelSpec(
        "api", Modality.API, "http_api", RateCard(query_micro=1), settings={"url": url, **settings}
    )


def ask(entry: ModelSpec, **parameters: str) -> Said:
    backend = HttpApiBackend(entry)
    assert backend.missing() == ""
    query = Query((Message("user", (Text(""),)),), options=Options(parameters=parameters))
    return list(backend.stream(query, ContextDouble()))


def value_of(said: Said) -> Any:
    (part,) = (one.part for one in said if isinstance(one, Delta) and one.part is not None)
    assert isinstance(part, Data)
    return part.value


def the_weather_of_the_page(url: str) -> ModelSpec:
    """The example of the operators' page, asked of a server here."""
    catalogue = parse_catalogue("\n".join(blocks(page("operator/backends.md"), "toml")))
    (entry,) = (model for model in catalogue.models if model.name == "weather")
    there = entry.settings["url"].replace("https://api.open-meteo.com", url)
    return spec(**{**entry.settings, "url": there})


def test_the_weather_of_the_operators_page_is_told() -> None:
    with WeatherService() as weather:
        said = ask(the_weather_of_the_page(weather.url), **WHERE)
        asked = weather.next_asked()
    assert text_of(said) == "5.2 °C, wind 12.3 km/h."
    assert value_of(said)["temperature_2m"] == 5.2
    assert asked.path.startswith("/v1/forecast?latitude=52.52&longitude=13.41&current=")


@pytest.mark.parametrize("latitude", ["north", "1e5", "52.52&hourly=rain", "5\n2", ""])
def test_the_weather_of_nowhere_is_not_asked_for(latitude: str) -> None:
    with WeatherService() as weather:
        with pytest.raises(BadInput):
            ask(the_weather_of_the_page(weather.url), latitude=latitude, longitude="1")
        assert weather.asked.empty()


def test_the_apis_own_refusal_is_told() -> None:
    with WeatherService() as weather, pytest.raises(BadInput, match="Latitude must be in range"):
        ask(the_weather_of_the_page(weather.url), latitude="91", longitude="1")


def test_nobody_may_fill_in_what_is_no_parameter(api: Api) -> None:
    with pytest.raises(BadInput, match="It takes: q"):
        ask(spec(api.url + "/?q={q}", parameters={"q": {}}), q="a", key="b")
    assert api.asked.empty()


def test_what_has_no_place_in_the_url_travels_as_json(api: Api) -> None:
    entry = spec(
        api.url + "/v1/{city}",
        method="POST",
        parameters={"city": {"required": True}, "days": {"default": "3"}, "units": {}},
    )
    ask(entry, city="Bern")
    asked = api.next_asked()
    assert (asked.method, asked.path, asked.json) == ("POST", "/v1/Bern", {"days": "3"})


def test_headers_are_the_operators_and_secrets_come_from_the_environment(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEATHER_KEY", "swordfish")
    entry = spec(api.url, headers={"X-Team": "realm"}, headers_env={"X-Key": "WEATHER_KEY"})
    ask(entry)
    asked = api.next_asked()
    assert (asked.headers["X-Team"], asked.headers["X-Key"]) == ("realm", "swordfish")


def test_an_api_that_tells_its_key_tells_it_to_nobody(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEATHER_KEY", "swordfish")
    api.answer = Reply([b'{"headers": {"X-Key": "swordfish"}}'])
    said = ask(spec(api.url, headers_env={"X-Key": "WEATHER_KEY"}))
    assert value_of(said) == {"headers": {"X-Key": "…"}}
    assert "swordfish" not in repr(said)


@pytest.mark.parametrize(
    "told",
    [
        json.dumps(["ab/cd+ef=="]).replace("/", "\\/"),
        '["\\u0061b/cd+ef=="]',
        '["key=ab%2Fcd%2Bef%3D%3D"]',
    ],
)
def test_a_key_is_known_in_whatever_form_it_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setenv("WEATHER_KEY", "ab/cd+ef==")
    entry = spec(api.url, headers_env={"X-Key": "WEATHER_KEY"})
    api.answer = Reply([told.encode()])
    (value,) = value_of(ask(entry))
    assert value.removeprefix("key=") == "…"
    api.answer = Reply([b'{"detail": ' + told.encode() + b"}"], status=400)
    with pytest.raises(BadInput) as refused:
        ask(entry)
    assert "cd" not in str(refused.value)


def test_an_answer_without_a_bottom_is_no_json(api: Api) -> None:
    api.answer = Reply([b"[" * 100_000 + b"]" * 100_000])
    with pytest.raises(BackendFailed, match="no JSON"):
        ask(spec(api.url))
    api.answer = Reply([b"[" * 20_000], status=429, headers={"Retry-After": "7"})
    with pytest.raises(BackendFailed, match="in 7 s"):
        ask(spec(api.url))


def test_an_answer_that_is_no_json_is_told_as_it_is(api: Api) -> None:
    api.answer = Reply(["5 °C".encode()], "text/plain; charset=utf-8")
    said = ask(spec(api.url))
    assert text_of(said) == "5 °C"
    assert len(said) == 2


def test_an_answer_without_what_is_looked_for_is_the_users_to_change(api: Api) -> None:
    api.answer = Reply([b'{"results": []}'])
    with pytest.raises(BadInput, match="try others"):
        ask(spec(api.url, answer="results[0].name"))


def test_what_the_api_does_not_find_is_the_users_to_change(api: Api) -> None:
    api.answer = Reply([b"{}"], status=404)
    with pytest.raises(BadInput, match="try others"):
        ask(spec(api.url))


def test_an_answer_is_bounded(api: Api) -> None:
    api.answer = Reply([b"x" * 600] * 2, "text/plain")
    assert len(text_of(ask(spec(api.url, max_bytes=1200)))) == 1200
    with pytest.raises(BackendFailed, match="1,199 bytes"):
        ask(spec(api.url, max_bytes=1199))


def test_an_answer_that_only_drips_is_ended(api: Api) -> None:
    def drip() -> Iterator[bytes]:
        while True:
            yield b"x" * 10

    api.answer = Reply(drip(), "text/plain")
    with pytest.raises(BackendFailed, match=r"0\.2 s"):
        ask(spec(api.url, total_seconds=0.2, max_bytes=10**12))


@pytest.mark.parametrize("redirects", [0, 3])
def test_a_redirect_to_another_host_is_never_followed(api: Api, redirects: int) -> None:
    with Api() as other:
        api.answer = Reply([b"{}"], status=302, headers={"Location": other.url + "/secret"})
        with pytest.raises(BackendFailed, match="has moved"):
            ask(spec(api.url, redirects=redirects))
        assert other.asked.empty()


def test_a_redirect_within_the_host_is_followed_where_the_operator_says_so() -> None:
    class Moved(Api):
        def reply(self, asked: Asked) -> Reply:
            if asked.path == "/old":
                return Reply([b"{}"], status=301, headers={"Location": "/new?x=1"})
            return Reply([json.dumps(asked.path).encode()])

    with Moved() as moved:
        assert value_of(ask(spec(moved.url + "/old", redirects=1))) == "/new?x=1"
        with pytest.raises(BackendFailed, match="has moved"):
            ask(spec(moved.url + "/old"))


def test_a_round_of_redirects_ends(api: Api) -> None:
    api.answer = Reply([b"{}"], status=302, headers={"Location": "/"})
    with pytest.raises(BackendFailed, match="has moved"):
        ask(spec(api.url + "/", redirects=3))
    assert api.asked.qsize() == 4


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"url": ""}, "begins with neither"),
        ({"url": "http://a.example/{x}"}, "has no x"),
        ({"url": "http://a.example/", "parameters": {"x": {}}}, "no place for the parameter x"),
        ({"url": "http://a.example/{x}", "parameters": {"x": {}}}, "make it required"),
        ({"url": "http://a.example/?x={x}", "parameters": {"x": {"pattern": "("}}}, "expression"),
        ({"url": "http://a.example/", "answer": "a..b"}, "no path"),
        ({"url": "http://a.example/", "headers_env": {"X": "MTOR_NO_SUCH"}}, "MTOR_NO_SUCH"),
        ({"url": "http://a.example/", "headers": {"X: a\r\nY": "b"}}, "no name for a header"),
        ({"url": "http://a.example/", "headers": {"X": "a\r\nY: b"}}, "The header X holds"),
    ],
)
def test_a_mistake_of_the_operator_is_told_before_anybody_asks(
    settings: dict[str, Any], told: str
) -> None:
    assert told in HttpApiBackend(spec(**settings)).missing()


@pytest.mark.parametrize("key", ["first-half\r\nsecond-half", "half\x01half", "half€half"])
def test_a_key_that_no_header_can_carry_is_named_by_its_variable_and_never_told(
    api: Api, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MTOR_TEST_KEY", key)
    told = HttpApiBackend(spec(api.url, headers_env={"X-Key": "MTOR_TEST_KEY"})).missing()
    assert "MTOR_TEST_KEY" in told
    assert "half" not in told


@pytest.mark.parametrize("there", ["http://[bad/", "http://127.0.0.1:999999/", "//other.example/x"])
def test_a_redirect_to_no_address_is_not_followed(api: Api, there: str) -> None:
    api.answer = Reply([b""], status=302, headers={"Location": there})
    with pytest.raises(BackendFailed, match="has moved"):
        ask(spec(api.url, redirects=3))


def test_what_was_posted_is_looked_for_where_the_api_says_and_not_posted_again() -> None:
    class Posted(Api):
        def reply(self, asked: Asked) -> Reply:
            if asked.path == "/begin":
                return Reply([b""], status=303, headers={"Location": "/done"})
            return Reply([b'{"ok": true}'])

    with Posted() as api:
        ask(spec(f"{api.url}/begin", method="POST", redirects=1))
        first, second = api.next_asked(), api.next_asked()
    assert (first.method, first.path) == ("POST", "/begin")
    assert (second.method, second.path, second.body) == ("GET", "/done", b"")
