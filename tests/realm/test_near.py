"""A query goes where its model lies in memory, as far as there is room."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.ngram import Chunk, Progress
from mtor_kernel.protocol.query import Query
from tests.realms import CATALOGUE, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio

#: With a model that begins an answer and does not end it.
ENDLESS = CATALOGUE.replace("rate = 50.0", "hang = true, fail_after = 1")


async def loaded(small: SmallRealm, client: RealmClient, worker: str) -> None:
    """Have one worker load the slow model, and wait until it has."""
    await client.sysop(f"workers/{worker}/load", model="slow")
    async with asyncio.timeout(60):
        while not any(
            one.name == worker and served.model == "slow" and served.loaded
            for one in small.realm.workers.infos()
            for served in one.served
        ):
            await asyncio.sleep(0.01)


async def test_who_comes_first_sees_the_model_being_loaded(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small, small.client() as client:
        notes = []
        for _ in range(2):
            running = await client.submit(Query.ask("hello", "echo"))
            events = [event async for event in running.events()]
            notes += [event.note for event in events if isinstance(event, Progress)]
        assert notes == ["loading echo…"]


async def test_the_worker_that_has_it_in_memory_is_filled_first(tmp_path: Path) -> None:
    async with (
        small_realm(tmp_path, catalogue=ENDLESS, workers=2) as small,
        small.client() as client,
    ):
        await loaded(small, client, "worker-1")
        running = [await client.submit(Query.ask("one two three", "slow")) for _ in range(3)]
        for query in running:
            async for event in query.events():
                if isinstance(event, Chunk):
                    break
        where = {
            one.name: served.running
            for one in small.realm.workers.infos()
            for served in one.served
            if served.model == "slow"
        }
        assert where == {"worker-1": 2, "worker-0": 1}
        for query in running:
            await query.cancel()
