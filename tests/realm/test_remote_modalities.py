"""Every modality by a service, through a whole realm: blobs go out with a query and come back."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.query import Audio, Image
from tests.dask_workers.contract import png, wav
from tests.dask_workers.services.openai import OpenAIService
from tests.dask_workers.services.service import Asked, Reply, Service
from tests.dask_workers.services.weather import WeatherService
from tests.realms import CATALOGUE, small_realm

RATES = {
    "chat": "output_token_micro = 3",
    "vision": "output_token_micro = 3",
    "image": "image_micro = 500",
    "speech": "character_micro = 2",
    "transcription": "audio_second_micro = 40",
    "embedding": "input_token_micro = 1",
}
MODEL = """
[[models]]
name = "cloud-{modality}"
modality = "{modality}"
backend = "openai_compatible"
rates = {{ {rates} }}
settings = {{ url = "{url}" }}
"""
WEATHER = """
[[models]]
name = "weather"
modality = "api"
backend = "http_api"
rates = {{ query_micro = 100 }}
[models.settings]
url = "{url}/v1/forecast?latitude={{latitude}}&longitude={{longitude}}"
answer = "current.temperature_2m"
parameters = {{ latitude = {{ required = true }}, longitude = {{ required = true }} }}
"""


@pytest.fixture
def service() -> Iterator[OpenAIService]:
    with OpenAIService() as service:
        yield service


@asynccontextmanager
async def a_client(folder: Path, service: OpenAIService) -> AsyncIterator[RealmClient]:
    catalogue = "".join(
        MODEL.format(modality=modality, rates=rates, url=service.url)
        for modality, rates in RATES.items()
    )
    async with small_realm(folder, catalogue=catalogue) as small, small.client() as realm:
        yield realm


@pytest.mark.asyncio
async def test_a_picture_goes_out_with_the_question(tmp_path: Path, service: OpenAIService) -> None:
    async with a_client(tmp_path, service) as realm:
        reply = await realm.see(png(), "What is this?", model="cloud-vision", max_tokens=5)
    assert len(reply.text.split()) == 5
    assert reply.charge.amount_micro == 5 * 3
    (turn,) = service.next_asked().json["messages"]
    (url,) = (one["image_url"]["url"] for one in turn["content"] if one["type"] == "image_url")
    assert base64.b64decode(url.partition(",")[2]) == png()


@pytest.mark.asyncio
async def test_a_picture_comes_back_and_is_kept(tmp_path: Path, service: OpenAIService) -> None:
    async with a_client(tmp_path, service) as realm:
        reply = await realm.imagine("a red heart", model="cloud-image")
        (part,) = reply.parts
        assert isinstance(part, Image)
        assert await realm.download(part.blob) == png()
    assert reply.charge.amount_micro == 500


@pytest.mark.asyncio
async def test_speech_comes_back_as_sounds(tmp_path: Path, service: OpenAIService) -> None:
    async with a_client(tmp_path, service) as realm:
        reply = await realm.say("Hello there. How are you?", model="cloud-speech")
    assert [type(part) for part in reply.parts] == [Audio, Audio]
    assert reply.charge.amount_micro == 25 * 2


@pytest.mark.asyncio
async def test_a_recording_is_written_down(tmp_path: Path, service: OpenAIService) -> None:
    async with a_client(tmp_path, service) as realm:
        reply = await realm.listen(wav(), model="cloud-transcription")
    assert reply.text == " Hello there."
    assert reply.data[0]["language"] == "english"
    assert reply.charge.amount_micro == 40


@pytest.mark.asyncio
async def test_vectors_come_back(tmp_path: Path, service: OpenAIService) -> None:
    async with a_client(tmp_path, service) as realm:
        vectors = await realm.embed(["a", "bb", "ccc"], model="cloud-embedding")
    assert len(vectors) == 3
    assert vectors[0] != vectors[1]


@pytest.mark.asyncio
async def test_a_registered_api_is_called(tmp_path: Path) -> None:
    with WeatherService() as weather:
        catalogue = WEATHER.format(url=weather.url)
        async with small_realm(tmp_path, catalogue=catalogue) as small, small.client() as realm:
            assert await realm.api("weather", latitude=52.52, longitude=13.41) == 5.2
            with pytest.raises(BadInput, match="Latitude must be in range"):
                await realm.api("weather", latitude=91, longitude=13.41)
            with pytest.raises(BadInput, match="takes no parameter 'url'"):
                await realm.api("weather", latitude=1, longitude=1, url="http://evil.example")


class Abyss(Service):
    """Answers what nests deeper than anybody reads."""

    def reply(self, asked: Asked) -> Reply:
        return Reply([b"[" * 40 + b"]" * 40])


@pytest.mark.asyncio
async def test_an_answer_without_a_bottom_costs_its_query_and_not_the_workers_link(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = """
[[models]]
name = "abyss"
modality = "api"
backend = "http_api"
rates = {{ query_micro = 100 }}
settings = {{ url = "{url}" }}
"""
    with Abyss() as abyss:
        catalogue = CATALOGUE + entry.format(url=abyss.url)
        async with small_realm(tmp_path, catalogue=catalogue) as small, small.client() as realm:
            with pytest.raises(BackendFailed, match="nests deeper"):
                await realm.api("abyss")
            assert (await realm.ask("still here", model="echo")).text == "still here"
    assert not any("frame was refused" in one.getMessage() for one in caplog.records)
