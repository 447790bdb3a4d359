"""A chain from a service to a model at home: when the service fails, somebody still answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtor_kernel.protocol.errors import BackendFailed
from tests.dask_workers.services.openai import OpenAIService
from tests.dask_workers.services.service import Fault
from tests.realms import small_realm

CATALOGUE = """
[aliases]
chat = ["cloud", "echo"]

[[models]]
name = "cloud"
modality = "chat"
backend = "openai_compatible"
rates = { output_token_micro = 7 }
settings = { url = "URL" }

[[models]]
name = "echo"
modality = "chat"
backend = "echo"
rates = { output_token_micro = 2 }
"""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault",
    [Fault(401), Fault(429, {"Retry-After": "7"}), Fault(500), Fault(broken_after=5)],
    ids=lambda fault: str(fault.status or "broken"),
)
async def test_the_next_of_the_chain_answers_for_a_service_that_fails(
    tmp_path: Path, fault: Fault
) -> None:
    with OpenAIService() as service:
        catalogue = CATALOGUE.replace("URL", service.url)
        async with small_realm(tmp_path, catalogue=catalogue) as small, small.client() as realm:
            assert (await realm.ask("Hello", max_tokens=5)).model == "cloud"
            service.fault = fault
            reply = await realm.ask("Hello", max_tokens=5)
            assert (reply.text, reply.model) == ("Hello", "echo")
            assert reply.charge.amount_micro == 2


@pytest.mark.asyncio
@pytest.mark.slow
async def test_who_names_the_service_is_told_when_to_ask_again(tmp_path: Path) -> None:
    with OpenAIService() as service:
        service.fault = Fault(429, {"Retry-After": "7"})
        catalogue = CATALOGUE.replace("URL", service.url)
        async with small_realm(tmp_path, catalogue=catalogue) as small, small.client() as realm:
            with pytest.raises(BackendFailed, match="ask again in 7 s") as failed:
                await realm.ask("Hello", model="cloud")
    assert failed.value.retry_after_seconds == 7
