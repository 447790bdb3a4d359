"""A Hub's realm whose scheduler is started anew, elsewhere, before the realm has joined it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mtor_kernel.hub.realm import HubRealm
from tests.joining import SoughtBackend, Unjoined, scheduler, unjoined, until, worker

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]


@asynccontextmanager
async def joining(new: Unjoined, hub: HubRealm, address: str) -> AsyncIterator[asyncio.Task[None]]:
    """Have a Hub's realm join a cluster that has come up at `address`."""
    hub.realm = new.realm

    async def rise() -> str:
        return address

    rising = asyncio.create_task(rise())
    task = asyncio.create_task(hub._join(new.realm, rising, **new.equipment))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def dying_scheduler() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Hang up on whoever connects; gives the address, and whether anybody has."""
    met = asyncio.Event()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        met.set()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", met


async def test_a_scheduler_that_dies_before_it_was_joined_is_joined_where_it_is_then(
    tmp_path: Path,
) -> None:
    async with (
        dying_scheduler() as (first, met),
        scheduler() as second,
        worker(second, tmp_path, "two"),
        unjoined(tmp_path) as new,
    ):
        SoughtBackend.told.set()
        hub = HubRealm(tmp_path)
        async with joining(new, hub, first) as task:
            await met.wait()
            await hub._moved(second.address)
            async with asyncio.timeout(60):
                await task
            await until(lambda: new.workers() == {"two"})


async def test_one_that_moves_while_its_workers_are_told_is_followed(tmp_path: Path) -> None:
    async with (
        scheduler() as first,
        worker(first, tmp_path, "one"),
        scheduler() as second,
        worker(second, tmp_path, "two"),
        unjoined(tmp_path) as new,
    ):
        hub = HubRealm(tmp_path)
        async with joining(new, hub, first.address) as task:
            await until(SoughtBackend.asked.is_set)
            await hub._moved(second.address)
            SoughtBackend.told.set()
            async with asyncio.timeout(60):
                await task
            await until(lambda: "two" in new.workers())
