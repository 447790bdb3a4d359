"""A personal realm as it is deployed: a process, with its scheduler and workers as children.

Everything is started in a folder of the test and ended by process id.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from mtor_kernel.client import RealmClient
from mtor_kernel.locate import Runtime, RuntimeFile, is_well
from tests.realms import CATALOGUE

#: How long a process may take to come up or to go.
PATIENCE_SECONDS = 90.0


class RealmProcess:
    """A realm in `folder` that can be killed and started again."""

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 1,
        catalogue: str = CATALOGUE,
        idle_seconds: float = 0.0,
    ) -> None:
        self.data = folder / "data"
        self._runtime_dir = folder / "runtime"
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "catalogue.toml").write_text(catalogue)
        self._config = folder / "realm_config.py"
        self._config.write_text(
            f"c = get_config()\n"
            f"c.Realm.catalogue_path = {str(folder / 'catalogue.toml')!r}\n"
            f"c.PersonalRealm.workers = {workers}\n"
            f"c.PersonalRealm.idle_seconds = {idle_seconds}\n"
        )
        #: What leads other programs to this realm.
        self.environment = {
            "MTOR_DATA": str(self.data),
            "JUPYTER_RUNTIME_DIR": str(self._runtime_dir),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.runtime: Runtime

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "realm.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mtor_kernel.cli", "realm", "run", "--config", self._config],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = RuntimeFile(self._runtime_dir).read()
            if found is not None and found.pid == self._process.pid and is_well(found):
                self.runtime = found
                return
            assert self._process.poll() is None, self.log()
            time.sleep(0.05)
        raise TimeoutError(self.log())

    def client(self) -> RealmClient:
        """Return a client of the realm as it runs now."""
        return RealmClient(self.runtime.url, self.runtime.token)

    def log(self) -> str:
        """Return what the realm has said."""
        return (self._folder / "realm.log").read_text()

    def child(self, kind: str, number: int = 0) -> psutil.Process:
        """Return its scheduler, or one of its workers."""
        assert self._process is not None
        found = [
            process
            for process in psutil.Process(self._process.pid).children()
            if kind in process.cmdline()
        ]
        return sorted(found, key=lambda process: process.create_time())[number]

    def kill(self) -> None:
        """Kill the realm itself, as the kernel would for memory; wait for its children."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)
        _, alive = psutil.wait_procs(children, PATIENCE_SECONDS)
        assert not alive, "children outlived a killed realm"

    def kill_worker(self) -> None:
        """Kill its first worker; return when it is gone and can say no more."""
        worker = self.child("worker")
        worker.kill()
        worker.wait(PATIENCE_SECONDS)

    def wait(self) -> int:
        """Wait until it has ended by itself; return its status."""
        assert self._process is not None
        return self._process.wait(PATIENCE_SECONDS)

    def stop(self) -> None:
        """End it in good order, by force if need be."""
        if self._process is None or self._process.poll() is not None:
            return
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        for child in psutil.wait_procs(children, 5)[1]:
            child.kill()


@contextlib.contextmanager
def realm_process(
    folder: Path, *, workers: int = 1, catalogue: str = CATALOGUE, idle_seconds: float = 0.0
) -> Iterator[RealmProcess]:
    """Start a realm in `folder`, and end it whatever happened to it."""
    realm = RealmProcess(folder, workers=workers, catalogue=catalogue, idle_seconds=idle_seconds)
    try:
        realm.start()
        yield realm
    finally:
        realm.stop()
