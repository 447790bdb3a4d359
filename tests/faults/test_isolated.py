"""A model in a process of its own may die in mid-answer: the query is answered all the same."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtor_kernel.protocol.ngram import Chunk, Requeued, Settled
from mtor_kernel.protocol.query import Query
from tests import plugins
from tests.realms import SmallRealm, small_realm

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.asyncio, pytest.mark.timeout(600)]

CATALOGUE = """
[[models]]
name = "apart"
modality = "chat"
backend = "held"
isolate = true
slots = 2
silence_seconds = 10.0
rates = { output_token_micro = 5 }
settings = { words = 4, gate = "GATE" }
"""
PROMPT = " ".join(f"word{number}" for number in range(20))


def process_of(small: SmallRealm) -> int:
    runtime: Any = small.workers[0].mtor  # type: ignore[attr-defined]
    return int(runtime.models.get("apart").backend.pid)


@pytest.fixture(autouse=True)
def held(tmp_path: Path) -> Iterator[None]:
    """A model whose answers go on once its file is there."""
    with plugins.held(tmp_path / "plugins"):
        yield


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
async def test_the_query_is_tried_again_and_charged_once(
    tmp_path: Path, how: signal.Signals
) -> None:
    catalogue, gate = CATALOGUE.replace("GATE", f"{tmp_path}/gate"), tmp_path / "gate"
    async with small_realm(tmp_path, catalogue=catalogue) as small, small.client() as client:
        running = await client.submit(Query.ask(PROMPT, "apart"))
        text, attempts, killed, charges = "", 1, False, []
        async with asyncio.timeout(60):
            async for event in running.events():
                match event:
                    case Chunk():
                        text += event.text
                    case Requeued():
                        text, attempts = "", event.attempt
                        gate.touch()
                    case Settled():
                        charges.append(event.charge)
                if len(text) > 20 and not killed:
                    killed = True
                    os.kill(process_of(small), how)
        assert attempts == 2
        assert text.split() == PROMPT.split()
        assert len(charges) == 1
        assert [worker.state for worker in small.realm.workers.infos()] == ["well"]
        assert await small.realm.sysop.check_books() == []
