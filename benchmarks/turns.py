"""One decision of the fair queue with few and with many queries waiting.

A decision is: the next ticket is popped, its work ends, and its user pushes another, so that the
number of waiting tickets stays. The floor is the same with a plain heap that knows no users.
"""

from __future__ import annotations

import gc
import heapq
import random
import time
from collections.abc import Callable

from benchmarks.harness import Bench
from benchmarks.table import Row
from mtor_kernel.scheduling.fairqueue import FairQueue, Ticket

TITLE = "One scheduling decision"
WAITING = (100, 10_000, 100_000)


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    bench.say("scheduling decisions")
    turns, rounds = (500, 10) if bench.quick else (1000, 30)
    rows = []
    for title, users_of in (
        ("10 users", lambda waiting: 10),
        ("a user for every 10 queries", lambda waiting: waiting // 10),
    ):
        steps = {n: (_fair(n, users_of(n)), _heap(n)) for n in WAITING}
        found: dict[int, tuple[list[float], list[float]]] = {n: ([], []) for n in WAITING}
        # All sizes take turns, so that a busy moment of the machine falls on each of them.
        for _ in range(rounds):
            for n, (fair, heap) in steps.items():
                found[n][0].append(_time(fair, turns))
                found[n][1].append(_time(heap, turns))
        # The least of many rounds is what it takes when nothing else disturbs it.
        first = min(found[WAITING[0]][0])
        for n, (ours, bare) in found.items():
            times = min(ours) / first
            rows.append(
                Row(
                    *(f"{n:,} waiting, {title}", min(ours), "µs", min(bare), "heapq"),
                    aim="" if n == WAITING[0] else f"≤ 2 × the first ({times:.2f})",
                    met=None if n == WAITING[0] else times <= 2,
                )
            )
    return rows


def _time(step: Callable[[], None], turns: int) -> float:
    """Return the microseconds of one step."""
    gc.collect()
    begun = time.perf_counter()
    for _ in range(turns):
        step()
    return (time.perf_counter() - begun) / turns * 1e6


def _fair(waiting: int, users: int) -> Callable[[], None]:
    chance = random.Random(1)
    queue = FairQueue()
    number = 0

    def push(user: str) -> None:
        nonlocal number
        number += 1
        queue.push(Ticket(str(number), user, chance.uniform(1, 1000)))

    def step() -> None:
        ticket = queue.pop()
        assert ticket is not None
        queue.ended(ticket.query, ticket.cost / 2)
        push(ticket.user)

    for count in range(waiting):
        push(f"user-{count % users}")
    return step


def _heap(waiting: int) -> Callable[[], None]:
    chance = random.Random(1)
    heap = [(chance.random(), count) for count in range(waiting)]
    heapq.heapify(heap)

    def step() -> None:
        turn, count = heapq.heappop(heap)
        heapq.heappush(heap, (turn + chance.random(), count))

    return step
