"""What every benchmark needs: a folder, processes that end with it, and figures of them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

#: Of the source tree: children find ``benchmarks`` there.
ROOT = Path(__file__).resolve().parent.parent
#: How long a child may take to be ready, and to end when it is told to, in seconds.
READY_SECONDS = 60.0
END_SECONDS = 15.0
#: Between two looks at how much memory processes hold, in seconds.
LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Bench:
    """One run: where its files go, and whether it shall be short."""

    folder: Path
    quick: bool = False

    def pick(self, full: float, quick: float) -> float:
        """Return the one of two lengths that this run takes."""
        return quick if self.quick else full

    def place(self, name: str) -> Path:
        """Return a new folder of that name for one benchmark's files."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path

    def say(self, words: str) -> None:
        """Tell on standard error what is being done."""
        print(f"  … {words}", file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def child(
    *arguments: str, log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``python arguments…`` with an open standard input, and end it in the end."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            cwd=log.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def until(ready: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask again and again whether it is ready."""
    deadline = time.monotonic() + READY_SECONDS
    while not await ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not ready within {READY_SECONDS:.0f} s")
        await asyncio.sleep(0.05)


@dataclass(slots=True)
class Cpu:
    """Processor seconds that some processes have used, their threads' and the system's for them."""

    processes: Mapping[str, Sequence[psutil.Process]]
    _at: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        """Count from now on."""
        self._at = self._used()

    def stop(self) -> dict[str, float]:
        """Return the seconds of each since :meth:`start`."""
        return {name: used - self._at[name] for name, used in self._used().items()}

    def _used(self) -> dict[str, float]:
        used = {}
        for name, group in self.processes.items():
            times = [process.cpu_times() for process in group]
            used[name] = sum(time.user + time.system for time in times)
        return used


def rss(process: psutil.Process) -> int:
    """Return the bytes of memory that a process holds."""
    resident: int = process.memory_info().rss
    return resident


@contextlib.asynccontextmanager
async def peaks(processes: Mapping[str, psutil.Process]) -> AsyncIterator[dict[str, int]]:
    """Keep the most memory that each process holds meanwhile, in bytes."""
    most = {name: rss(process) for name, process in processes.items()}

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for name, process in processes.items():
                most[name] = max(most[name], rss(process))

    looking = asyncio.create_task(look())
    try:
        yield most
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least `share` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Iterable[float]) -> float:
    """Return the middle one."""
    return statistics.median(values)
