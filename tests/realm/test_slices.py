"""Small queries of the class batch that share a slot: what holds of each of them alone holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa
from distributed import SchedulerPlugin

from mtor_kernel.client import RealmClient
from mtor_kernel.client.reply import Reply
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.identity import SCOPE_QUERY, User
from mtor_kernel.protocol.query import Priority, Query
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.protocol.task import MAX_ROWS
from tests.plugins import OrdersBackend, register
from tests.realms import OWNER, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio

CATALOGUE = """
[[models]]
name = "one"
modality = "chat"
backend = "orders"
slots = 1
rates = { query_micro = 10 }

[[models]]
name = "two"
modality = "chat"
backend = "orders"
slots = 2
rates = { query_micro = 10 }
"""
#: Longest wait for anything that must happen, in seconds.
SOON = 60.0
GUEST, GUEST_TOKEN = User("guest", scopes=frozenset({SCOPE_QUERY})), "token-of-the-guest"
#: How many rows of a map had their end written down between a question's hold and its end.
_BETWEEN = sa.text(
    "WITH ended AS (SELECT query.prompt, query.hold_id AS begun, transfer.id AS ended FROM query"
    " JOIN transfer ON transfer.pending_id = query.hold_id)"
    " SELECT count(*) FROM ended AS row JOIN ended AS asked ON asked.prompt = :asked"
    " WHERE row.prompt LIKE 'nap %' AND row.ended BETWEEN asked.begun AND asked.ended"
)


class Seen(SchedulerPlugin):  # type: ignore[misc]  # Dask has no types
    """The keys of all tasks that a scheduler was given."""

    def __init__(self) -> None:
        self.slices: set[str] = set()
        self.alone: set[str] = set()

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        (self.slices if key.startswith("mtor-slice") else self.alone).add(key)


@pytest_asyncio.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallRealm]:
    """A realm that knows already that its models are quick."""
    register(tmp_path / "plugins", monkeypatch, orders=OrdersBackend)
    people = [(GUEST_TOKEN, GUEST)]
    async with small_realm(tmp_path, catalogue=CATALOGUE, people=people) as small:
        await small.realm.people.welcome(GUEST)
        await small.realm.sysop.grant(OWNER, GUEST.name, 1_000_000_000, "for the test")
        async with small.client() as client:
            for model in ("one", "two"):
                await client.ask("first", model)
                # Whatever that took: this machine may be starved just now.
                for _ in range(80):
                    small.realm.lanes[model].estimator.learn_work(1.0, 0.0)
        yield small
        async with asyncio.timeout(SOON):
            while small.realm.lanes.busy:
                await asyncio.sleep(0.02)
        assert await small.realm.sysop.check_books() == []


async def submit(client: RealmClient, model: str, prompts: Sequence[str]) -> list[Running]:
    """Submit rows, side by side."""
    asked = (Query.ask(one, model) for one in prompts)
    queries = [msgspec.structs.replace(one, priority=Priority.BATCH) for one in asked]
    return list(await asyncio.gather(*map(client.submit, queries)))


async def together(small: SmallRealm, client: RealmClient, prompts: Sequence[str]) -> list[Running]:
    """Have rows wait in one lane with one slot until all are there, and start."""
    await small.realm.sysop.drain(OWNER, "worker-0", True)
    rows = await submit(client, "one", prompts)
    await small.realm.sysop.drain(OWNER, "worker-0", False)
    return rows


async def test_rows_share_a_task_and_each_is_a_query_of_its_own(small: SmallRealm) -> None:
    seen = Seen()
    small.scheduler.add_plugin(seen)
    prompts = [f"row {number}" for number in range(4)]
    async with small.client() as client:
        rows = await together(small, client, prompts)
        replies = [await row.answer() for row in rows]
        assert [reply.text for reply in replies] == prompts
        assert {reply.charge.amount_micro for reply in replies} == {10}
        assert {reply.attempts for reply in replies} == {1}
        assert len({row.id for row in rows}) == len(prompts)
        assert (await client.me()).balance_micro == -10 * (2 + len(prompts))
    assert len(seen.slices) == 1
    assert not seen.alone


async def test_a_slice_fills_one_slot_until_all_of_it_has_ended(small: SmallRealm) -> None:
    lane = small.realm.lanes["one"]
    async with small.client() as client:
        rows = await together(small, client, ["nap 1", "nap 2", "nap 3"])
        async with asyncio.timeout(SOON):
            while not lane.slices:
                await asyncio.sleep(0)
        assert lane.free(1) == 0
        for row in rows:
            await row.answer()
    assert lane.free(1) == 1


async def test_a_row_that_fails_takes_no_other_along(small: SmallRealm) -> None:
    async with small.client() as client:
        rows = await together(small, client, ["a", "b", "fail", "c", "d"])
        told = await asyncio.gather(*(row.answer() for row in rows), return_exceptions=True)
        assert isinstance(told[2], NotFound)
        assert [one.text for one in told if isinstance(one, Reply)] == ["a", "b", "c", "d"]
        assert {(await client.info(row.id)).attempt for row in rows} == {1}


async def test_what_waits_behind_a_long_row_is_handed_back_and_costs_no_attempt(
    small: SmallRealm,
) -> None:
    """A row that hangs keeps its slot, as it would alone, and the others go on beside it."""
    async with small.client() as client:
        await small.realm.sysop.drain(OWNER, "worker-0", True)
        hung = (await submit(client, "two", ["hang"]))[0]
        rows = await submit(client, "two", [f"row {number}" for number in range(8)])
        await small.realm.sysop.drain(OWNER, "worker-0", False)
        async with asyncio.timeout(SOON):
            for number, row in enumerate(rows):
                assert (await row.answer()).text == f"row {number}"
        assert not hung.ended
        assert await hung.cancel()


async def test_rows_that_are_handed_back_again_and_again_do_not_fail(small: SmallRealm) -> None:
    async def end(row: Running) -> None:
        """Cancel it when it has begun and those behind it were handed back."""
        async for event in row.events():
            if getattr(event, "text", "") == "hm":
                break
        while len(small.realm.lanes["one"].attempts) > 1:
            await asyncio.sleep(0.01)
        await row.cancel(confirm_seconds=SOON)

    async with small.client() as client:
        rows = await together(small, client, [f"hang {number}" for number in range(7)])
        async with asyncio.timeout(SOON):
            await asyncio.gather(*map(end, rows))
        infos = [await client.info(row.id) for row in rows]
        assert {info.stage for info in infos} == {"cancelled"}
        assert max(info.attempt for info in infos) > small.realm.max_attempts


async def test_what_is_cancelled_in_mid_slice_ends_and_is_not_charged(small: SmallRealm) -> None:
    async with small.client() as client:
        before = (await client.me()).balance_micro
        rows = await together(small, client, ["hang", *(f"row {n}" for n in range(20))])
        async with asyncio.timeout(SOON):
            while not small.realm.lanes["one"].attempts:
                await asyncio.sleep(0)
            # Those that wait for their turn first: the others would let them have it.
            await asyncio.gather(*(row.cancel(confirm_seconds=SOON) for row in rows[1:]))
            await rows[0].cancel(confirm_seconds=SOON)
        assert {(await client.info(row.id)).stage for row in rows} == {"cancelled"}
        me = await client.me()
        assert me.held_micro == 0
        assert before - me.balance_micro <= 10  # what the first had said


async def test_a_cancelled_map_leaves_nothing_behind(small: SmallRealm) -> None:
    async with small.client() as client:
        mapped = asyncio.create_task(
            client.map("nap {x}", list(range(500)), "one", progress=False, ask_above=None)
        )
        async with asyncio.timeout(SOON):
            while not small.realm.lanes["one"].slices:
                await asyncio.sleep(0.01)
            mapped.cancel()
            await asyncio.wait([mapped])
            while small.realm.lanes.busy:
                await asyncio.sleep(0.01)


async def test_a_persons_rows_are_in_no_slice_with_anothers(small: SmallRealm) -> None:
    seen = Seen()
    small.scheduler.add_plugin(seen)
    async with small.client() as owner, small.client(GUEST_TOKEN) as guest:
        await small.realm.sysop.drain(OWNER, "worker-0", True)
        mine = await submit(owner, "one", [f"mine {n}" for n in range(6)])
        theirs = await submit(guest, "one", [f"theirs {n}" for n in range(6)])
        await small.realm.sysop.drain(OWNER, "worker-0", False)
        for row in mine + theirs:
            await row.answer()
    # On a slow machine rows are handed back, and go out once more: a slice is named by an attempt.
    assert sum(key.endswith("-1") for key in seen.slices) == 2


async def test_a_slice_goes_no_further_than_its_persons_cap(small: SmallRealm) -> None:
    await small.realm.sysop.quota(OWNER, GUEST.name, Quotas(running=3))
    most = 0
    async with small.client(GUEST_TOKEN) as guest:
        rows = await together(small, guest, [f"nap {n}" for n in range(12)])
        async with asyncio.timeout(SOON):
            while not all(row.ended for row in rows):
                most = max(most, len(small.realm.lanes["one"].attempts))
                await asyncio.sleep(0)
    assert most == 3


async def test_who_asks_beside_a_map_of_ten_thousand_rows_waits_for_one_slice_at_most(
    small: SmallRealm,
) -> None:
    """Not by the clock: by how many rows ended between a question and its answer."""
    async with small.client() as owner, small.client(GUEST_TOKEN) as guest:
        mapped = asyncio.create_task(
            owner.map("nap {x}", list(range(10_000)), "one", progress=False, ask_above=None)
        )
        async with asyncio.timeout(SOON):
            while not small.realm.lanes["one"].slices:
                await asyncio.sleep(0.01)
            for number in range(5):
                told = {"asked": f"quick {number}"}
                assert (await guest.ask(told["asked"], "one")).text == told["asked"]
                between = await small.realm.store.read(lambda db, on=told: db.scalar(_BETWEEN, on))
                # What was being written down as it was asked, and the slice that had the slot.
                assert between <= 2 * MAX_ROWS
        mapped.cancel()
        await asyncio.wait([mapped])
