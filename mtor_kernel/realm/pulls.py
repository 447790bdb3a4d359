"""Pulls that the sysop asked for: each a child process that fetches the weights of one model.

The child is the workers' code, so that the realm itself never opens a connection to anywhere. The
weights go where the workers of this machine look, into ``MTOR_DATA`` or the user's own data
directory; the model's entry goes into the realm's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from mtor_kernel.protocol.errors import Malformed, NotFound, RealmError
from mtor_kernel.protocol.views import PullInfo

log = logging.getLogger(__name__)


class _Told(msgspec.Struct):
    """A line that the child prints."""

    here: int = 0
    size: int = 1
    note: str = ""
    error: str = ""


class Pulls:
    """The pulls of this realm's lifetime, by model.

    Parameters
    ----------
    folder
        The realm's data directory.
    reload
        Called after a pull that succeeded: serves the model.
    """

    def __init__(self, folder: Path, reload: Callable[[], Awaitable[None]]) -> None:
        self._folder = folder
        self._reload = reload
        self._infos: dict[str, PullInfo] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def infos(self) -> list[PullInfo]:
        """Return all of them, also those that have ended."""
        return list(self._infos.values())

    def start(self, model: str) -> PullInfo:
        """Begin to fetch; one that is under way goes on."""
        under_way = self._running.get(model)
        if under_way is None or under_way.done():
            self._infos[model] = PullInfo(model)
            task = asyncio.create_task(self._carry(model), name=f"mtor-pull-{model}")
            self._running[model] = task
        return self._infos[model]

    async def stop(self, model: str) -> None:
        """End a pull. What is here stays for the next one."""
        task = self._running.get(model)
        if task is None or task.done():
            raise NotFound(f"Nothing named {model!r} is being pulled.")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """End all of them."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, model: str) -> None:
        error = ""
        try:
            error = await self._fetch(model) or await self._serve()
            self._note(model, state="failed" if error else "done", error=error)
        except asyncio.CancelledError:
            self._note(model, state="stopped")
            raise
        except Exception as failure:
            log.exception("%s could not be pulled", model)
            self._note(model, state="failed", error=f"It failed ({type(failure).__name__}).")

    async def _serve(self) -> str:
        """Have what was fetched be in force; return why it is not."""
        try:
            await self._reload()
        except (RealmError, OSError) as error:
            why = error.message if isinstance(error, RealmError) else str(error)
            return f"It is here, and is served when the catalogue is mended: {why}"
        return ""

    async def _fetch(self, model: str) -> str:
        """Run the child; return why it failed."""
        command = [sys.executable, "-m", "dask_workers.weights", model, str(self._folder)]
        child = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        try:
            error = await self._listen(model, child)
            return error if await child.wait() else ""
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _listen(self, model: str, child: Process) -> str:
        assert child.stdout is not None
        error = "It ended without a word: look into the realm's log."
        async for line in child.stdout:
            try:
                told = msgspec.json.decode(line, type=_Told)
            except msgspec.DecodeError:
                raise Malformed("The pull said something that is no JSON.") from None
            error = told.error or error
            note = told.note or self._infos[model].note
            self._note(model, fraction=min(1.0, told.here / max(1, told.size)), note=note)
        return error

    def _note(self, model: str, **changes: object) -> None:
        self._infos[model] = msgspec.structs.replace(self._infos[model], **changes)
