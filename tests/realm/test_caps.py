"""Two gateways on one database: what holds for a person and for a lane holds for both together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from traitlets.config import Config

from mtor_kernel.client import RealmClient, Running
from mtor_kernel.magics.reports import lanes_table
from mtor_kernel.protocol.errors import QuotaExceeded
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Query
from mtor_kernel.realm.realm import Realm
from mtor_kernel.storage import caps, queries
from mtor_kernel.storage.schema import query as query_table
from tests.gateways import gateway
from tests.postgres import Server
from tests.realm.test_sharing import ENDLESS, WORDS, books_add_up, both, cluster, lane_of
from tests.realms import TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class Two:
    one: Realm
    two: Realm
    at_one: RealmClient
    at_two: RealmClient

    @property
    def pairs(self) -> list[tuple[Realm, RealmClient]]:
        return [(self.one, self.at_one), (self.two, self.at_two)]

    async def stages(self) -> dict[str, int]:
        """How many queries stand where, as the store has it."""
        count = sa.select(query_table.c.stage, sa.func.count()).group_by(query_table.c.stage)
        return {
            row[0]: row[1] for row in await self.one.store.read(lambda db: db.execute(count).all())
        }


@asynccontextmanager
async def two_gateways(folder: Path, postgresql: Server, **config: Any) -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(cluster(folder, postgresql))
        where = (folder, on.database, on.scheduler.address)
        both_of = []
        for _ in range(2):
            realm, url = await stack.enter_async_context(gateway(*where, config=Config(config)))
            client = await stack.enter_async_context(RealmClient(url, TOKEN))
            both_of.append((realm, client))
        (one, at_one), (two, at_two) = both_of
        await both(one, two)
        yield Two(one, two, at_one, at_two)
        await books_add_up(one)


async def ask_everywhere(on: Two, each: int = 3) -> list[Running]:
    """Submit endless queries for a lane of each gateway, at each gateway."""
    return [
        await client.submit(Query.ask(f"{WORDS} {number}", lane_of(owner, ENDLESS)))
        for number in range(each)
        for owner in (on.one, on.two)
        for _, client in on.pairs
    ]


async def cancel_all(on: Two, asked: list[Running]) -> None:
    await asyncio.gather(*(query.cancel() for query in asked))
    async with asyncio.timeout(60):
        while on.one.lanes.busy or on.two.lanes.busy:
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_no_more_of_a_persons_run_than_may_with_both_gateways_together(
    tmp_path: Path, postgresql: Server
) -> None:
    people = {"quotas_of": {"sysop": {"running": 2}}}
    async with two_gateways(tmp_path, postgresql, People=people) as on:
        asked = await ask_everywhere(on)
        looked = 0
        async with asyncio.timeout(60):
            # All of them end, by and by, and never do more run.
            while (stages := await on.stages()).get("queued", 0):
                assert stages.get("running", 0) <= 2
                looked += 1
                if stages.get("running", 0) == 2:
                    running = await on.one.store.read(queries.under_way)
                    first = next(one.id for one in running if one.stage is Stage.RUNNING)
                    await next(query for query in asked if query.id == first).cancel()
                await asyncio.sleep(0.01)
        assert looked >= len(asked) - 2
        epochs = await on.one.store.read(
            lambda db: set(
                db.scalars(sa.select(query_table.c.epoch).where(query_table.c.attempt > 0))
            )
        )
        assert epochs - {None} == {on.one.epoch, on.two.epoch}
        await cancel_all(on, asked)


@pytest.mark.asyncio
async def test_no_more_of_a_persons_wait_than_may_with_both_gateways_together(
    tmp_path: Path, postgresql: Server
) -> None:
    people = {"quotas_of": {"sysop": {"running": 1, "waiting": 3}}}
    async with two_gateways(tmp_path, postgresql, People=people) as on:
        first = await on.at_one.submit(Query.ask(WORDS, lane_of(on.two, ENDLESS)))
        async with asyncio.timeout(60):
            while (await on.stages()).get("running", 0) != 1:
                await asyncio.sleep(0.02)
        tried = await asyncio.gather(
            *(
                client.submit(Query.ask(f"{WORDS} {number}", lane_of(owner, ENDLESS)))
                for number in range(4)
                for owner in (on.one, on.two)
                for _, client in on.pairs
            ),
            return_exceptions=True,
        )
        taken = [each for each in tried if isinstance(each, Running)]
        refused = [each for each in tried if not isinstance(each, Running)]
        assert len(taken) == 3
        assert {type(each) for each in refused} == {QuotaExceeded}
        assert {each.rule for each in refused if isinstance(each, QuotaExceeded)} == {"waiting"}
        assert await on.stages() == {"running": 1, "queued": 3}
        await cancel_all(on, [first, *taken])


@pytest.mark.asyncio
async def test_the_realms_own_limit_is_for_all_gateways(tmp_path: Path, postgresql: Server) -> None:
    async with two_gateways(tmp_path, postgresql, Intake={"max_waiting": 4}) as on:
        lane = lane_of(on.two, ENDLESS)
        asked = [await on.at_two.submit(Query.ask(f"{WORDS} {n}", lane)) for n in range(4)]
        async with asyncio.timeout(60):
            while on.one.lanes.under_way < 4:
                await asyncio.sleep(0.02)
        with pytest.raises(QuotaExceeded) as refused:
            await on.at_one.submit(Query.ask(WORDS, lane_of(on.one, ENDLESS)))
        assert refused.value.rule == "realm_waiting"
        await cancel_all(on, asked)


@pytest.mark.asyncio
async def test_each_gateway_shows_the_lanes_of_all(tmp_path: Path, postgresql: Server) -> None:
    async with two_gateways(tmp_path, postgresql) as on:
        # Two slots a lane, so four of six wait in each.
        asked = [
            await client.submit(Query.ask(f"{WORDS} {number}", lane_of(owner, ENDLESS)))
            for number in range(3)
            for owner in (on.one, on.two)
            for _, client in on.pairs
        ]
        lanes = {lane_of(on.one, ENDLESS), lane_of(on.two, ENDLESS)}
        for _, client in on.pairs:
            async with asyncio.timeout(60):
                while True:
                    state = await client.queue()
                    deep = {
                        lane.model: (lane.waiting, lane.running)
                        for lane in state.lanes
                        if lane.waiting or lane.running
                    }
                    if deep == dict.fromkeys(lanes, (4, 2)):
                        break
                    await asyncio.sleep(0.05)
            # As `%mtor queue` shows it; a new one would not start at once.
            shown = {row[0]: row[1:3] for row in lanes_table(state).rows}
            assert {shown[name] for name in lanes} == {("4", "2")}
            assert {m.waiting for m in await client.models() if m.name in lanes} == {4}
            assert all(lane.eta_seconds != 0 for lane in state.lanes if lane.model in lanes)
        await cancel_all(on, asked)
        async with asyncio.timeout(60):
            for _, client in on.pairs:
                while any(lane.waiting or lane.running for lane in (await client.queue()).lanes):
                    await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_no_more_queries_are_under_way_than_may_with_both_gateways_together(
    tmp_path: Path, postgresql: Server
) -> None:
    async with two_gateways(tmp_path, postgresql, Intake={"max_waiting": 7}) as on:
        tried = await asyncio.gather(
            *(
                client.submit(Query.ask(f"{WORDS} {number}", lane_of(owner, ENDLESS)), key=key)
                for number in range(6)
                for owner in (on.one, on.two)
                for at, (_, client) in enumerate(on.pairs)
                for key in [f"{number}-{owner.epoch}-{at}"]
            ),
            return_exceptions=True,
        )
        admitted = [one for one in tried if isinstance(one, Running)]
        refused = [one for one in tried if isinstance(one, QuotaExceeded)]
        assert (len(admitted), len(refused)) == (7, len(tried) - 7)
        assert {error.rule for error in refused} == {"realm_waiting"}
        assert sum((await on.stages()).values()) == 7
        await cancel_all(on, admitted)


@pytest.mark.asyncio
async def test_the_store_lets_begin_what_has_room_in_the_order_asked(
    tmp_path: Path, postgresql: Server
) -> None:
    async with two_gateways(tmp_path, postgresql) as on:
        asked = [await on.at_one.submit(Query.ask(WORDS, lane_of(on.one, ENDLESS)))]
        async with asyncio.timeout(60):
            while (await on.stages()).get("running", 0) != 1:
                await asyncio.sleep(0.02)
        me = (await on.at_one.me()).user
        wanted = [("a", me), ("b", "bob"), ("c", me), ("d", "bob"), ("e", me), ("f", "eve")]

        def may(**limits: int) -> Any:
            return on.two.store.read(
                lambda db: caps.within(db, wanted, {**limits, "bob": 1} | {me: limits.get("me", 9)})
            )

        assert await may(me=2) == ["a", "b", "f"]
        assert await may(me=1) == ["b", "f"]
        assert await may() == ["a", "b", "c", "e", "f"]
        await cancel_all(on, asked)
