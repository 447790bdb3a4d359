"""Two hundred streams at once, each of 30 chunks a second, as two hundred readers see them.

Every piece carries the time at which its worker made it. The floor is what the machine can do
without MTOR: as many threads in one process, each writing the same pieces at the same pace to a TCP
connection of its own, read by asyncio in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from dataclasses import dataclass, field

import psutil

from benchmarks.harness import Bench, Cpu, child, percentile
from benchmarks.realm_process import realm_process
from benchmarks.stamped import ages, stamp
from benchmarks.table import Row
from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.ngram import Chunk, Settled
from mtor_kernel.protocol.query import Query

TITLE = "Streams: 200 at once, 30 chunks a second each"
STREAMS, RATE = 200, 30.0
#: Each takes 64 tasks at once.
WORKERS = 4

_CATALOGUE = """
[[models]]
name = "stamped"
modality = "chat"
backend = "stamped"
slots = {slots}
default_max_tokens = 100000
max_output_tokens = 100000
rates = {{ output_token_micro = 1 }}
settings = {{ chunks = {chunks}, rate = {rate} }}
"""


@dataclass(slots=True)
class Heard:
    """What all readers have heard: when, and how old it was by then."""

    delays: list[float] = field(default_factory=list)
    first: float = float("inf")
    last: float = 0.0
    frames: int = 0

    def take(self, text: str) -> None:
        """Take in the text of one frame."""
        now = time.monotonic_ns()
        self.delays += ages(text, now)
        self.frames += 1
        self.first, self.last = min(self.first, now / 1e9), max(self.last, now / 1e9)

    @property
    def rate(self) -> float:
        """Pieces a second."""
        return len(self.delays) / (self.last - self.first)

    def ms(self, share: float) -> float:
        """Return a percentile of the delays, in milliseconds."""
        return percentile(self.delays, share) * 1000


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    chunks = int(RATE * bench.pick(12, 5))
    bench.say(f"{STREAMS} streams without MTOR")
    bare, bare_used = await _floor(bench, chunks)
    catalogue = _CATALOGUE.format(slots=64, chunks=chunks, rate=RATE)
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        realm = await enter(realm_process(bench, "streams", catalogue, workers=WORKERS))
        clients = [await enter(realm.client()) for _ in range(STREAMS)]
        await asyncio.gather(*(client.models() for client in clients))
        bench.say(f"{STREAMS} streams")
        ours, cpu = Heard(), realm.cpu()
        cpu.start()
        await asyncio.gather(*(_listen(client, ours) for client in clients))
        used = cpu.stop()
    return _rows(ours, used, bare, bare_used)


async def _listen(client: RealmClient, heard: Heard) -> None:
    running = await client.submit(Query.ask("What time is it?", "stamped"))
    async for event in running.events():
        if isinstance(event, Chunk):
            heard.take(event.text)
    assert isinstance(event, Settled), event


def _rows(
    ours: Heard, used: dict[str, float], bare: Heard, bare_used: dict[str, float]
) -> list[Row]:
    floor_is = "threads, TCP"
    pieces, aimed = len(ours.delays), STREAMS * RATE
    p99 = ours.ms(0.99)
    rows = [
        Row("chunks a second", ours.rate, "1/s", bare.rate, floor_is, aim=f"{aimed:,.0f} offered"),
        Row("delay worker → client, p50", ours.ms(0.5), "ms", bare.ms(0.5), floor_is),
        Row(
            *("delay worker → client, p99", p99, "ms", bare.ms(0.99), floor_is, None),
            aim="≤ 100 ms",
            met=p99 <= 100,
        ),
        Row("chunks joined into one frame", pieces / ours.frames, "", 1.0, floor_is),
    ]
    rows += [
        Row(
            f"processor time a chunk, {part}",
            seconds / pieces * 1e6,
            "µs",
            bare_used[part] / len(bare.delays) * 1e6 if part in bare_used else None,
            floor_is if part in bare_used else "",
        )
        for part, seconds in used.items()
    ]
    return rows


async def _floor(bench: Bench, chunks: int) -> tuple[Heard, dict[str, float]]:
    heard, done = Heard(), asyncio.Event()
    left = STREAMS

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        while line := await reader.readline():
            heard.take(line.decode())
        writer.close()
        left -= 1
        if not left:
            done.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, backlog=STREAMS)
    port = server.sockets[0].getsockname()[1]
    arguments = ["-m", "benchmarks.streams", str(port), str(chunks)]
    async with server, child(*arguments, log=bench.place("streams-bare") / "log") as writer:
        cpu = Cpu({"worker": [psutil.Process(writer.pid)], "client": [psutil.Process()]})
        cpu.start()
        await done.wait()
        # The writer is gone by now, or about to go; what it used is counted as it says it.
        used = cpu.stop()
    return heard, used


def _write(port: int, chunks: int) -> None:
    """Be the floor's writer: 200 threads, a connection each."""
    import socket

    sys.setswitchinterval(0.0005)

    def talk() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            begun = time.monotonic()
            for count in range(chunks):
                time.sleep(max(0.0, begun + count / RATE - time.monotonic()))
                connection.sendall(stamp().encode())

    threads = [threading.Thread(target=talk) for _ in range(STREAMS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Stay until the parent has read the processor time.
    sys.stdin.read()


if __name__ == "__main__":
    _write(int(sys.argv[1]), int(sys.argv[2]))
