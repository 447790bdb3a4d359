"""The realm's one arm into Dask: one task a slot that is taken, bytes both ways.

Only the realm and the operator's workers are members of the scheduler (DESIGN 2). Dask places,
watches and reports a task; it never retries one, and it is never given what cannot start now.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dask_workers.plugin import RESOURCE, MtorWorker, plugin_name
from dask_workers.tasks import run_query, run_slice, slice_key, task_key
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.task import Outcome
from mtor_kernel.realm.attempts import Attempt, Lost
from mtor_kernel.realm.slices import SLICE_SECONDS, Slice

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

#: How long the link may take to tell the outcome of a task that Dask says is over.
TELL_SECONDS = 0.05
#: How long messages to the scheduler are gathered.
SEND_SECONDS = 0.001
#: How long a scheduler may take to answer before it is asked again, perhaps at a new address.
CONNECT_SECONDS = 5

_outcome = msgspec.json.Decoder(Outcome)
_outcomes = msgspec.json.Decoder(list[Outcome])


class Tasks:
    """The Dask tasks of all running attempts, over a connection that is made anew when it is lost.

    Parameters
    ----------
    address
        Of the scheduler, such as ``tls://127.0.0.1:8786``.
    security
        What :class:`distributed.Client` takes as such; ``None`` for a scheduler without TLS.
    plugin
        Makes every worker that joins the scheduler a worker of this realm.
    """

    def __init__(self, address: str, security: Any, plugin: MtorWorker) -> None:
        self._address = address
        self._security = security
        self._plugin = plugin
        self._client: Client | None = None
        #: Who waits for the end of each task, by the task's key. It holds the only reference to the
        #: Dask future: ending it releases the task.
        self._collecting: dict[str, asyncio.Task[None]] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and keep the connection from now on.

        Raises
        ------
        OSError
            The scheduler does not answer, or has moved meanwhile.
        """
        await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name="mtor-dask-connection")

    async def close(self) -> None:
        """Let go of every task and of the scheduler."""
        if self._keeper is not None:
            self._keeper.cancel()
        waiting = list(self._collecting.values())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if self._client is not None:
            with contextlib.suppress(OSError, TimeoutError):
                if self._plugin.gateway:
                    await self.forget(self._plugin.gateway)
                await self._client.close(timeout=2)

    @property
    def connected(self) -> bool:
        """Whether the scheduler can be given something now."""
        return self._client is not None and self._client.status == "running"

    async def equip(self, plugin: MtorWorker) -> None:
        """Give all workers, also later ones, another plugin: the catalogue has changed."""
        self._plugin = plugin
        if self._client is not None:
            await self._register(self._client)

    async def forget(self, gateway: str) -> None:
        """Have no worker serve one of several gateways any more: it is gone."""
        if self._client is None:
            return
        try:
            await self._client.unregister_worker_plugin(plugin_name(gateway))
        except Exception as error:  # noqa: BLE001 - Dask raises ValueError where there is none
            log.debug("gateway %s could not be taken from the workers: %r", gateway, error)

    async def move(self, address: str) -> None:
        """The scheduler was started anew, elsewhere."""
        self._address = address
        if self._client is not None:
            await self._client.close(timeout=0)

    def submit(self, slices: Sequence[Slice], workers: list[str] | None) -> None:
        """Give the scheduler `slices` of one model, for the workers of these addresses only.

        Every attempt of them is decided in the end, also when nothing comes back.
        """
        alone = [slot for slot in slices if len(slot.attempts) == 1]
        shared = [slot for slot in slices if len(slot.attempts) > 1]
        self._submit(run_query, alone, _payload, workers)
        self._submit(run_slice, shared, _slice_payload, workers)

    def _submit(
        self,
        function: Callable[[bytes], bytes],
        slices: Sequence[Slice],
        payload: Callable[[Slice, str], bytes],
        workers: list[str] | None,
    ) -> None:
        if not slices:
            return
        model = slices[0].lane.model
        try:
            assert self._client is not None
            futures = self._client.map(
                function,
                [payload(slot, self._plugin.gateway) for slot in slices],
                key=[_key(slot) for slot in slices],
                resources={RESOURCE + model: 1},
                workers=workers,
                retries=0,
                pure=False,
            )
        except Exception as error:  # the client raises many kinds, from its own and from asyncio's
            log.exception("the scheduler could not be given %d tasks", len(slices))
            lost = Lost(f"the scheduler took nothing: {type(error).__name__}")
            for slot in slices:
                _lose(slot, lost)
            return
        for slot, future in zip(slices, futures, strict=True):
            key = _key(slot)
            self._collecting[key] = asyncio.create_task(self._collect(slot, future), name=key)
            self._collecting[key].add_done_callback(self._collected)

    def drop(self, slot: Slice) -> None:
        """Forget the task of attempts that were given up: Dask releases it, its worker is told.

        A task whose outcomes came by the link is not dropped: to release it before it is over, a
        moment later, would be to cancel it. It goes by itself.
        """
        collecting = self._collecting.get(_key(slot))
        if collecting is not None:
            collecting.cancel()

    def _collected(self, collecting: asyncio.Task[None]) -> None:
        del self._collecting[collecting.get_name()]

    async def _collect(self, slot: Slice, future: Future[bytes]) -> None:
        """Wait until the task is over, and fetch its result if the link has not told of it."""
        try:
            await future.exception()  # the end of the task, whatever it was; fetches nothing
            if not slot.decided.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(slot.decided.wait(), TELL_SECONDS)
            if not slot.decided.is_set():
                _decide(slot, await future)
        except asyncio.CancelledError:
            # Dask's own error of a cancelled future is one of these too.
            if not future.cancelled():
                raise
            _lose(slot, Lost("the scheduler cancelled it"))
        except Exception as error:  # noqa: BLE001 whatever a dying cluster raises, it is over
            log.warning("task %s came to nothing: %r", _key(slot), error)
            _lose(slot, Lost("its worker died"))

    async def _connect(self) -> None:
        from distributed import Client  # half a second, and only who runs a realm needs it

        address = self._address
        given: MtorWorker | None = None
        client = await Client(
            address,
            asynchronous=True,
            security=self._security,
            set_as_default=False,
            name="mtor-realm",
            direct_to_workers=True,
            # Dask's own 30 s would be spent on a scheduler that was started anew elsewhere.
            timeout=CONNECT_SECONDS,
        )
        try:
            while given is not self._plugin:  # the catalogue may change while workers are told
                given = self._plugin
                await self._register(client)
            if client.status != "running" or address != self._address:
                raise OSError(f"the scheduler at {address} has gone")
        except BaseException:
            await client.close(timeout=0)
            raise
        # Dask waits 10 ms for more to send with each message; the next task would wait for the
        # release of the last one. What comes at the same time is handed over together already.
        client.scheduler_comm.interval = SEND_SECONDS
        self._client = client

    async def _register(self, client: Client) -> None:
        """Give the plugin to all workers; one that cannot take it keeps no other from serving."""
        try:
            await client.register_plugin(self._plugin)
        except Exception:  # Dask raises what the first such worker raised
            if client.status != "running":
                raise
            log.exception("a worker could not become one of this realm's")

    async def _keep(self) -> None:
        """Connect again whenever the scheduler has gone: all its tasks are lost by then."""
        while True:
            await asyncio.sleep(0.5)
            if self.connected:
                continue
            try:
                if self._client is not None:
                    await self._client.close(timeout=0)
                self._client = None
                await self._connect()
                log.info("connected to the scheduler at %s again", self._address)
            except Exception as error:  # noqa: BLE001 it is down: go on asking
                log.warning("no scheduler at %s: %s", self._address, error)


