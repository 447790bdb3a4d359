"""Rows that go together where the realm has little room, or they little credit."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from traitlets.config import Config

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import InsufficientFunds, QuotaExceeded
from mtor_kernel.protocol.identity import User
from tests.client.mapping.conftest import MOODY
from tests.client.mapping.moods import MoodBackend
from tests.plugins import register
from tests.realms import CATALOGUE, SmallRealm, small_realm

#: What a row of ``moody`` costs.
PRICE = 105


@pytest.fixture
def word() -> str:
    """A word that no other test's rows have."""
    return uuid.uuid4().hex[:8]


@pytest.fixture
def plugins(tmp_path: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as path:
        register(tmp_path / "plugins", path, moods=MoodBackend)
        yield


def of_ann(quotas: dict[str, int], credits: float = 1000.0) -> Config:
    config = Config()
    config.People.quotas_of = {"user": quotas}
    config.People.grant_credits = {"user": credits}
    return config


def realm_of_ann(folder: Path, config: Config) -> AbstractAsyncContextManager[SmallRealm]:
    people = [("token-of-ann", User("ann"))]
    return small_realm(folder, catalogue=CATALOGUE + MOODY, people=people, config=config)


@pytest.mark.asyncio
@pytest.mark.parametrize("quotas", [{"waiting": 1}, {"running": 1}, {"waiting": 1, "running": 1}])
async def test_small_quotas_slow_a_map_and_nothing_else(
    tmp_path: Path, plugins: None, word: str, quotas: dict[str, int]
) -> None:
    texts = [f"{word} {at}" for at in range(300)]
    async with (
        realm_of_ann(tmp_path, of_ann(quotas)) as small,
        RealmClient(small.url, "token-of-ann") as ann,
    ):
        assert await ann.map("{x}", texts, "moody", progress=False) == texts
        assert (await ann.me()).held_micro == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("quotas", "rows"), [({"credits_per_day_micro": 20_000}, 300), ({"tokens_per_day": 400}, 300)]
)
async def test_a_quota_of_the_day_ends_a_map_with_what_it_allowed(
    tmp_path: Path, plugins: None, word: str, quotas: dict[str, int], rows: int
) -> None:
    texts = [f"{word} {at}" for at in range(rows)]
    async with (
        realm_of_ann(tmp_path, of_ann(quotas)) as small,
        RealmClient(small.url, "token-of-ann") as ann,
    ):
        with pytest.raises(QuotaExceeded):
            await ann.map("{x}", texts, "moody", progress=False)
        report = ann.last_map
        assert report is not None
        assert 0 < report.done < rows
        me = await ann.me()
        assert me.held_micro == 0
        assert report.charged_micro == report.done * PRICE


@pytest.mark.asyncio
async def test_funds_that_end_in_the_middle_end_a_map_and_leave_no_holds(
    tmp_path: Path, plugins: None, word: str
) -> None:
    texts = [f"{word} {at}" for at in range(500)]
    async with (
        realm_of_ann(tmp_path, of_ann({}, 0.03)) as small,
        RealmClient(small.url, "token-of-ann") as ann,
    ):
        with pytest.raises(InsufficientFunds):
            await ann.map("{x}", texts, "moody", progress=False)
        report = ann.last_map
        assert report is not None
        me = await ann.me()
        assert me.held_micro == 0
        assert report.charged_micro == report.done * PRICE == 30_000 - me.balance_micro
        # All was spent that a row's hold may take.
        assert me.balance_micro < 2_000


@pytest.mark.asyncio
async def test_a_minute_that_allows_less_than_a_bundle_is_waited_for(
    tmp_path: Path, plugins: None, word: str
) -> None:
    texts = [f"{word} {at}" for at in range(100)]
    async with (
        realm_of_ann(tmp_path, of_ann({"queries_per_minute": 40})) as small,
        RealmClient(small.url, "token-of-ann") as ann,
    ):
        work = asyncio.create_task(ann.map("{x}", texts, "moody", progress=False))
        async with asyncio.timeout(60):
            while ann.last_map is None or not (ann.last_map.done and ann.last_map.waits):
                await asyncio.sleep(0.02)
        report = ann.last_map
        assert report.done <= 40
        assert "40 queries" in report.waits
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert (await ann.me()).held_micro == 0
