"""A realm and its gateway in one process, from the first query to the last, in every home."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from tornado.netutil import bind_sockets
from tornado.web import Application

from mtor_kernel.gateway.app import make_server
from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.realm.realm import Realm
from mtor_kernel.storage import Store

#: How often it is looked whether the store is still there.
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Door:
    """Where a gateway listens; port 0: any free one."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


async def serve(
    realm: Realm,
    app: Application,
    doors: Iterable[Door],
    *,
    join: Callable[[int], Coroutine[Any, Any, None]],
    until: Callable[[], Awaitable[None]],
    drain_seconds: float,
    beside: Iterable[Coroutine[Any, Any, None]] = (),
) -> None:
    """Serve `realm` by `app` until `until` returns, then close it in good order.

    Queries are taken, and wait, from the first moment. Where somebody deletes the store, it ends:
    nothing that it promised could be kept.

    Parameters
    ----------
    doors
        Where it listens.
    join
        Gives the realm its cluster; is told the port of the first door. What it raises ends all.
    until
        Returns when it is time to end. It is over before anything closes.
    drain_seconds
        How long what runs may go on then.
    beside
        What goes on as long as it is served.

    Raises
    ------
    Unavailable
        It cannot listen there, or its store is gone.
    """
    servers, ports, tasks = [], [], [asyncio.ensure_future(each) for each in beside]
    try:
        for door in doors:
            server = make_server(app, door.tls)
            servers.append(server)
            sockets = _bound(door)
            server.add_sockets(sockets)
            ports.append(int(sockets[0].getsockname()[1]))
        ending, joining = asyncio.ensure_future(until()), asyncio.create_task(join(ports[0]))
        losing = asyncio.create_task(_lost(realm.store))
        tasks += [ending, joining, losing]
        await asyncio.wait({ending, joining, losing}, return_when=asyncio.FIRST_COMPLETED)
        if joining.done() and not ending.done():
            joining.result()
            _keep_still()
        await asyncio.wait({ending, losing}, return_when=asyncio.FIRST_COMPLETED)
        await (ending if ending.done() else losing)
    finally:
        app.settings["gateway"].stopping = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in servers:
            server.stop()
        await realm.close(drain_seconds=drain_seconds)
        for server in servers:
            await server.close_all_connections()


def _keep_still() -> None:
    """Have the collector of garbage leave alone what is there: it stays as long as the process.

    Else each full collection looks through all that was imported, and everybody waits for a tenth
    of a second.
    """
    gc.collect()
    gc.freeze()


async def _lost(store: Store) -> None:
    """Raise when the store is not where it was."""
    while store.is_there():  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(LOOK_SECONDS)
    raise Unavailable(
        f"The realm ends: its store, {store.database.name} and {store.blob_dir}, was deleted or "
        "replaced while it ran, and nothing more could be kept. Bring it back from a copy if there "
        "is one, and start the realm again: without one it begins anew."
    )


def _bound(door: Door) -> list[socket.socket]:
    try:
        return bind_sockets(door.port, door.host)
    except OSError as error:
        raise Unavailable(
            f"The realm cannot listen on port {door.port} of {door.host} ({error.strerror}): "
            "name another, or 0 for any free one."
        ) from None
