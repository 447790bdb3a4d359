"""The Dask plugin that makes an MTOR worker of any Dask worker."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

import msgspec
from distributed import WorkerPlugin

from dask_workers.room import BOUNDLESS, Room
from dask_workers.tasks import parse_key, runtime_name
from mtor_kernel.protocol.backend import ModelSpec

if TYPE_CHECKING:
    from distributed import Worker

    from dask_workers.discovery import Found
    from dask_workers.runtime import Runtime

#: So that a thread which holds the interpreter delays another's chunk by milliseconds at most.
SWITCH_SECONDS = 0.0005
#: How long an unregistered plugin's models stay, in case that it is registered anew.
GRACE_SECONDS = 1.0
#: Name of the attribute of a Dask worker that holds what its runtimes share.
STOCK = "mtor_stock"
#: And of the lock under which one plugin at a time changes what the worker serves.
SERVING = "mtor_serving"
#: What a model's slots are called among Dask's resources.
RESOURCE = "mtor:"

_SPECS = msgspec.json.Decoder(tuple[ModelSpec, ...])


@dataclass
class MtorWorker(WorkerPlugin):
    """Finds what this machine can serve, advertises it to Dask, and links it to the gateway.

    Registering it again, as a restarted realm does, replaces the link and the catalogue; models
    that have not changed stay in memory, and attempts under way can still be cancelled.
    """

    #: The gateway's ``link``: ``ws://…`` or ``wss://…``.
    link_url: str
    token: str = field(repr=False)
    #: The catalogue's models, ``tuple[ModelSpec, ...]`` as JSON.
    models: bytes = field(repr=False)
    #: A certificate authority to trust for the link, as PEM.
    ca: str | None = field(default=None, repr=False)
    #: Where built-in weights lie; ``None``: where :mod:`dask_workers.weights` looks by itself.
    data_dir: str | None = None
    #: Which of several gateways this is; empty where there is one. A worker serves all of them,
    #: with a link and attempts for each, and the same models.
    gateway: str = ""

    def __post_init__(self) -> None:
        self.name = plugin_name(self.gateway)

    def __reduce__(self) -> tuple[Any, ...]:
        told = (self.link_url, self.token, self.models, self.ca, self.data_dir, self.gateway)
        return MtorWorker, told

    async def setup(self, worker: Worker) -> None:
        """Begin to serve."""
        from dask_workers.discovery import discover
        from dask_workers.memory import detect

        sys.setswitchinterval(SWITCH_SECONDS)
        _leave_stacks_alone(worker)
        self._worker = worker
        budget = BOUNDLESS
        if not hasattr(worker, STOCK):  # else nothing is awaited: the old plugin has let go
            budget = await asyncio.to_thread(detect)  # a GPU's driver takes its time
            if not self._in_force(worker):
                return
        runtime = self._runtime = _adopt(worker, budget, self.gateway)
        runtime.owner = self
        specs = _SPECS.decode(self.models)
        found = await asyncio.to_thread(discover, specs, self.data_dir)
        async with _serving(worker):
            if self._in_force(worker):
                await self._serve(worker, runtime, found)

    async def _serve(self, worker: Worker, runtime: Runtime, found: list[Found]) -> None:
        before = runtime.slots()
        await asyncio.to_thread(runtime.serve, found)
        # The realm gives work to who is linked: by then Dask must know the resources. It is told
        # also by who has been replaced meanwhile: the next one goes on from there.
        await worker.set_resources(**_resources(dict.fromkeys(before, 0) | runtime.slots()))
        if not self._in_force(worker):
            return
        await asyncio.to_thread(runtime.connect, self.link_url, self.token, ca=self.ca)
        if not self._in_force(worker):
            runtime.disconnect(None, wait=False)

    def _in_force(self, worker: Worker) -> bool:
        """Tell whether no other registration has taken its place: Dask sets it up meanwhile."""
        return worker.plugins.get(self.name) is self

    async def teardown(self, worker: Worker) -> None:
        """Say goodbye. On a worker that goes on, all stays a moment for the next plugin."""
        runtime: Runtime | None = getattr(worker, runtime_name(self.gateway), None)
        if runtime is None:  # its first setup has not come that far
            return
        runtime.owner = None
        if worker.status.name in ("closing", "closed", "failed"):
            await asyncio.to_thread(runtime.close, "the worker is closing")
        else:
            # Nothing is awaited: until the next plugin is there, nobody sees Dask's cancels.
            # Without a goodbye: the next plugin's link takes the attempts under way over.
            runtime.disconnect(None, wait=False)
            asyncio.get_running_loop().call_later(
                GRACE_SECONDS, _retire, worker, runtime, self.gateway
            )

    def transition(self, key: object, start: str, finish: str, **_: Any) -> None:
        """Stop an attempt whose task the scheduler has released: Dask itself lets it run on."""
        if start in ("executing", "long-running") and finish == "released":
            attempt = parse_key(key)
            if attempt is not None:
                self._runtime.attempts.cancel(*attempt)
            stop = self._runtime.slices.get(str(key))
            if stop is not None:
                stop()


def plugin_name(gateway: str) -> str:
    """Return what the plugin of a gateway is called among Dask's."""
    return f"mtor-{gateway}" if gateway else "mtor"


def _leave_stacks_alone(worker: Worker) -> None:
    """End Dask's profiler: it reads frames of threads that run, which may crash CPython 3.11."""
    for name in ("profile", "profile-cycle"):
        callback = worker.periodic_callbacks.pop(name, None)
        if callback is not None:
            callback.stop()


def _serving(worker: Worker) -> asyncio.Lock:
    """Return the worker's lock, making it at the first time."""
    if not hasattr(worker, SERVING):
        setattr(worker, SERVING, asyncio.Lock())
    lock: asyncio.Lock = getattr(worker, SERVING)
    return lock


def _adopt(worker: Worker, budget: Room, gateway: str) -> Runtime:
    """Return the worker's runtime for a gateway, making it at the first time."""
    from dask_workers.runtime import Runtime, Stock

    runtime: Runtime | None = getattr(worker, runtime_name(gateway), None)
    if runtime is None:
        if not hasattr(worker, STOCK):
            setattr(worker, STOCK, Stock(budget))
        runtime = Runtime(
            str(worker.name),
            address=worker.contact_address or "",
            threads=worker.state.nthreads,
            version=_version(),
            stock=getattr(worker, STOCK),
        )
        setattr(worker, runtime_name(gateway), runtime)
    return runtime


def _version() -> str:
    try:
        return metadata.version("mtor-kernel")
    except metadata.PackageNotFoundError:  # run from a plain copy of the source
        return ""


def _retire(worker: Worker, runtime: Runtime, gateway: str) -> None:
    """Give everything back, unless a new plugin has taken the runtime over."""
    if runtime.owner is not None:
        return
    delattr(worker, runtime_name(gateway))
    if runtime.alone:
        gone = _resources(dict.fromkeys(runtime.slots(), 0))
        worker.loop.add_callback(worker.set_resources, **gone)
    worker.loop.run_in_executor(None, runtime.close, "the worker serves no longer")


def _resources(slots: dict[str, int]) -> dict[str, float]:
    return {RESOURCE + model: count for model, count in slots.items()}
