"""Several queries in one write: what holds of each alone holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from traitlets.config import Config

from mtor_kernel.protocol.errors import (
    AdmissionPaused,
    BadInput,
    Banned,
    InsufficientFunds,
    KeyConflict,
    QuotaExceeded,
    UnknownModel,
)
from mtor_kernel.protocol.identity import User
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.realm.intake import Submitted
from tests.realms import OWNER, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio

ANN = User("ann")


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallRealm]:
    """A realm that Ann has come to, without funds; its books add up in the end."""
    config = Config({"People": {"grant_credits": {"user": 0.0}}})
    async with small_realm(tmp_path, config=config) as small:
        await small.realm.arrive(OWNER)
        await small.realm.arrive(ANN)
        yield small
        await until_idle(small)
        assert await small.realm.sysop.check_books() == []


async def until_idle(small: SmallRealm) -> None:
    async with asyncio.timeout(60):
        while small.realm.lanes.busy:
            await asyncio.sleep(0.01)


def echoes(count: int, model: str = "echo") -> list[tuple[Query, str]]:
    return [(Query.ask(f"row {n}", model, max_tokens=10), f"k{n}") for n in range(count)]


async def test_each_is_written_down_with_its_own_hold_and_key_in_one_commit(
    small: SmallRealm,
) -> None:
    realm = small.realm
    await realm.sysop.drain(OWNER, "worker-0", True)
    before = realm.store.statistics.works
    taken = await realm.submit_all(OWNER, echoes(40))
    assert realm.store.statistics.works == before + 1
    assert all(isinstance(one, Submitted) and not one.repeated for one in taken)
    again = await realm.submit_all(OWNER, echoes(40))
    assert [one.query for one in again if isinstance(one, Submitted)] == [
        one.query for one in taken if isinstance(one, Submitted)
    ]
    assert all(isinstance(one, Submitted) and one.repeated for one in again)
    assert realm.lanes.under_way == 40
    await realm.sysop.drain(OWNER, "worker-0", False)


async def test_the_same_key_twice_in_one_is_one_query(small: SmallRealm) -> None:
    query = Query.ask("hello", "echo")
    first, second, third = await small.realm.submit_all(
        OWNER, [(query, "k"), (query, "k"), (Query.ask("else", "echo"), "k")]
    )
    assert isinstance(first, Submitted)
    assert isinstance(second, Submitted)
    assert (first.query, first.repeated, second.repeated) == (second.query, False, True)
    assert isinstance(third, KeyConflict)


async def test_what_refuses_one_refuses_no_other(small: SmallRealm) -> None:
    asked = echoes(3)
    asked[1] = (Query.ask("hello", "nothing"), "unknown")
    told = await small.realm.submit_all(OWNER, asked)
    assert [type(one) for one in told] == [Submitted, UnknownModel, Submitted]


async def test_funds_reach_as_far_as_they_do(small: SmallRealm) -> None:
    realm = small.realm
    hold = (await realm.quote(ANN, echoes(1)[0][0])).hold_micro
    await realm.sysop.drain(OWNER, "worker-0", True)
    await realm.sysop.grant(OWNER, "ann", 3 * hold)
    told = await realm.submit_all(ANN, echoes(5))
    assert [type(one) for one in told] == [Submitted] * 3 + [InsufficientFunds] * 2
    assert (await realm.me(ANN)).held_micro == 3 * hold
    await realm.sysop.drain(OWNER, "worker-0", False)


async def test_quotas_count_those_that_came_before_in_the_same_write(small: SmallRealm) -> None:
    realm = small.realm
    await realm.sysop.drain(OWNER, "worker-0", True)
    await realm.sysop.quota(OWNER, "ann", Quotas(waiting=2))
    await realm.sysop.grant(OWNER, "ann", 1_000_000)
    told = await realm.submit_all(ANN, echoes(4))
    assert [type(one) for one in told] == [Submitted] * 2 + [QuotaExceeded] * 2
    assert realm.lanes.under_way == 2
    await realm.sysop.drain(OWNER, "worker-0", False)


async def test_who_is_banned_is_refused_as_a_whole(small: SmallRealm) -> None:
    await small.realm.sysop.ban(OWNER, "ann")
    with pytest.raises(Banned):
        await small.realm.submit_all(ANN, echoes(2))


async def test_refused_ones_leave_their_slots_to_others(small: SmallRealm) -> None:
    realm = small.realm
    await realm.sysop.pause(OWNER, True)
    told = await realm.submit_all(OWNER, echoes(12))
    assert {type(one) for one in told} == {AdmissionPaused}
    assert not realm.lanes["echo"].slices
    assert realm.lanes.under_way == 0
    await realm.sysop.pause(OWNER, False)
    assert isinstance((await realm.submit_all(OWNER, echoes(12)))[-1], Submitted)


async def test_each_holds_what_it_would_hold_alone_whatever_its_neighbours_are(
    small: SmallRealm,
) -> None:
    realm = small.realm
    queries = [
        Query.ask("row 1", "echo", max_tokens=10),
        Query.ask("row 2", "echo", max_tokens=10),
        Query.ask("a longer row", "echo", max_tokens=10),
        Query.ask("röw 2", "echo", max_tokens=10),
        Query.ask("row 3", "echo", max_tokens=99),
        Query.ask("row 4", "echo", system="Be brief.", max_tokens=10),
        Query.ask("row\0 5", "echo", max_tokens=10),
        Query.ask("row 6", "echo", max_tokens=1_000_000),
    ]
    taken = await realm.submit_all(OWNER, [(query, f"k{n}") for n, query in enumerate(queries)])
    for query, told in zip(queries[:-2], taken, strict=False):
        assert isinstance(told, Submitted)
        assert told.hold_micro == (await realm.quote(OWNER, query)).hold_micro
    assert all(isinstance(told, BadInput) for told in taken[-2:])
