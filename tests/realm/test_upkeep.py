"""What a realm does by itself every moment: tells who watches, ends the hopeless, follows acts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from mtor_kernel.client.question import question
from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.link import Health, Served, WorkerHello
from mtor_kernel.protocol.ngram import RealmState
from mtor_kernel.realm.realm import Realm
from mtor_kernel.storage import audit, settings
from mtor_kernel.storage.settings import Admission
from mtor_kernel.storage.store import Store
from tests.realms import CATALOGUE, OWNER

pytestmark = pytest.mark.asyncio

T = TypeVar("T")


@pytest_asyncio.fixture
async def realm(tmp_path: Path) -> AsyncIterator[Realm]:
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(CATALOGUE)
    realm = await Realm.open(tmp_path / "data", catalogue_path=str(catalogue))
    yield realm
    await realm.close()


async def test_whoever_begins_to_watch_is_told_how_things_stand(realm: Realm) -> None:
    before = None
    for _ in range(2):
        follower = realm.follow(OWNER)
        follower.watch(True)
        async with asyncio.timeout(60):
            (state,) = await follower.next()
        assert isinstance(state, RealmState)
        # Nothing has changed since the last one was told.
        assert before in (None, state)
        before = state
        follower.close()


async def test_what_waits_is_not_failed_for_a_reason_that_has_passed(realm: Realm) -> None:
    hello = WorkerHello("w", served=(Served("echo", 8),), threads=8)
    link = realm.workers.join(hello, lambda ngram: None)
    asked = [
        (await realm.submit(OWNER, question(f"{number}", "echo"), f"key-{number}")).query
        for number in range(200)
    ]
    link.heard(Health((Served("echo", 0, trouble="Ollama does not answer."),)))
    failed: list[str] = []
    async with asyncio.timeout(60):
        while not failed:
            failed = [one for one in asked if one not in realm.lanes.places]
            await asyncio.sleep(0)
    link.heard(Health((Served("echo", 8),)))
    # Each end takes a read and a write: they would come meanwhile.
    for _ in range(100):
        await realm.store.write(lambda db: None)
    stages = [(await realm.info(OWNER, query)).stage for query in asked]
    # The one that was being failed as the model came back may still end.
    assert stages.count(Stage.FAILED) <= len(failed) + 1
    assert stages.count(Stage.QUEUED) >= len(asked) - len(failed) - 1


class Flaky:
    """A store of which whether the realm is paused cannot be read the first time."""

    def __init__(self, store: Store) -> None:
        self._store, self._failed = store, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, work: Callable[..., T]) -> T:
        if work is settings.admission and not self._failed:
            self._failed = True
            raise Unavailable("The database is away.")
        return await self._store.read(work)


async def test_an_act_holds_though_the_store_could_not_be_read_at_first(realm: Realm) -> None:
    def pause(db: Any) -> None:
        settings.set_admission(db, Admission(True, "disk"))
        audit.record(db, "root", "pause", "", "disk", {}, time.time())

    store = realm.store
    realm.store = Flaky(store)  # type: ignore[assignment]  # all that acts use of one
    await store.write(pause)  # as another gateway would
    async with asyncio.timeout(60):
        while realm.admission_open:
            await asyncio.sleep(0.01)


async def test_ones_own_act_holds_though_what_comes_of_it_could_not_be_read(realm: Realm) -> None:
    store = realm.store
    realm.store = Flaky(store)  # type: ignore[assignment]  # all that acts use of one
    with pytest.raises(Unavailable):
        await realm.sysop.pause(OWNER, True, "disk")
    async with asyncio.timeout(60):
        while realm.admission_open:
            await asyncio.sleep(0.01)
    assert [entry.action for entry in await realm.sysop.audit(OWNER)] == ["pause"]
