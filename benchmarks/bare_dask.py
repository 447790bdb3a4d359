"""The floor: a Dask scheduler and worker of the same kind as the realm's, and nothing else."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import psutil
from distributed import Client

from benchmarks.harness import Bench, Cpu, child, until
from mtor_kernel.realm.certs import Certs, ensure_certs

#: As `mtor_kernel.realm.cluster` sets them, where they cost or save time.
_SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "False",
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
}
_QUIET = ("--no-dashboard", "--dashboard-address=127.0.0.1:0", "--preload=dask_workers.lifeline")

#: A task that does nothing, known to every Python.
nothing = operator.index


@dataclass(frozen=True, slots=True)
class BareDask:
    """A cluster, and a client of it in this process, connected as the realm's is."""

    client: Any
    scheduler: psutil.Process
    worker: psutil.Process

    def cpu(self) -> Cpu:
        """Return what counts the processor time of each part."""
        return Cpu(
            {
                "client": [psutil.Process()],
                "scheduler": [self.scheduler],
                "worker": [self.worker],
            }
        )


@contextlib.asynccontextmanager
async def bare_dask(bench: Bench, name: str, *, tls: bool) -> AsyncIterator[BareDask]:
    """Run a scheduler and one worker of 64 threads, over TLS or plain TCP on loopback."""
    folder = bench.place(name)
    certs = ensure_certs(folder / "tls") if tls else None
    protocol = "tls" if tls else "tcp"
    shared = [*_QUIET, *(certs.arguments() if certs else ())]
    async with contextlib.AsyncExitStack() as stack:

        async def start(kind: str, *arguments: str) -> psutil.Process:
            running = await stack.enter_async_context(
                child(
                    *["-m", "dask", kind, *arguments, *shared],
                    log=folder / f"{kind}.log",
                    environment=_SETTINGS,
                )
            )
            return psutil.Process(running.pid)

        file = folder / "scheduler.json"
        scheduler = await start(
            "scheduler", f"--host={protocol}://127.0.0.1", "--port=0", f"--scheduler-file={file}"
        )
        address = await _address(file)
        worker = await start(
            *["worker", address, "--nthreads=64", "--no-nanny", "--memory-limit=0"],
            *[f"--protocol={protocol}", "--host=127.0.0.1", f"--local-directory={folder}"],
        )
        client = await stack.enter_async_context(_client(address, certs))
        await client.wait_for_workers(1, timeout=60)
        yield BareDask(client, scheduler, worker)


def _client(address: str, certs: Certs | None) -> Any:
    return Client(
        address,
        asynchronous=True,
        security=certs.security() if certs else None,
        set_as_default=False,
        direct_to_workers=True,
    )


async def _address(file: Any) -> str:
    found: list[str] = []

    async def written() -> bool:
        with contextlib.suppress(OSError, msgspec.DecodeError, KeyError):
            found.append(msgspec.json.decode(file.read_bytes())["address"])
        return bool(found)

    await until(written, "the Dask scheduler")
    return found[0]
