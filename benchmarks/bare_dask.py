"""The floor: a Dask scheduler and a worker, each a process of its own, without MTOR.

Over TLS it is the very cluster that a personal realm starts; over TCP it is one as Dask's own
commands start it.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
from distributed import Client

from benchmarks.harness import Bench, Cpu, child, until
from mtor_kernel.realm.certs import ensure_certs
from mtor_kernel.realm.cluster import Cluster

#: A task that does nothing, known to every Python.
nothing = operator.index

_THREADS = 64
_QUIET = ("--no-dashboard", "--dashboard-address=127.0.0.1:0", "--preload=dask_workers.lifeline")


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
async def bare_dask(bench: Bench, name: str) -> AsyncIterator[BareDask]:
    """Run the cluster of a personal realm, over TLS."""
    folder = bench.place(name)
    certs = ensure_certs(folder / "tls")
    cluster = Cluster(folder, certs, workers=1, threads=_THREADS)
    try:
        await cluster.open(_stay)
        scheduler, worker = map(psutil.Process, cluster.pids)
        async with _connected(cluster.address, certs.security()) as client:
            yield BareDask(client, scheduler, worker)
    finally:
        await cluster.close()


@contextlib.asynccontextmanager
async def plain_dask(bench: Bench, name: str) -> AsyncIterator[BareDask]:
    """Run ``dask scheduler`` and ``dask worker`` with Dask's own settings, over TCP."""
    folder = bench.place(name)
    file = folder / "scheduler.json"
    async with contextlib.AsyncExitStack() as stack:

        async def start(kind: str, *arguments: str) -> psutil.Process:
            log = folder / f"{kind}.log"
            words = ["-m", "dask", kind, *arguments, *_QUIET]
            return psutil.Process((await stack.enter_async_context(child(*words, log=log))).pid)

        scheduler = await start(
            "scheduler", "--host=tcp://127.0.0.1", "--port=0", f"--scheduler-file={file}"
        )
        address = await _address(file)
        worker = await start(
            *["worker", address, f"--nthreads={_THREADS}", "--no-nanny", "--memory-limit=0"],
            *["--host=127.0.0.1", f"--local-directory={folder}"],
        )
        client = await stack.enter_async_context(_connected(address, None))
        yield BareDask(client, scheduler, worker)


@contextlib.asynccontextmanager
async def _connected(address: str, security: Any) -> AsyncIterator[Any]:
    async with Client(  # type: ignore[no-untyped-call]  # as most of distributed is
        address,
        asynchronous=True,
        security=security,
        set_as_default=False,
        direct_to_workers=True,
    ) as client:
        await client.wait_for_workers(1, timeout=60)
        yield client


async def _stay(address: str) -> None:
    raise RuntimeError(f"the bare scheduler ended while it was measured; another is at {address}")


async def _address(file: Path) -> str:
    async def written() -> bool:
        return bool(_written(file))

    await until(written, "the Dask scheduler")
    return _written(file)


def _written(file: Path) -> str:
    """Return the address in a scheduler's file; empty where it is not there yet."""
    with contextlib.suppress(OSError, msgspec.DecodeError, KeyError):
        return str(msgspec.json.decode(file.read_bytes())["address"])
    return ""
