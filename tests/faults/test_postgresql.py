"""PostgreSQL is ended while a realm runs on it: the realm goes on by itself, nothing is lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.errors import QueryCancelled
from mtor_kernel.protocol.query import Answer, Query
from mtor_kernel.storage import endings, ledger
from mtor_kernel.storage.schema import query as query_table
from tests import plugins, postgres
from tests.cable import cable
from tests.plugins import HELD, HeldBackend
from tests.postgres import Server
from tests.realms import CATALOGUE, small_realm

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that may be ended."""
    if postgres.missing():
        pytest.skip(postgres.missing())
    with postgres.server() as running:
        yield running


PROMPT = "Count one two three"


def slow(prompt: str) -> Query:
    """A question whose answer takes its time."""
    return Query.ask(f"{prompt} one two three four five six seven eight", "slow")


@pytest.mark.asyncio
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_queries_under_way_end_once_though_the_server_is_restarted(
    tmp_path: Path, server: Server, how: signal.Signals
) -> None:
    url = server.database()
    async with small_realm(tmp_path, database_url=url) as small, small.client() as client:
        running = [await client.submit(slow(f"Count, {n}")) for n in range(6)]
        await asyncio.to_thread(server.restart, how)
        meanwhile = asyncio.gather(*(client.ask(f"Hello {n}", model="echo") for n in range(4)))
        await asyncio.to_thread(server.restart, how)
        assert [reply.text for reply in await meanwhile] == [f"Hello {n}" for n in range(4)]
        for query in running:
            assert (await query.answer()).text
        assert not small.realm.lanes.busy
        store = small.realm.store
        assert store.statistics.losses >= 1
        assert await store.read(ledger.check) == []
        stages = await store.read(lambda db: list(db.scalars(sa.select(query_table.c.stage))))
        assert stages == ["settled"] * 10


@pytest.fixture
def held(tmp_path: Path) -> Iterator[None]:
    """A model whose answers go on when a test lets them."""
    with plugins.held(tmp_path / "plugins"):
        yield


@pytest.mark.asyncio
@pytest.mark.usefixtures("held")
async def test_an_end_of_whose_commit_nobody_heard_is_told(tmp_path: Path, server: Server) -> None:
    with cable(server.port) as wire:
        url = server.database().replace(f":{server.port}/", f":{wire.port}/")
        async with (
            small_realm(tmp_path, catalogue=CATALOGUE + HELD, database_url=url) as small,
            small.client() as client,
        ):
            query = await client.submit(Query.ask(PROMPT, "held"))
            while not small.realm.lanes.places[query.id].stream.length:
                await asyncio.sleep(0.01)
            wire.cut_at(b"COMMIT", letting_it_through=True)
            HeldBackend.let()
            assert (await query.answer()).text
            assert wire.met.is_set()
            assert await small.realm.store.read(ledger.check) == []


@pytest.mark.asyncio
@pytest.mark.usefixtures("held")
async def test_an_end_that_another_process_wrote_is_told_to_who_follows(tmp_path: Path) -> None:
    async with (
        small_realm(tmp_path, catalogue=CATALOGUE + HELD) as small,
        small.client() as client,
    ):
        query = await client.submit(Query.ask(PROMPT, "held"))
        place = small.realm.lanes.places[query.id]
        while not place.stream.length:
            await asyncio.sleep(0.01)
        await small.realm.store.write(
            lambda db: endings.cancel(db, query.id, 1.0, answer=Answer((), "cancelled"))
        )
        HeldBackend.let()
        with pytest.raises(QueryCancelled):
            await query.answer()
        assert not small.realm.lanes.busy