def _key(slot: Slice) -> str:
    """Return the key of a slice's task."""
    ref = slot.attempts[0].ref
    name = task_key if len(slot.attempts) == 1 else slice_key
    return name(ref.query, ref.attempt)


def _decide(slot: Slice, result: bytes) -> None:
    """Decide the attempts of a slice by what its task brought."""
    if len(slot.attempts) == 1:
        slot.attempts[0].decide(_outcome.decode(result))
        return
    for attempt, outcome in zip(slot.attempts, _outcomes.decode(result), strict=True):
        attempt.decide(outcome)


def _lose(slot: Slice, lost: Lost) -> None:
    for attempt in slot.attempts:
        attempt.decide(lost)


def _payload(slot: Slice, gateway: str) -> bytes:
    """Return the encoded :class:`Task`; the query's body goes in as it was stored."""
    return encode({"model": slot.attempts[0].spec, **_row(slot.attempts[0]), **_of(gateway)})


def _slice_payload(slot: Slice, gateway: str) -> bytes:
    """Return the encoded :class:`~mtor_kernel.protocol.task.Slice`."""
    rows = [_row(attempt) for attempt in slot.attempts]
    told = {"model": slot.attempts[0].spec, "rows": rows, "seconds": SLICE_SECONDS}
    return encode({**told, **_of(gateway)})


def _row(attempt: Attempt) -> dict[str, Any]:
    return {"attempt": attempt.ref, "query": msgspec.Raw(attempt.body)}


def _of(gateway: str) -> dict[str, str]:
    return {"gateway": gateway} if gateway else {}


def make_plugin(
    link_url: str,
    token: str,
    models: Sequence[ModelSpec],
    *,
    ca: str | None = None,
    gateway: str = "",
) -> MtorWorker:
    """Return the plugin that makes a Dask worker a worker of this realm."""
    return MtorWorker(
        link_url=link_url, token=token, models=encode(tuple(models)), ca=ca, gateway=gateway
    )
