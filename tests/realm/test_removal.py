"""A worker that the sysop sets aside: drained it stays, removed it goes, until it may resume."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mtor_kernel.client.running import Running
from mtor_kernel.protocol.errors import Forbidden, NoModel, NotFound
from mtor_kernel.protocol.identity import User
from mtor_kernel.protocol.ngram import Chunk
from mtor_kernel.protocol.query import Query
from tests import plugins
from tests.plugins import HELD, HeldBackend
from tests.realms import CATALOGUE, OWNER, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio


@pytest.fixture
def held(tmp_path: Path) -> Iterator[None]:
    """A model whose answers go on when a test lets them."""
    with plugins.held(tmp_path / "plugins"):
        yield


def states(small: SmallRealm) -> dict[str, str]:
    return {worker.name: worker.state for worker in small.realm.workers.infos()}


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


async def begun(running: Running) -> None:
    async for event in running.events():
        if isinstance(event, Chunk):
            return


@pytest.mark.usefixtures("held")
async def test_it_finishes_what_it_runs_and_then_it_is_gone(tmp_path: Path) -> None:
    async with (
        small_realm(tmp_path, catalogue=CATALOGUE + HELD, workers=2) as small,
        small.client() as client,
    ):
        # As many as there are slots on both of them.
        running = [await client.submit(Query.ask("one two three", "held")) for _ in range(4)]
        await asyncio.gather(*map(begun, running))
        await small.realm.sysop.remove(OWNER, "worker-0", "a new driver")
        assert states(small) == {"worker-0": "draining", "worker-1": "well"}
        HeldBackend.let()
        replies = [await one.answer() for one in running]
        assert [reply.attempts for reply in replies] == [1] * 4
        await until(lambda: states(small) == {"worker-0": "removed", "worker-1": "well"})
        # Also what Dask might give to a member of its cluster goes to the other one.
        for _ in range(6):
            assert (await client.ask("hello", model="echo")).text == "hello"


async def test_it_is_kept_out_until_it_may_resume(tmp_path: Path) -> None:
    async with small_realm(tmp_path, workers=2) as small, small.client() as client:
        await small.realm.sysop.remove(OWNER, "worker-0")
        await until(lambda: states(small)["worker-0"] == "removed")
        await small.workers[0].close()
        async with small.worker("worker-0"):
            for _ in range(4):
                assert (await client.ask("hello", model="echo")).text == "hello"
            assert states(small)["worker-0"] == "removed"
            await small.realm.sysop.drain(OWNER, "worker-0", False, "it is back")
            await until(lambda: states(small).get("worker-0") == "well")
        acts = [(e.action, e.subject, e.reason) for e in await small.realm.sysop.audit(OWNER)]
        assert acts == [("resume", "worker-0", "it is back"), ("remove", "worker-0", "")]


async def test_who_was_away_when_it_might_resume_works_again(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small, small.client() as client:
        await small.realm.sysop.remove(OWNER, "worker-0")
        await until(lambda: states(small) == {"worker-0": "removed"})
        await small.realm.sysop.drain(OWNER, "worker-0", False)
        await until(lambda: states(small) == {"worker-0": "well"})
        assert (await client.ask("hello", model="echo")).text == "hello"


async def test_it_is_kept_out_by_a_realm_that_starts_anew(tmp_path: Path) -> None:
    async with small_realm(tmp_path, workers=2) as small:
        await small.realm.sysop.remove(OWNER, "worker-1")
        await until(lambda: states(small)["worker-1"] == "removed")
    async with small_realm(tmp_path, workers=2) as small, small.client() as client:
        assert (await client.ask("hello", model="echo")).text == "hello"
        assert states(small) == {"worker-0": "well", "worker-1": "removed"}


async def test_without_the_last_one_a_question_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small, small.client() as client:
        await small.realm.sysop.remove(OWNER, "worker-0")
        await until(lambda: states(small) == {"worker-0": "removed"})
        with pytest.raises(NoModel, match="No worker serves it"):
            await client.ask("hello", model="echo")


async def test_only_a_sysop_removes_and_only_who_is_known(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small:
        with pytest.raises(Forbidden, match="sysop"):
            await small.realm.sysop.remove(User("ann"), "worker-0")
        with pytest.raises(NotFound, match="nobody"):
            await small.realm.sysop.remove(OWNER, "nobody")
        with pytest.raises(NotFound, match="nobody"):
            await small.realm.sysop.drain(OWNER, "nobody", False)
        assert states(small) == {"worker-0": "well"}


async def test_one_that_drains_does_so_for_a_realm_that_starts_anew(tmp_path: Path) -> None:
    async with small_realm(tmp_path, workers=2) as small:
        await small.realm.sysop.drain(OWNER, "worker-1", True, "a new driver")
    async with small_realm(tmp_path, workers=2) as small, small.client() as client:
        assert states(small) == {"worker-0": "well", "worker-1": "draining"}
        running = [await client.submit(Query.ask("one two three", "slow")) for _ in range(4)]
        for one in running:
            await one.answer()
            assert states(small)["worker-1"] == "draining"
        await small.realm.sysop.drain(OWNER, "worker-1", False)
        await until(lambda: states(small) == {"worker-0": "well", "worker-1": "well"})
    async with small_realm(tmp_path, workers=2) as small:
        assert states(small) == {"worker-0": "well", "worker-1": "well"}


async def test_to_resume_lifts_both_and_each_holds_beside_the_other(tmp_path: Path) -> None:
    async with small_realm(tmp_path, workers=2) as small:
        sysop = small.realm.sysop
        await sysop.drain(OWNER, "worker-0", True)
        await sysop.remove(OWNER, "worker-0")
        await sysop.drain(OWNER, "worker-0", True)
        await until(lambda: states(small)["worker-0"] == "removed")
        await sysop.drain(OWNER, "worker-0", False)
        await until(lambda: states(small) == {"worker-0": "well", "worker-1": "well"})
