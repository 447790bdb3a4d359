"""Models that workers find behind an entry: asked for by name, at the entry's price."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mtor_kernel.protocol.errors import NoModel, UnknownModel
from mtor_kernel.protocol.lifecycle import ENDS, Stage
from mtor_kernel.protocol.query import Query
from mtor_kernel.scheduling.discovered import with_discovered
from mtor_kernel.scheduling.routing import expand, parse_catalogue
from tests.dask_workers.services.ollama import OllamaService
from tests.realms import OWNER, SmallRealm, small_realm

CATALOGUE = """
[aliases]
chat = ["ollama/none-such", "ollama/llama3.2:3b"]

[[models]]
name = "ollama"
modality = "chat"
backend = "ollama"
discover = true
rates = { output_token_micro = 7 }
settings = { url = "URL" }
"""


def written(service: OllamaService) -> str:
    return CATALOGUE.replace("URL", service.url)


async def charged(small: SmallRealm, model: str, **options: Any) -> int:
    async with small.client() as realm:
        reply = await realm.ask("Hello", model=model, max_tokens=5, **options)
    assert reply.text
    assert reply.model in ("ollama/llama3.2:3b", model)
    return reply.charge.amount_micro


async def there(small: SmallRealm, name: str) -> None:
    """Wait until a worker has found the model."""
    async with asyncio.timeout(60):
        while name not in small.realm.workers.models():
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_model_of_the_server_is_asked_for_by_name_at_the_entrys_price(
    tmp_path: Path,
) -> None:
    with OllamaService() as service:
        async with small_realm(tmp_path, catalogue=written(service)) as small:
            assert await charged(small, "ollama/llama3.2:3b") == 5 * 7
            names = [model.name for model in small.realm.models()]
            assert {"ollama", "ollama/llava", "ollama/hf.co/ann/tiny-gguf:q4"} <= set(names)
            asked = [service.asked.get() for _ in range(service.asked.qsize())]
            # Between them it is looked at what the server has.
            assert [one.json["model"] for one in asked if one.path == "/api/chat"] == [
                "llama3.2:3b"
            ]


@pytest.mark.asyncio
async def test_an_alias_passes_over_what_is_not_found(tmp_path: Path) -> None:
    with OllamaService() as service:
        async with small_realm(tmp_path, catalogue=written(service)) as small:
            assert await charged(small, "chat") == 5 * 7


@pytest.mark.asyncio
async def test_a_name_that_nobody_found_is_no_model(tmp_path: Path) -> None:
    with OllamaService() as service:
        async with (
            small_realm(tmp_path, catalogue=written(service)) as small,
            small.client() as realm,
        ):
            with pytest.raises(UnknownModel):
                await realm.ask("Hello", model="ollama/none-such")
            with pytest.raises(NoModel, match=r"ollama/llama3\.2:3b"):
                await realm.ask("Hello", model="ollama")


@pytest.mark.asyncio
async def test_a_model_that_came_later_is_found_when_the_catalogue_is_read_again(
    tmp_path: Path,
) -> None:
    with OllamaService() as service:
        async with small_realm(tmp_path, catalogue=written(service)) as small:
            service.models["qwen3:0.6b"] = ["completion"]
            del service.models["llava:latest"]
            await small.realm.sysop.reload(OWNER)
            await there(small, "ollama/qwen3:0.6b")
            assert await charged(small, "ollama/qwen3:0.6b") == 5 * 7
            assert await charged(small, "ollama/llama3.2:3b") == 5 * 7


@pytest.mark.asyncio
async def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    catalogue = CATALOGUE.replace("URL", "http://127.0.0.1:9")
    async with small_realm(tmp_path, catalogue=catalogue) as small, small.client() as realm:
        with pytest.raises(NoModel, match="cannot reach"):
            await realm.ask("Hello", model="ollama")


@pytest.mark.asyncio
async def test_a_query_for_a_found_model_outlives_the_realm(tmp_path: Path) -> None:
    query = Query.ask("Hello", "ollama/llama3.2:3b")
    with OllamaService() as service:
        async with small_realm(tmp_path, catalogue=written(service)) as small:
            for worker in small.realm.workers.infos():
                await small.realm.sysop.drain(OWNER, worker.name, True)
            await small.realm.arrive(OWNER)
            first = await small.realm.submit(OWNER, query, "the-same")
        async with small_realm(tmp_path, catalogue=written(service)) as small:
            for worker in small.realm.workers.infos():  # it is kept that they drain
                await small.realm.sysop.drain(OWNER, worker.name, False)
            async with asyncio.timeout(60):
                while (info := await small.realm.info(OWNER, first.query)).stage not in ENDS:
                    await asyncio.sleep(0.01)
            assert info.stage is Stage.SETTLED


def test_a_found_model_is_its_entry_under_another_name() -> None:
    catalogue = parse_catalogue(CATALOGUE)
    assert expand(catalogue, "chat") == ()
    names = ["ollama/b", "other/b", "ollama", "ollamas/x"]
    found = with_discovered(catalogue, names)
    assert [spec.name for spec in found.models] == ["ollama", "ollama/b"]
    assert found.models[1].rates == catalogue.models[0].rates
    assert not found.models[1].discover
    assert with_discovered(found, names) == found
