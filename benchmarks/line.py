"""The whole line: submit to first chunk, and queries a second to their ends.

A realm as it is deployed is asked by 1, 16 and 64 users at once, each with a connection of their
own, who ask again as soon as their query has ended; the instant echo backend answers. The floor is
``Client.submit`` of a no-op and its result, by as many users, on a cluster of the same kind. Turns
are taken: bare Dask, MTOR, bare Dask…, so that both meet the same weather.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks.bare_dask import BareDask, bare_dask, nothing
from benchmarks.harness import Bench, Cpu, median, percentile
from benchmarks.realm_process import realm_process
from benchmarks.table import Row
from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.ngram import Chunk, Settled
from mtor_kernel.protocol.query import Query

TITLE = "The line: submit → first chunk (ms), queries to their end (1/s)"
USERS = (1, 16, 64)

CATALOGUE = """
[[models]]
name = "echo"
modality = "chat"
backend = "echo"
slots = 64
rates = { query_micro = 10, input_token_micro = 1, output_token_micro = 2 }
"""

_QUESTION = Query.ask("Tea. Earl Grey. Hot.", "echo", max_tokens=100)
_numbers = itertools.count()

#: Does one thing once, and returns the seconds to what is waited for first.
Once = Callable[[], Awaitable[float]]


@dataclass(slots=True)
class Side:
    """What one of the two that are compared has shown, over all rounds."""

    delays: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def ms(self, share: float) -> float:
        """Return a percentile of the delays, in milliseconds."""
        return percentile(self.delays, share) * 1000

    async def go(self, users: list[Once], seconds: float, cpu: Cpu) -> None:
        """Have all users do it again and again for a while."""
        cpu.start()
        begun = time.perf_counter()
        counts = await asyncio.gather(*(self._repeat(once, begun + seconds) for once in users))
        self.rates.append(sum(counts) / (time.perf_counter() - begun))
        for part, used in cpu.stop().items():
            self.seconds[part] = self.seconds.get(part, 0.0) + used

    async def _repeat(self, once: Once, until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            self.delays.append(await once())
            count += 1
        return count

    def cpu_ms(self, part: str = "") -> float:
        """Return the processor time of one part, or of all, for each thing done."""
        used = self.seconds[part] if part else sum(self.seconds.values())
        return used / len(self.delays) * 1000


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    rounds, seconds = (2, 1.5) if bench.quick else (4, 3.0)
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        realm = await enter(realm_process(bench, "line", CATALOGUE))
        tls = await enter(bare_dask(bench, "line-tls", tls=True))
        tcp = await enter(bare_dask(bench, "line-tcp", tls=False))
        clients = [await enter(realm.client()) for _ in range(max(USERS))]
        asking = [_asking(client) for client in clients]
        await asyncio.gather(*(once() for once in asking))
        rows = []
        for users in USERS:
            ours, bare, plain = Side(), Side(), Side()
            bench.say(f"the line with {users} at once")
            for _ in range(rounds):
                await bare.go([_submitting(tls)] * users, seconds, tls.cpu())
                await ours.go(asking[:users], seconds, realm.cpu())
                await plain.go([_submitting(tcp)] * users, seconds / 2, tcp.cpu())
            rows += _rows(users, ours, bare, plain)
    return rows


def _asking(client: RealmClient) -> Once:
    async def once() -> float:
        begun, first = time.perf_counter(), 0.0
        running = await client.submit(_QUESTION)
        async for event in running.events():
            if isinstance(event, Chunk) and not first:
                first = time.perf_counter() - begun
        assert isinstance(event, Settled), event
        return first

    return once


def _submitting(dask: BareDask) -> Once:
    async def once() -> float:
        begun = time.perf_counter()
        await dask.client.submit(nothing, next(_numbers), pure=False)
        return time.perf_counter() - begun

    return once


def _rows(users: int, ours: Side, bare: Side, plain: Side) -> list[Row]:
    who = "1 user" if users == 1 else f"{users} users"
    added = ours.ms(0.5) - bare.ms(0.5)
    share = median(a / b for a, b in zip(ours.rates, bare.rates, strict=True))
    rate, bare_rate = median(ours.rates), median(bare.rates)
    alone = users == 1
    first = Row(
        f"submit → first chunk, {who}, p50", ours.ms(0.5), "ms", bare.ms(0.5), "bare Dask, TLS"
    )
    if alone:
        first = Row(
            *(first.figure, first.value, "ms", first.floor, first.floor_is, None),
            aim=f"≤ 10 ms added ({added:+.1f})",
            met=added <= 10,
        )
    rows = [
        first,
        Row(
            f"submit → first chunk, {who}, p99",
            ours.ms(0.99),
            "ms",
            bare.ms(0.99),
            "bare Dask, TLS",
        ),
        Row(
            *(f"to the end, {who}", rate, "1/s", bare_rate, "bare Dask, TLS", share),
            aim="" if alone else "≥ 0.6 of bare Dask",
            met=None if alone else share >= 0.6,
        ),
        Row(
            *(f"to the end, {who}", rate, "1/s", median(plain.rates), "bare Dask, TCP"),
        ),
        Row(
            f"CPU a query, all processes, {who}",
            ours.cpu_ms(),
            "ms",
            bare.cpu_ms(),
            "bare Dask, TLS",
        ),
    ]
    if users == max(USERS):
        rows += [
            Row(
                f"CPU a query, {part}, {who}",
                ours.cpu_ms(part),
                "ms",
                bare.cpu_ms(part) if part in bare.seconds else None,
                "bare Dask, TLS" if part in bare.seconds else "",
            )
            for part in ours.seconds
        ]
    return rows
