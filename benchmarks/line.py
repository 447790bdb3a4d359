"""The whole line: submit to first chunk, and queries a second to their ends.

A realm as it is deployed is asked by 1, 16 and 64 users at once, each with a connection of their
own, who ask again as soon as their query has ended; the instant echo backend answers. The floor is
``Client.submit`` of a no-op and its result, by as many users, on a cluster of the same kind. Turns
are taken (bare Dask, MTOR, bare Dask…), so that both meet the same weather.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks.bare_dask import BareDask, bare_dask, nothing, plain_dask
from benchmarks.harness import Bench, Cpu, median, percentile
from benchmarks.realm_process import realm_process
from benchmarks.table import Row
from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.ngram import Chunk, Settled
from mtor_kernel.protocol.query import Query

TITLE = "The line: submit → first chunk, and queries to their end"
USERS = (1, 16, 64)
#: What is asked for (issue and design): added to bare Dask's round trip; of bare Dask's tasks.
MOST_ADDED_MS, LEAST_SHARE = 10.0, 0.6
#: How much longer than planned a round may take before something must be wrong.
STUCK_SECONDS = 60.0

CATALOGUE = """
[[models]]
name = "echo"
modality = "chat"
backend = "echo"
slots = 64
rates = { query_micro = 10, input_token_micro = 1, output_token_micro = 2 }
"""

_TLS, _TCP = "bare Dask, TLS", "bare Dask, TCP"
_QUESTION = Query.ask("Tea. Earl Grey. Hot.", "echo", max_tokens=100)
_numbers = itertools.count()

#: Does one thing once, and returns the seconds to what is waited for first.
Once = Callable[[], Awaitable[float]]


@dataclass(slots=True)
class Side:
    """What one of those that are compared has shown, over all rounds."""

    delays: list[float] = field(default_factory=list)
    #: Things done a second, a figure a round.
    rates: list[float] = field(default_factory=list)
    #: Processor time of each part.
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Things done a second in the middle round."""
        return median(self.rates)

    def ms(self, share: float) -> float:
        """Return a percentile of the delays, in milliseconds."""
        return percentile(self.delays, share) * 1000

    def cpu_ms(self, part: str = "") -> float:
        """Return the processor time of one part, or of all, for each thing done."""
        used = self.seconds[part] if part else sum(self.seconds.values())
        return used / len(self.delays) * 1000

    async def go(self, users: list[Once], seconds: float, cpu: Cpu) -> None:
        """Have all users do it again and again for a while."""
        cpu.start()
        begun = time.perf_counter()
        async with asyncio.timeout(seconds + STUCK_SECONDS):
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


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    rounds, seconds = (2, 1.5) if bench.quick else (5, 3.0)
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        realm = await enter(realm_process(bench, "line", CATALOGUE))
        tls = await enter(bare_dask(bench, "line-tls"))
        tcp = await enter(plain_dask(bench, "line-tcp"))
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
                await plain.go([_submitting(tcp)] * users, seconds / 3, tcp.cpu())
            rows += _rows("1 user" if users == 1 else f"{users} users", ours, bare, plain)
    return rows + _parts(ours, bare)


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


def _rows(who: str, ours: Side, bare: Side, plain: Side) -> list[Row]:
    alone = who == "1 user"
    p50, added = ours.ms(0.5), ours.ms(0.5) - bare.ms(0.5)
    share = median(a / b for a, b in zip(ours.rates, bare.rates, strict=True))
    return [
        Row(
            *(f"submit → first chunk, {who}, p50", p50, "ms", bare.ms(0.5), _TLS),
            aim=f"at most {MOST_ADDED_MS:.0f} ms added ({added:+.1f})" if alone else "",
            met=added <= MOST_ADDED_MS if alone else None,
        ),
        Row(f"submit → first chunk, {who}, p99", ours.ms(0.99), "ms", bare.ms(0.99), _TLS),
        Row(
            *(f"to the end, {who}", ours.rate, "1/s", bare.rate, _TLS, share),
            aim="" if alone else f"at least {LEAST_SHARE} of bare Dask",
            met=None if alone else share >= LEAST_SHARE,
        ),
        Row(f"to the end, {who}", ours.rate, "1/s", plain.rate, _TCP),
        Row(f"processor time a query, {who}", ours.cpu_ms(), "ms", bare.cpu_ms(), _TLS),
    ]


def _parts(ours: Side, bare: Side) -> list[Row]:
    """Return the processor time of each process in the last comparison."""
    rows = []
    for part in ours.seconds:
        figure = f"  of which the {part}"
        if part in bare.seconds:
            rows.append(Row(figure, ours.cpu_ms(part), "ms", bare.cpu_ms(part), _TLS))
        else:
            rows.append(Row(figure, ours.cpu_ms(part), "ms"))
    return rows
