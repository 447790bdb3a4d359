"""A Dask cluster of one's own: a scheduler and workers as children of the realm, kept running.

A scheduler has no memory and its workers exit with it (`facts`: they never come back), so whoever
starts them must start them again. The children read a pipe that the realm holds open and end when
it closes, so they never outlive a realm that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.realm.certs import Certs

log = logging.getLogger(__name__)

#: Dask's own retries and stealing are off (MTOR owns retries), as are its web pages, and its
#: profiler, which stops every thread of a worker a hundred times a second.
SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "False",
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    # Both look at the process so often that an idle worker is not idle.
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "DASK_DISTRIBUTED__DASHBOARD__LINK": "",
    "DASK_DISTRIBUTED__DIAGNOSTICS__NVML": "False",
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
}
#: What opens the Hub and the realm's figures: nobody who serves needs it, and models' code runs
#: there. Keys of remote services are the workers' own, and are left.
WITHHELD = frozenset({"JUPYTERHUB_API_TOKEN", "MTOR_BUS_PASSWORD", "MTOR_METRICS_TOKEN"})
#: What the children need for a query beside Dask itself: imported as they start, and not when the
#: first one comes. The first of them ends a child with its parent.
_PRELOADED = {
    "scheduler": ("dask_workers.lifeline", "dask_workers.tasks"),
    "worker": ("dask_workers.lifeline", "dask_workers.runtime", "dask_workers.plugin"),
}
#: How long a scheduler may take to come up, on a machine that may have much to do.
_START_SECONDS = 90.0
#: What the end of a Python program begins with that an exception ended.
_RAISED = re.compile(r"^[\w.]*(?:Error|Exception|Warning|Interrupt)\b.*$", re.MULTILINE)
#: A worker that ends sooner than this after its start may do so again: the next one is late.
STEADY_SECONDS = 60.0
LONGEST_REST_SECONDS = 60.0
_GRACE_SECONDS = 5.0


class Cluster:
    """A scheduler on loopback, over TLS, and `workers` worker processes.

    Parameters
    ----------
    folder
        Where the children keep their files and logs.
    certs
        What makes them members of one cluster.
    threads
        How many tasks each worker may run at once; a model's slots bound it further.
    """

    def __init__(self, folder: Path, certs: Certs, *, workers: int = 1, threads: int = 64) -> None:
        self._folder = folder
        self._certs = certs
        self._workers = workers
        self._threads = threads
        self._scheduler: asyncio.subprocess.Process | None = None
        self._children: list[asyncio.subprocess.Process] = []
        self._watches: list[_Watch] = []
        self._keeper: asyncio.Task[None] | None = None
        #: How long the scheduler's log was when it was started last.
        self._logged = 0
        #: Address of the scheduler, once it runs.
        self.address = ""

    @property
    def pids(self) -> list[int]:
        """Process ids: the scheduler's first, then the workers'."""
        found = [self._scheduler] if self._scheduler is not None else []
        return [child.pid for child in found + self._children if child.returncode is None]

    async def open(self, moved: Callable[[str], Awaitable[None]]) -> None:
        """Start the children; `moved` is told the scheduler's address whenever it was started anew.

        Raises
        ------
        Unavailable
            The scheduler did not come up; says why.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        await self._spawn_scheduler()
        # They import the same packages at the same time, and find the scheduler by its file.
        for number in range(self._workers):
            self._children.append(await self._start_worker(number))
            self._watches.append(_Watch(time.monotonic()))
        await self._find_scheduler()
        self._keeper = asyncio.create_task(self._keep(moved), name="mtor-cluster")

    async def close(self) -> None:
        """End the children: workers first, since workers that lose their scheduler may linger."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.gather(*(_end(child) for child in self._children))
        if self._scheduler is not None:
            await _end(self._scheduler)

    async def _keep(self, moved: Callable[[str], Awaitable[None]]) -> None:
        """Start again what has ended, after a while that grows where it goes on ending."""
        while True:
            await asyncio.sleep(1.0)
            try:
                if self._scheduler is None or self._scheduler.returncode is not None:
                    log.warning("the scheduler has ended; starting another")
                    await asyncio.gather(*(_end(child) for child in self._children))
                    await self._spawn_scheduler()
                    await self._find_scheduler()
                    await moved(self.address)
                for number, (child, watch) in enumerate(
                    zip(self._children, self._watches, strict=True)
                ):
                    if child.returncode is not None and watch.is_due(time.monotonic()):
                        log.warning(
                            "worker %d has ended (%s); starting another", number, child.returncode
                        )
                        self._children[number] = await self._start_worker(number)
            except Unavailable as error:
                log.warning("%s Trying again.", error.message)
            except Exception:  # the keeper outlives whatever happens
                log.exception("the cluster could not be mended; trying again")

    @property
    def _where(self) -> Path:
        """The file in which the scheduler writes its address."""
        return self._folder / "scheduler.json"

    async def _spawn_scheduler(self) -> None:
        self._where.unlink(missing_ok=True)
        self._logged = self._log.stat().st_size if self._log.exists() else 0
        self._scheduler = await self._spawn(
            "scheduler",
            *["--host=tls://127.0.0.1", "--port=0", f"--scheduler-file={self._where}"],
        )

    async def _find_scheduler(self) -> None:
        assert self._scheduler is not None
        deadline = time.monotonic() + _START_SECONDS
        while self._scheduler.returncode is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, msgspec.DecodeError, KeyError):
                self.address = msgspec.json.decode(self._where.read_bytes())["address"]
                return
            await asyncio.sleep(0.02)
        ended = self._scheduler.returncode
        await _end(self._scheduler)  # or nobody would look at it again
        how = f"it took {_START_SECONDS:.0f} s" if ended is None else f"it ended with {ended}"
        raise Unavailable(
            f"The realm's Dask scheduler did not start ({self._why() or how}): see {self._log}."
        )

    @property
    def _log(self) -> Path:
        return self._folder / "scheduler.log"

    def _why(self) -> str:
        """Return the first error in what the scheduler has logged since it was started last."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(self._logged)
            found = _RAISED.search(log.read(100_000).decode(errors="replace"))
            return found[0][:300].rstrip(".") if found else ""
        return ""

    async def _start_worker(self, number: int) -> asyncio.subprocess.Process:
        return await self._spawn(
            "worker",
            f"--scheduler-file={self._where}",
            f"--name=worker-{number}",
            f"--nthreads={self._threads}",
            "--no-nanny",
            "--memory-limit=0",
            *["--protocol=tls", "--host=127.0.0.1"],
            f"--local-directory={self._folder}",
            "--death-timeout=60",
        )

    async def _spawn(self, kind: str, *arguments: str) -> asyncio.subprocess.Process:
        path = self._folder / f"{kind}.log"
        path.touch(mode=0o600)
        with path.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *["-m", "dask", kind, *arguments, *self._certs.arguments()],
                *["--no-dashboard", "--dashboard-address=127.0.0.1:0"],
                *[f"--preload={module}" for module in _PRELOADED[kind]],
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={name: os.environ[name] for name in os.environ if name not in WITHHELD}
                | SETTINGS,
                cwd=self._folder,
            )


class _Watch:
    """When a worker that has ended is started again: later each time that it ends soon."""

    def __init__(self, now: float) -> None:
        self._started_at = now
        self._rest = 0.0
        self._again_at: float | None = None

    def is_due(self, now: float) -> bool:
        """Tell whether one that has ended is to be started; where this is true, it is."""
        if self._again_at is None:
            if now - self._started_at > STEADY_SECONDS:
                self._rest = 0.0
            self._again_at = now + self._rest
        if now < self._again_at:
            return False
        self._rest = min(LONGEST_REST_SECONDS, max(1.0, self._rest * 2))
        self._started_at, self._again_at = now, None
        return True


async def _end(child: asyncio.subprocess.Process) -> None:
    """End a child: by closing its lifeline, then by force."""
    if child.returncode is not None:
        return
    if child.stdin is not None:
        child.stdin.close()
    try:
        await asyncio.wait_for(child.wait(), _GRACE_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
