"""What the gateway's process grows by: for each query that waits, and for each idle client.

The floors: what Dask's scheduler grows by for each task that waits (nobody has the resource it
asks for), and what a bare tornado process grows by for each open WebSocket.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import resource
import sys
from collections.abc import AsyncIterator

import psutil
from tornado.httpclient import HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect

from benchmarks.bare_dask import bare_dask, nothing
from benchmarks.harness import Bench, child, rss, until
from benchmarks.realm_process import RealmProcess, realm_process
from benchmarks.table import Row
from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.ngram import SUBPROTOCOL, Hello
from mtor_kernel.protocol.query import Query

TITLE = "Memory that the gateway's process grows by"
QUERIES, CLIENTS = 10_000, 2_000
#: Clients that submit the waiting queries, and how many submissions each has under way.
_SUBMITTING, _AT_ONCE = 10, 16

_CATALOGUE = """
[[models]]
name = "stuck"
modality = "chat"
backend = "echo"
slots = 1
rates = { output_token_micro = 1 }
settings = { hang = true }
"""


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    _allow_files(2 * CLIENTS + 1000)
    queries = int(bench.pick(QUERIES, QUERIES / 5))
    bench.say("memory of waiting queries")
    async with realm_process(bench, "memory-queries", _CATALOGUE) as realm:
        waiting = await _wait(realm, queries)
    tasks = await _tasks(bench, queries)
    bench.say("memory of idle clients")
    async with realm_process(bench, "memory-clients", _CATALOGUE) as realm:
        clients = await _idle(realm.gateway, realm.url + "ngram", realm.token)
    async with _bare_sockets(bench) as (process, url):
        sockets = await _idle(process, url, "")
    waits, idle = f"each of {queries:,} waiting queries", f"each of {CLIENTS:,} idle clients"
    return [
        Row(waits, waiting / 1024, "KiB", tasks / 1024, "a waiting Dask task"),
        Row(idle, clients / 1024, "KiB", sockets / 1024, "a tornado WebSocket"),
    ]


async def _wait(realm: RealmProcess, queries: int) -> float:
    """Return the bytes that the gateway grows by for each query that waits and is followed."""
    numbers = itertools.count()
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(realm.client()) for _ in range(_SUBMITTING)]
        await asyncio.gather(*(_submit(client, numbers, 100) for client in clients))
        before, numbers = rss(realm.gateway), itertools.count()
        await asyncio.gather(
            *(_submit(client, numbers, queries) for client in clients for _ in range(_AT_ONCE))
        )
        return (rss(realm.gateway) - before) / queries


async def _submit(client: RealmClient, numbers: itertools.count[int], most: int) -> None:
    while (number := next(numbers)) < most:
        await client.submit(Query.ask(f"How many lights are there, {number}?", "stuck"))


async def _tasks(bench: Bench, count: int) -> float:
    """Return the bytes that the scheduler grows by for each task it cannot place."""
    async with bare_dask(bench, "memory-dask") as dask:
        await dask.client.submit(nothing, 0, pure=False)
        before = rss(dask.scheduler)
        held = [
            dask.client.submit(nothing, number, pure=False, resources={"none": 1})
            for number in range(1, count + 1)
        ]

        async def known() -> bool:
            tasks: int = await dask.client.run_on_scheduler(
                lambda dask_scheduler: len(dask_scheduler.tasks)
            )
            return tasks >= count

        await until(known, "the tasks at the scheduler")
        grown = rss(dask.scheduler) - before
        del held
    return grown / count


async def _idle(process: psutil.Process, url: str, token: str) -> float:
    """Return the bytes that a process grows by for each socket that is open and says nothing."""
    sockets = [await _open(url, token) for _ in range(50)]
    before = rss(process)
    sockets += await _open_many(url, token, CLIENTS)
    await asyncio.sleep(1)
    grown = rss(process) - before
    for socket in sockets:
        socket.close()
    return grown / CLIENTS


async def _open_many(url: str, token: str, count: int) -> list[WebSocketClientConnection]:
    sockets: list[WebSocketClientConnection] = []
    while len(sockets) < count:
        few = min(50, count - len(sockets))
        sockets += await asyncio.gather(*(_open(url, token) for _ in range(few)))
    return sockets


async def _open(url: str, token: str) -> WebSocketClientConnection:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = HTTPRequest("ws" + url.removeprefix("http"), headers=headers)
    socket = await websocket_connect(request, subprotocols=[SUBPROTOCOL])
    await socket.write_message(encode(Hello(client="benchmarks")))
    assert await socket.read_message()
    return socket


@contextlib.asynccontextmanager
async def _bare_sockets(bench: Bench) -> AsyncIterator[tuple[psutil.Process, str]]:
    log = bench.place("memory-tornado") / "log"
    async with child("-m", "benchmarks.memory", log=log) as process:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield psutil.Process(process.pid), f"http://127.0.0.1:{port}/"


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


class _Echo(WebSocketHandler):
    def select_subprotocol(self, subprotocols: list[str]) -> str:
        return subprotocols[0]

    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)


async def _serve() -> None:
    """Be the floor's server."""
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/", _Echo)], websocket_ping_interval=20)).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
