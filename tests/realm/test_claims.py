"""A query that takes its slot before it is written down, and what may come between the two."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_asyncio
from sqlalchemy import Connection
from traitlets.config import Config

from mtor_kernel.protocol.errors import AdmissionPaused, QuotaExceeded, RealmStopping
from mtor_kernel.protocol.query import Query
from mtor_kernel.realm.intake import Submitted
from tests.realms import CATALOGUE, OWNER, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallRealm]:
    """A realm that the owner has come to."""
    async with small_realm(tmp_path) as small:
        await small.realm.arrive(OWNER)
        yield small


class Held:
    """A store that writes nothing down until it is let go; inside it, what was asked waits."""

    def __init__(self, small: SmallRealm) -> None:
        self._store = small.realm.store
        self._entered, self._open = threading.Event(), threading.Event()

    async def __aenter__(self) -> Self:
        self._work = asyncio.create_task(self._store.write(self._wait))
        assert await asyncio.to_thread(self._entered.wait, 60)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.let_go()
        await self._work

    async def written(self, works: int) -> None:
        """Wait until so many works wait for the store."""
        async with asyncio.timeout(60):
            while self._store.waiting < works:
                await asyncio.sleep(0)

    def let_go(self) -> None:
        self._open.set()

    def _wait(self, db: Connection) -> None:
        self._entered.set()
        assert self._open.wait(60)


async def test_a_refused_query_leaves_the_probe_of_a_model_that_rested_to_others(
    small: SmallRealm,
) -> None:
    """Or whoever has no funds could keep a model shut for all."""
    realm = small.realm
    realm.lanes["echo"].rest(0.2)
    async with asyncio.timeout(60):
        while not realm.lanes.is_well("echo"):
            await asyncio.sleep(0.01)
    await realm.sysop.pause(OWNER, True)
    with pytest.raises(AdmissionPaused):
        await realm.submit(OWNER, Query.ask("hello", "echo"), "k")
    assert realm.lanes.is_well("echo")


async def test_of_many_at_once_no_more_are_admitted_than_may_be_under_way(tmp_path: Path) -> None:
    async with small_realm(tmp_path, config=Config({"Intake": {"max_waiting": 5}})) as small:
        realm = small.realm
        await realm.arrive(OWNER)
        tried = await asyncio.gather(
            *(realm.submit(OWNER, Query.ask("hello", "stuck"), f"k{n}") for n in range(40)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, Submitted) for each in tried) == 5
        assert sum(isinstance(each, QuotaExceeded) for each in tried) == 35


async def test_a_model_that_is_taken_out_serves_who_is_just_being_admitted(
    small: SmallRealm, tmp_path: Path
) -> None:
    realm = small.realm
    async with Held(small) as store:
        coming = asyncio.create_task(realm.submit(OWNER, Query.ask("hello", "echo"), "k"))
        await store.written(1)
        without = CATALOGUE.replace('"echo"]', '"slow"]').replace('name = "echo"', 'name = "other"')
        (tmp_path / "catalogue.toml").write_text(without)
        await realm.equipment.reload()
        assert not realm.lanes.end_retired(time.monotonic() + 60)
    submitted = await coming
    async with asyncio.timeout(60):
        while realm.lanes.busy:
            await asyncio.sleep(0.01)
    assert (await realm.info(OWNER, submitted.query)).stage == "settled"


async def test_a_realm_that_closes_starts_nothing_that_was_just_being_admitted(
    tmp_path: Path,
) -> None:
    async with small_realm(tmp_path) as small:
        realm = small.realm
        await realm.arrive(OWNER)
        follower = realm.follow(OWNER)
        async with Held(small) as store:
            coming = asyncio.create_task(realm.submit(OWNER, Query.ask("hello", "stuck"), "k"))
            await store.written(1)
            closing = asyncio.create_task(realm.close())
            with pytest.raises(RealmStopping):  # once nothing is started any more
                await follower.next()
        submitted = await coming
        await closing
        assert [lane.running for lane in realm.state().lanes] == [0, 0, 0]
    async with small_realm(tmp_path) as small, small.client() as client:
        await client.cancel(submitted.query)
        async with asyncio.timeout(60):
            while (await client.info(submitted.query)).stage != "cancelled":
                await asyncio.sleep(0.02)
        assert await small.realm.sysop.check_books() == []


async def test_a_refusal_that_nobody_hears_any_more_is_no_fault(small: SmallRealm) -> None:
    """Or whoever asks and goes away could fill the log."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    realm = small.realm
    await realm.sysop.pause(OWNER, True)
    async with Held(small) as store:
        asking = asyncio.create_task(realm.submit(OWNER, Query.ask("hello", "echo"), "k"))
        await store.written(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    await realm.sysop.pause(OWNER, False)
    await realm.submit(OWNER, Query.ask("hello", "echo"), "k")
    gc.collect()
    assert told == []


async def test_who_found_no_slot_is_not_overtaken_while_being_written_down(
    small: SmallRealm,
) -> None:
    realm, query = small.realm, Query.ask("for ever", "stuck")
    first = await realm.submit(OWNER, query, "first")
    async with Held(small) as held:
        second = asyncio.create_task(realm.submit(OWNER, query, "second"))
        await held.written(1)
        await realm.cancel(OWNER, first.query)
        async with asyncio.timeout(60):
            while realm.lanes["stuck"].attempts:
                await asyncio.sleep(0.01)
        third = asyncio.create_task(realm.submit(OWNER, query, "third"))
        await held.written(3)
    both = [await second, await third]
    async with asyncio.timeout(60):
        while not realm.lanes["stuck"].attempts:
            await asyncio.sleep(0.01)
    assert [(await realm.info(OWNER, one.query)).stage for one in both] == ["running", "queued"]
    for one in both:
        await realm.cancel(OWNER, one.query)
