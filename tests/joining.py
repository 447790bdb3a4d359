"""A realm that has no cluster yet, and workers that take as long as a test likes to become its."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from distributed import Scheduler, Worker
from tornado.netutil import bind_sockets

from mtor_kernel.gateway.app import make_app, make_server
from mtor_kernel.gateway.identity import PersonalToken
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.query import Modality, Query
from mtor_kernel.realm.realm import Realm
from tests.plugins import ReadyBackend, register
from tests.realms import LINK_TOKEN, OWNER, TOKEN

FIRST = """
[[models]]
name = "sought"
modality = "chat"
backend = "sought"
slots = 1
rates = { free = true }
"""
LATE = """
[[models]]
name = "late"
modality = "chat"
backend = "echo"
slots = 1
rates = { free = true }
"""


class SoughtBackend(ReadyBackend):
    """Takes, where it is held, until it is let go to say whether a worker can serve it."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})
    #: Whether a worker asks just now, and whether it is told.
    asked: ClassVar[threading.Event] = threading.Event()
    told: ClassVar[threading.Event] = threading.Event()

    def __init__(self, spec: ModelSpec) -> None:
        pass

    def missing(self) -> str:
        self.asked.set()
        self.told.wait(60)
        return ""

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        raise AssertionError("nobody asks it")

    @classmethod
    def hold(cls) -> None:
        """Have the next worker that asks wait."""
        cls.told.clear()
        cls.asked.clear()


@dataclass
class Unjoined:
    """A realm that is open, and what it tells workers once it is given a scheduler."""

    realm: Realm
    equipment: dict[str, Any]
    folder: Path

    def write(self, catalogue: str) -> None:
        (self.folder / "catalogue.toml").write_text(catalogue)

    def workers(self) -> set[str]:
        """Return the names of those that are linked."""
        return {one.name for one in self.realm.workers.infos()}


@contextlib.asynccontextmanager
async def unjoined(folder: Path) -> AsyncIterator[Unjoined]:
    """Open a realm that has the model of :class:`SoughtBackend`, which is held, and serve it."""
    (folder / "catalogue.toml").write_text(FIRST)
    with pytest.MonkeyPatch.context() as path:
        register(folder / "plugins", path, sought=SoughtBackend)
        SoughtBackend.hold()
        realm = await Realm.open(folder / "data", catalogue_path=str(folder / "catalogue.toml"))
        server = make_server(make_app(realm, PersonalToken(TOKEN, OWNER, LINK_TOKEN)))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        link = f"ws://127.0.0.1:{sockets[0].getsockname()[1]}/link"
        try:
            yield Unjoined(realm, {"link_url": link, "link_token": LINK_TOKEN}, folder)
        finally:
            SoughtBackend.told.set()
            await realm.close()
            server.stop()


def scheduler() -> Scheduler:
    """Return a scheduler; as a context it runs."""
    return Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0")


def worker(of: Scheduler, folder: Path, name: str) -> Worker:
    """Return a worker; as a context it runs."""
    return Worker(
        of.address,
        name=name,
        nthreads=8,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        local_directory=str(folder / "dask"),
    )


async def until(holds: Callable[[], object]) -> None:
    """Wait until that is so."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)
