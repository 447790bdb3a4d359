"""A Hub's realm: what the way through proxy and server adds, and what people cost who do nothing.

The floor of a way is the realm itself, asked directly; everything is on one machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import httpx
import psutil

from benchmarks.harness import Bench, median
from benchmarks.table import Row
from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.ngram import Chunk
from mtor_kernel.protocol.query import Query
from tests.hub.hub_process import Hub, find_proxy, serve_hub

TITLE = "A realm for a JupyterHub"
_DIRECT = "the realm, directly"
_MIB = 1024 * 1024


async def run(bench: Bench) -> list[Row]:
    """Measure; nothing where the Hub's proxy is not installed."""
    if find_proxy() is None:
        bench.say("no configurable-http-proxy here: `make proxy` installs it")
        return []
    bench.say("a Hub, its proxy, a realm and a server")
    with serve_hub(bench.place("hub")) as hub:
        hub.add("ann")
        await asyncio.to_thread(hub.spawn, "ann")
        rows = await _ways(bench, hub)
        rows += await _lookups(bench, hub)
        return rows + await _idle(bench, hub)


async def _ways(bench: Bench, hub: Hub) -> list[Row]:
    bench.say("queries by each way")
    token, count = hub.token("ann"), int(bench.pick(200, 40))
    ways = {
        "directly": hub.direct,
        "through the Hub's proxy": hub.service,
        "through proxy and server": f"{hub.url}/user/ann/mtor/",
    }
    firsts: dict[str, list[float]] = {}
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            way: await stack.enter_async_context(RealmClient(url, token))
            for way, url in ways.items()
        }
        for _ in range(count):
            # In turn, so that what else the machine does meets all of them.
            for way, client in clients.items():
                firsts.setdefault(way, []).append(await _first_word(client))
    floor = median(firsts["directly"]) * 1000
    return [
        Row(f"first word, {way}, p50", median(found) * 1000, "ms", floor, _DIRECT)
        for way, found in firsts.items()
    ]


async def _first_word(client: RealmClient) -> float:
    begun = time.perf_counter()
    running = await client.submit(Query.ask("Hello", "echo"))
    first = 0.0
    async for event in running.events():
        if isinstance(event, Chunk) and not first:
            first = time.perf_counter() - begun
    return first


async def _lookups(bench: Bench, hub: Hub) -> list[Row]:
    bench.say("requests and what the Hub is asked")
    token, count = hub.token("ann"), int(bench.pick(2000, 400))
    before = _asked(hub)
    async with httpx.AsyncClient(
        base_url=hub.direct, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as web:
        begun = time.perf_counter()
        await web.get("api/me")
        unknown = time.perf_counter() - begun
        known = []
        for _ in range(count):
            begun = time.perf_counter()
            await web.get("api/me")
            known.append(time.perf_counter() - begun)
    return [
        Row("a request, token known, p50", median(known) * 1000, "ms"),
        Row("the first request of a token", unknown * 1000, "ms"),
        Row(f"questions to the Hub for {count:,} requests", _asked(hub) - before, ""),
    ]


def _asked(hub: Hub) -> int:
    return hub.log("hub").count("GET /hub/api/user ")


async def _idle(bench: Bench, hub: Hub) -> list[Row]:
    people, seconds = int(bench.pick(100, 20)), bench.pick(40, 15)
    bench.say(f"{people} people who do nothing for {seconds:.0f} s")
    names = [f"idle{number}" for number in range(people)]
    hub.add(*names)
    parts = {part: psutil.Process(hub.pid(part)) for part in ("realm", "proxy", "hub")}
    alone = {part: process.memory_info().rss for part, process in parts.items()}
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            client = await stack.enter_async_context(RealmClient(hub.service, hub.token(name)))
            # This opens the socket, which a panel keeps.
            await client.ask("Hello", "echo")
        before = {part: _processor(process) for part, process in parts.items()}
        await asyncio.sleep(seconds)
        used = {part: _processor(process) - before[part] for part, process in parts.items()}
        grown = {part: process.memory_info().rss - alone[part] for part, process in parts.items()}
    rows = [
        Row(f"processor, {people} idle people, {part}", 100 * used[part] / seconds, "%")
        for part in parts
    ]
    return rows + [
        Row(f"memory that they add to the {part}", grown[part] / _MIB, "MiB") for part in parts
    ]


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
