"""Two gateways on one database: each carries its lanes, and each serves everybody."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from distributed import Scheduler, Worker
from msgspec import structs

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import QueryCancelled, RowsKnown, Unavailable
from mtor_kernel.protocol.query import Priority, Query, TableRow, answered
from mtor_kernel.realm.realm import Realm
from mtor_kernel.realm.tasks import make_plugin
from mtor_kernel.scheduling.owners import owner
from mtor_kernel.storage import ledger, processes, queries
from mtor_kernel.storage.schema import query as query_table
from tests.gateways import gateway
from tests.postgres import Server
from tests.realms import OWNER, TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
#: Enough lanes that each of two gateways has some, whatever the hash.
LANES = [f"slow-{n}" for n in range(12)]
ENDLESS = [f"endless-{n}" for n in range(12)]
QUICK = [f"quick-{n}" for n in range(12)]
MODEL = """
[[models]]
name = "{name}"
modality = "chat"
backend = "echo"
slots = 2
max_output_tokens = 100000
rates = {{ output_token_micro = 5 }}
settings = {{ chunks = {chunks}, rate = 20.0 }}
"""
QUICK_MODEL = """
[[models]]
name = "{name}"
modality = "chat"
backend = "echo"
slots = 2
rates = {{ query_micro = 10 }}
"""
WORDS = "one two three four five six seven eight nine ten"


@dataclass
class Cluster:
    """A scheduler with a worker, a database, and the folder that the gateways share."""

    folder: Path
    database: str
    scheduler: Scheduler
    worker: Worker


@asynccontextmanager
async def cluster(folder: Path, server: Server) -> AsyncIterator[Cluster]:
    (folder / "catalogue.toml").write_text(
        "".join(MODEL.format(name=name, chunks=20) for name in LANES)
        + "".join(MODEL.format(name=name, chunks=100_000) for name in ENDLESS)
        + "".join(QUICK_MODEL.format(name=name) for name in QUICK)
    )
    async with AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(
            Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0")
        )
        worker = await stack.enter_async_context(
            Worker(
                scheduler.address,
                nthreads=64,
                dashboard=False,
                dashboard_address="127.0.0.1:0",
                local_directory=str(folder / "dask"),
            )
        )
        url = server.schema()
        yield Cluster(folder, url, scheduler, worker)
    server.drop(url)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


async def both(one: Realm, two: Realm) -> None:
    """Wait until each knows of the other, and the worker of both."""
    await until(lambda: all(len(r.sharing.living) == 2 and r.workers.infos() for r in (one, two)))


def lane_of(realm: Realm, lanes: list[str] = LANES) -> str:
    """A lane that this gateway owns."""
    return next(name for name in lanes if realm.lanes.owns(name))


async def books_add_up(realm: Realm) -> None:
    assert await realm.store.read(ledger.check) == []


@pytest.mark.asyncio
async def test_a_query_is_carried_by_the_owner_of_its_lane_wherever_it_is_asked(
    tmp_path: Path, postgresql: Server
) -> None:
    async with (
        cluster(tmp_path, postgresql) as on,
        gateway(tmp_path, on.database, on.scheduler.address) as (one, one_url),
        gateway(tmp_path, on.database, on.scheduler.address) as (two, two_url),
        RealmClient(one_url, TOKEN) as at_one,
        RealmClient(two_url, TOKEN) as at_two,
    ):
        await both(one, two)
        assert {one.lanes.owns(name) ^ two.lanes.owns(name) for name in LANES} == {True}
        asked = [
            client.ask(WORDS, model=lane_of(realm))
            for client in (at_one, at_two)
            for realm in (one, two)
        ]
        assert [reply.text for reply in await asyncio.gather(*asked)] == [f"{WORDS} " * 2] * 4
        rows = await two.store.read(lambda db: db.execute(sa.select(query_table)).all())
        for row in rows:
            assert (row.stage, row.attempt) == ("settled", 1)
            assert row.epoch == owner(row.model, (one.epoch, two.epoch))
        await books_add_up(one)


@pytest.mark.asyncio
async def test_rows_are_answered_wherever_they_are_asked_and_known_everywhere(
    tmp_path: Path, postgresql: Server
) -> None:
    async with (
        cluster(tmp_path, postgresql) as on,
        gateway(tmp_path, on.database, on.scheduler.address) as (one, one_url),
        gateway(tmp_path, on.database, on.scheduler.address) as (two, two_url),
        RealmClient(one_url, TOKEN) as at_one,
        RealmClient(two_url, TOKEN) as at_two,
    ):
        await both(one, two)
        for realm in (one, two):
            model, left, asked = lane_of(realm, QUICK), list(range(30)), []
            for client in itertools.cycle((at_one, at_two)):
                running = await client.submit(table(model, left))
                parts = (await running.answer()).parts
                done = [left[row] for row in sorted(answered(parts))]
                asked += [(row, running.id, left.index(row)) for row in done]
                left = left[len(done) :]
                if not left:
                    break
            for client in (at_one, at_two):
                with pytest.raises(RowsKnown) as known:
                    await client.submit(table(model, list(range(30))))
                where = {str(row): f"{of}:{place}" for row, of, place in asked}
                assert known.value.details == where
        me = await at_one.me()
        assert (me.balance_micro, me.held_micro) == (-2 * 30 * 10, 0)
        await books_add_up(one)


def table(model: str, rows: list[int]) -> Query:
    """A query of rows, whose keys are their numbers."""
    asked = Query.ask(f"row {rows[0]}", model)
    keyed = tuple(TableRow(f"row {row}", f"{model}:{row}") for row in rows)
    return structs.replace(asked, rows=keyed, priority=Priority.BATCH)


@pytest.mark.asyncio
async def test_a_query_of_the_others_lane_can_be_cancelled(
    tmp_path: Path, postgresql: Server
) -> None:
    async with (
        cluster(tmp_path, postgresql) as on,
        gateway(tmp_path, on.database, on.scheduler.address) as (one, one_url),
        gateway(tmp_path, on.database, on.scheduler.address) as (two, _),
        RealmClient(one_url, TOKEN) as client,
    ):
        await both(one, two)
        running = await client.submit(Query.ask(WORDS, lane_of(two, ENDLESS)))
        await until(lambda: two.lanes.places.get(running.id))
        await running.cancel()
        with pytest.raises(QueryCancelled):
            await running.answer()
        await until(lambda: not two.lanes.busy)
        await books_add_up(one)


@pytest.mark.fault
@pytest.mark.asyncio
async def test_the_lanes_of_a_killed_gateway_move_and_nothing_is_lost(
    tmp_path: Path, postgresql: Server
) -> None:
    async with (
        cluster(tmp_path, postgresql) as on,
        gateway(tmp_path, on.database, on.scheduler.address) as (one, url),
        RealmClient(url, TOKEN) as client,
    ):
        words = ("-m", "tests.gateways", str(tmp_path), on.database, on.scheduler.address)
        other = await asyncio.create_subprocess_exec(
            sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert other.stdout is not None
        _, epoch = (await other.stdout.readline()).split()
        theirs = int(epoch)
        await until(lambda: theirs in one.sharing.living and one.workers.infos())
        lanes = [name for name in LANES if not one.lanes.owns(name)]
        running = [await client.submit(Query.ask(f"{WORDS} {n}", lanes[0])) for n in range(6)]
        waits = {one.id for one in running}
        async with asyncio.timeout(60):
            while not await one.store.read(
                lambda db: db.scalar(
                    sa.select(query_table.c.id).where(query_table.c.epoch == theirs)
                )
            ):
                await asyncio.sleep(0.05)
        other.send_signal(signal.SIGKILL)
        await other.wait()
        async with asyncio.timeout(60):
            await until(lambda: theirs not in one.sharing.living)
            assert all(one.lanes.owns(name) for name in LANES)
        answers = await asyncio.gather(*(each.answer() for each in running))
        for number, reply in enumerate(answers):
            # The model says a prompt again until it has said twenty words.
            assert reply.text.split() == (f"{WORDS} {number} " * 2).split()[:20]
        rows = await one.store.read(lambda db: db.execute(sa.select(query_table)).all())
        assert {row.id for row in rows} == waits
        assert {row.stage for row in rows} == {"settled"}
        await books_add_up(one)


@pytest.mark.asyncio
async def test_what_another_gateway_took_meanwhile_is_told_to_who_asked_here(
    tmp_path: Path, postgresql: Server
) -> None:
    async with (
        cluster(tmp_path, postgresql) as on,
        gateway(tmp_path, on.database, on.scheduler.address) as (one, url),
        RealmClient(url, TOKEN) as client,
    ):
        await until(one.workers.infos)
        # It does not learn of the other before its next look, and has no slot free until then.
        assert one.sharing._looking is not None
        one.sharing._looking.cancel()
        one.lanes.block("owner", True)
        asked = [await client.submit(Query.ask("Hello", name)) for name in QUICK]
        async with gateway(tmp_path, on.database, on.scheduler.address) as (two, _):
            theirs = {name for name in QUICK if two.lanes.owns(name)}
            async with asyncio.timeout(60):
                while theirs & {row.model for row in await one.store.read(queries.under_way)}:
                    await asyncio.sleep(0.02)
            one.lanes.block("owner", False)
            one._dispatcher.capacity_changed()
            await until(lambda: not any(len(lane.queue) for lane in one.lanes))
            one.sharing._looking = asyncio.create_task(one.sharing._run())
            async with asyncio.timeout(60):
                assert [(await running.answer()).text for running in asked] == ["Hello"] * 12
            await until(lambda: not one.lanes.places)


@pytest.mark.asyncio
async def test_a_worker_that_is_frozen_keeps_no_gateway_from_its_beats(
    tmp_path: Path, postgresql: Server
) -> None:
    async with cluster(tmp_path, postgresql) as on:
        how = (tmp_path, on.database, on.scheduler.address)
        frozen = asyncio.Event()
        taking = on.worker.handlers["plugin-remove"]
        async with gateway(*how) as (one, _), gateway(*how) as (two, _):
            await both(one, two)

            async def freeze(**told: object) -> None:
                frozen.set()
                await asyncio.Event().wait()

            on.worker.handlers["plugin-remove"] = freeze
            # A third one, of which the workers know, and which says nothing any more.
            dead = await one.store.write(lambda db: processes.begin(db, "third", alone=False))
            tasks = one._dispatcher.tasks
            assert tasks is not None
            assert tasks._client is not None
            plugin = make_plugin("ws://127.0.0.1:9/link", "x", one.lanes.specs, gateway=str(dead))
            await tasks._client.register_plugin(plugin)
            await until(lambda: dead in one.sharing.living and dead in two.sharing.living)
            await until(lambda: dead not in one.sharing.living + two.sharing.living)
            async with asyncio.timeout(60):
                await frozen.wait()
            for realm in (one, two):
                said = realm.sharing._beat_at
                await until(lambda r=realm, at=said: r.sharing._beat_at > at)  # type: ignore[misc]
            on.worker.handlers["plugin-remove"] = taking


@pytest.mark.asyncio
async def test_a_worker_that_drains_does_so_for_every_gateway_and_over_their_restarts(
    tmp_path: Path, postgresql: Server
) -> None:
    async with cluster(tmp_path, postgresql) as on:
        how = (tmp_path, on.database, on.scheduler.address)

        def state(realm: Realm) -> list[tuple[str, bool]]:
            """How the one worker stands, and whether it offers anything."""
            return [(one.state, one.served[0].slots > 0) for one in realm.workers.infos()]

        async with gateway(*how) as (one, _), gateway(*how) as (two, _):
            await both(one, two)
            name = one.workers.infos()[0].name
            await one.sysop.drain(OWNER, name, True, "a new driver")
            await until(lambda: state(one) == state(two) == [("draining", False)])
            await two.sysop.drain(OWNER, name, False)
            await until(lambda: state(one) == state(two) == [("well", True)])
            await two.sysop.drain(OWNER, name, True)
            await until(lambda: state(one) == state(two) == [("draining", False)])
        async with gateway(*how) as (three, _):
            await until(lambda: state(three) == [("draining", False)])
        # Taken back while it is linked to nobody: it hears of that when it comes.
        catalogue = str(tmp_path / "catalogue.toml")
        away = await Realm.open(
            tmp_path / "data", catalogue_path=catalogue, database_url=on.database, shared=True
        )
        await away.sysop.drain(OWNER, name, False)
        await away.close()
        async with gateway(*how) as (four, url), RealmClient(url, TOKEN) as client:
            await until(lambda: state(four) == [("well", True)])
            assert (await client.ask("hello", model=LANES[0])).text


@pytest.mark.asyncio
async def test_a_gateway_with_a_folder_of_blobs_of_its_own_is_refused(
    tmp_path: Path, postgresql: Server
) -> None:
    async with cluster(tmp_path, postgresql) as on:
        catalogue = str(tmp_path / "catalogue.toml")
        how = {"catalogue_path": catalogue, "database_url": on.database, "shared": True}
        other = tmp_path / "other"
        async with gateway(tmp_path, on.database, on.scheduler.address) as (one, _):
            with pytest.raises(Unavailable, match="other/blobs is not the folder"):
                await Realm.open(other, **how)
            # The collector, which removes what nobody names, leaves the mark.
            assert await one.blobs.collect(time.time() + 10**9) == 0
            linked = tmp_path / "linked"
            linked.mkdir()
            (linked / "blobs").symlink_to(tmp_path / "data" / "blobs")
            await (await Realm.open(linked, **how)).close()
        # Brought back from a copy, or moved: who is alone has the folder.
        await (await Realm.open(other, **how)).close()


@pytest.mark.asyncio
async def test_a_realm_that_shares_nothing_is_kept_out_and_keeps_others_out(
    tmp_path: Path, postgresql: Server
) -> None:
    async with cluster(tmp_path, postgresql) as on:
        how = {"catalogue_path": str(tmp_path / "catalogue.toml"), "database_url": on.database}
        async with gateway(tmp_path, on.database, on.scheduler.address):
            with pytest.raises(Unavailable, match="in use by another realm"):
                await Realm.open(tmp_path / "alone", **how)
        alone = await Realm.open(tmp_path / "alone", **how)
        with pytest.raises(Unavailable, match="in use by another realm"):
            await Realm.open(tmp_path / "shared", shared=True, **how)
        await alone.close()
    with pytest.raises(Unavailable, match="PostgreSQL only"):
        await Realm.open(tmp_path / "file", shared=True)
