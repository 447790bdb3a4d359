"""A realm double for every test here, and what it runs on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from mtor_kernel.client import RealmClient
from tests.client.realm_double import RealmDouble


@pytest_asyncio.fixture
async def realm() -> AsyncIterator[RealmDouble]:
    """A realm in the test's own loop."""
    double = await RealmDouble().start()
    yield double
    await double.stop()


@pytest_asyncio.fixture
async def client(realm: RealmDouble) -> AsyncIterator[RealmClient]:
    async with RealmClient(realm.url, realm.token, give_up_seconds=20) as client:
        yield client


class Elsewhere:
    """A realm double that runs in a thread, for tests that block theirs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.realm = self.run(self._start())

    async def _start(self) -> RealmDouble:
        return await RealmDouble().start()

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.run(self.realm.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    double = Elsewhere()
    yield double
    double.close()
