"""A realm whose scheduler and workers are elsewhere: over TLS, started and ended by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.realm.certs import sign_member
from tests.hub.hub_process import PATIENCE_SECONDS, ROOT, Hub, serve_hub
from tests.ports import free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.fault,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]


class Machine:
    """A scheduler or a worker, as a unit of a service manager would run it."""

    def __init__(self, folder: Path, name: str, *words: str) -> None:
        self._folder, self._name, self._words = folder, name, words
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{self._name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mtor_kernel.cli", *self._words],
                cwd=self._folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        assert self._process is not None
        self._process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)


class Site:
    """A Hub with its realm, a scheduler, and a worker that dials in over TLS."""

    def __init__(self, folder: Path) -> None:
        scheduler_port, link_port = free_ports(2)
        ca = folder / "ca"
        for member in ("realm", "scheduler", "gpu1"):
            sign_member(ca, member, ("127.0.0.1", "localhost"))
        address = f"tls://127.0.0.1:{scheduler_port}"
        self.scheduler = Machine(
            folder / "machines",
            "scheduler",
            *("scheduler", "--certs", str(ca / "scheduler"), "--port", str(scheduler_port)),
        )
        self.worker = Machine(
            folder / "machines",
            "gpu1",
            *("worker", address, "--certs", str(ca / "gpu1"), "--name", "gpu1"),
            *("--host", "127.0.0.1"),
        )
        self.realm = (
            f"c.HubRealm.scheduler = {address!r}\n"
            f"c.HubRealm.certs = {str(ca / 'realm')!r}\n"
            f"c.HubRealm.link_bind = '127.0.0.1:{link_port}'\n"
            f"c.HubRealm.link_url = 'wss://127.0.0.1:{link_port}/services/mtor/link'\n"
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Site]]:
    folder = tmp_path_factory.mktemp("site")
    made = Site(folder)
    with contextlib.ExitStack() as stack:
        for machine in (made.scheduler, made.worker):
            stack.callback(machine.kill)
        # The realm first: it does without its cluster until there is one.
        hub = stack.enter_context(serve_hub(folder / "hub", realm=made.realm))
        hub.add("ann")
        made.scheduler.start()
        made.worker.start()
        yield hub, made


async def test_a_worker_of_another_machine_answers_over_tls(site: tuple[Hub, Site]) -> None:
    hub, _ = site
    async with RealmClient(hub.service, hub.token("ann")) as ann, asyncio.timeout(120):
        assert (await ann.ask("Hello")).text == "Hello"
        assert [worker.name for worker in await ann.workers()] == ["gpu1"]


async def test_the_realm_goes_on_when_scheduler_and_workers_are_back(
    site: tuple[Hub, Site],
) -> None:
    hub, machines = site
    async with RealmClient(hub.service, hub.token("ann")) as ann, asyncio.timeout(200):
        assert (await ann.ask("before")).text == "before"
        machines.scheduler.kill()
        waits = asyncio.create_task(ann.ask("meanwhile"))
        await asyncio.to_thread(machines.worker.wait)
        machines.scheduler.start()
        machines.worker.start()
        assert (await waits).text == "meanwhile"
        assert (await ann.ask("after")).text == "after"


async def test_members_are_signed_once_and_by_the_one_authority(tmp_path: Path) -> None:
    first = sign_member(tmp_path, "realm", ("realm.lan", "10.0.0.1"))
    second = sign_member(tmp_path, "gpu1", ("gpu1.lan",))
    assert first.authority.read_text() == second.authority.read_text()
    assert first.key.read_text() != second.key.read_text()
    assert first.key.stat().st_mode & 0o077 == 0
    assert (tmp_path / "authority-key.pem").stat().st_mode & 0o077 == 0
    with pytest.raises(BadInput, match="is there already"):
        sign_member(tmp_path, "gpu1", ("gpu1.lan",))
    (tmp_path / "authority-key.pem").unlink()
    with pytest.raises(BadInput, match="authority's key"):
        sign_member(tmp_path, "gpu2", ("gpu2.lan",))
