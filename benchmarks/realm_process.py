"""A personal realm as it is deployed: its own process, a scheduler and workers as its children."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.harness import Bench, Cpu, child, until
from mtor_kernel.client import RealmClient
from mtor_kernel.locate import Runtime, RuntimeFile, data_dir, is_well

#: Metadata by which workers find the backend of ``stamped.py``, as they find any other package's.
_ENTRY_POINTS = "[mtor.backends]\nstamped = benchmarks.stamped:StampedBackend\n"


@dataclass(frozen=True, slots=True)
class RealmProcess:
    """A running realm, and its processes."""

    url: str
    token: str
    gateway: psutil.Process
    scheduler: psutil.Process
    workers: tuple[psutil.Process, ...]

    def client(self) -> RealmClient:
        """Return a new client with a connection of its own; close it, or use it as a context."""
        return RealmClient(self.url, self.token)

    @property
    def parts(self) -> dict[str, psutil.Process]:
        """Its processes, and the load (this process); of the workers the first."""
        return {
            "client": psutil.Process(),
            "gateway": self.gateway,
            "worker": self.workers[0],
            "scheduler": self.scheduler,
        }

    def cpu(self) -> Cpu:
        """Return what counts the processor time of each part, and of the load (this process)."""
        return Cpu(
            {
                "gateway": [self.gateway],
                "scheduler": [self.scheduler],
                "worker": self.workers,
                "client": [psutil.Process()],
            }
        )


@contextlib.asynccontextmanager
async def realm_process(
    bench: Bench, name: str, catalogue: str, *, workers: int = 1
) -> AsyncIterator[RealmProcess]:
    """Run a realm with that catalogue (TOML) until all its workers serve."""
    folder = bench.place(name)
    config = folder / "mtor_config.py"
    (folder / "catalogue.toml").write_text(catalogue)
    config.write_text(
        f"c.Realm.catalogue_path = {str(folder / 'catalogue.toml')!r}\n"
        f"c.PersonalRealm.workers = {workers}\n"
        # It ends by itself if this process is killed.
        "c.PersonalRealm.idle_seconds = 120.0\n"
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            child(
                *["-m", "mtor_kernel.cli", "realm", "run", "--config", str(config)],
                log=folder / "realm.log",
                environment=environment(folder),
            )
        )
        runtime = await ready(folder)
        realm = await _members(runtime, workers)
        yield realm


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a realm that keeps all it has in `folder`, with the real weights."""
    data, site = folder / "data", folder / "site"
    data.mkdir()
    models = data_dir() / "models"
    if models.is_dir():
        (data / "models").symlink_to(models)
    metadata = site / "mtor_benchmarks-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "entry_points.txt").write_text(_ENTRY_POINTS)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mtor-benchmarks\nVersion: 0\n")
    (folder / "runtime").mkdir(mode=0o700)
    root = Path(__file__).resolve().parent.parent
    return {
        "MTOR_DATA": str(data),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONPATH": f"{site}:{root}",
    }


async def ready(folder: Path) -> Runtime:
    """Wait until the realm of that folder answers."""
    file = RuntimeFile(folder / "runtime")
    found: list[Runtime] = []

    async def well() -> bool:
        runtime = file.read()
        if runtime is not None and is_well(runtime):
            found.append(runtime)
        return bool(found)

    await until(well, f"the realm (see {folder / 'realm.log'})")
    return found[0]


async def _members(runtime: Runtime, workers: int) -> RealmProcess:
    async with RealmClient(runtime.url, runtime.token) as client:

        async def linked() -> bool:
            return sum(worker.state == "well" for worker in await client.workers()) == workers

        await until(linked, "the realm's worker")
    gateway = psutil.Process(runtime.pid)
    children = {one: one.cmdline() for one in gateway.children()}
    scheduler = next(one for one, words in children.items() if "scheduler" in words)
    crew = tuple(one for one, words in children.items() if "worker" in words)
    return RealmProcess(runtime.url, runtime.token, gateway, scheduler, crew)
