"""One prompt over many rows, beside Dask's own map of the same texts.

The floor runs the echo backend on each text, over TLS: in tasks of as many rows as a query of a map
has at most, and in tasks of one. Durable, fair and accounted is not asked of it.
Memory is the most that a process holds while many rows are mapped; the client's has their table and
their answers in it.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.bare_dask import BareDask, bare_dask
from benchmarks.harness import Bench, Cpu, median, peaks, rss
from benchmarks.realm_process import realm_process
from benchmarks.table import Row
from dask_workers.attempts import Attempt
from dask_workers.backends.echo import EchoBackend
from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Delta, ModelSpec
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import MAX_TABLE_ROWS, Modality, Query

TITLE = "A map: one prompt over many rows"
#: Rows of a task of the floor: as many as one query of a map has at most, and one.
CHUNKS = (MAX_TABLE_ROWS, 1)
AIM = 0.5
_ECHO = ModelSpec("echo", Modality.CHAT, "echo", RateCard(free=True), default_max_tokens=100)
_CATALOGUE = """
[[models]]
name = "echo"
modality = "chat"
backend = "echo"
slots = 64
default_max_tokens = 100
max_output_tokens = 1000
rates = { query_micro = 1 }
"""


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    rows, rounds = int(bench.pick(5_000, 500)), int(bench.pick(3, 1))
    many = int(bench.pick(100_000, 2_000))
    rates: list[float] = []
    floors: dict[int, list[float]] = {chunk: [] for chunk in CHUNKS}
    ours: list[float] = []
    theirs: dict[int, list[float]] = {chunk: [] for chunk in CHUNKS}
    async with (
        realm_process(bench, "map", _CATALOGUE) as realm,
        realm.client() as client,
        bare_dask(bench, "map-dask") as dask,
    ):
        await _mapped(client, "warm", 500)
        for number in range(rounds):
            bench.say(f"map, round {number + 1} of {rounds}")
            for chunk in CHUNKS:
                cpu = _started(dask.cpu())
                floors[chunk].append(rows / await _bare(dask, number, rows, chunk))
                theirs[chunk].append(sum(cpu.stop().values()) / rows)
            cpu = _started(realm.cpu())
            rates.append(rows / await _mapped(client, f"round {number}", rows))
            ours.append(sum(cpu.stop().values()) / rows)
        bench.say(f"map, {many:,} rows")
        before = {name: rss(process) for name, process in realm.parts.items()}
        async with peaks(realm.parts) as most:
            seconds = await _mapped(client, "many", many)
    shares = {
        chunk: median(rate / floor for rate, floor in zip(rates, found, strict=True))
        for chunk, found in floors.items()
    }
    return [
        *(
            Row(
                *("rows", median(rates), "1/s", median(found), f"bare Dask, {chunk} a task"),
                ratio=shares[chunk],
                aim=f"at least {AIM} of bare Dask" if chunk != 1 else "",
                met=shares[chunk] >= AIM if chunk != 1 else None,
            )
            for chunk, found in floors.items()
        ),
        *(
            Row(
                *("processor time a row", median(ours) * 1000, "ms", median(found) * 1000),
                f"bare Dask, {chunk} a task",
            )
            for chunk, found in theirs.items()
        ),
        Row(f"rows, {many:,} of them", many / seconds, "1/s"),
        *(
            Row(f"memory of the {name} at most", most[name] / 2**20, "MiB", held / 2**20, "before")
            for name, held in before.items()
        ),
    ]


def _started(cpu: Cpu) -> Cpu:
    cpu.start()
    return cpu


async def _mapped(client: RealmClient, name: str, rows: int) -> float:
    texts = [f"{name}, row {number}" for number in range(rows)]
    begun = time.perf_counter()
    answers = await client.map("{x}", texts, "echo", progress=False, ask_above=None)
    seconds = time.perf_counter() - begun
    assert answers == texts
    return seconds


async def _bare(dask: BareDask, number: int, rows: int, chunk: int) -> float:
    texts = [f"round {number}, row {one}" for one in range(rows)]
    begun = time.perf_counter()
    bodies = [encode(Query.ask(text, "echo")) for text in texts]
    chunks = [bodies[at : at + chunk] for at in range(0, rows, chunk)]
    futures = dask.client.map(_echoed, chunks, pure=False)
    answers = await asyncio.gather(*futures)
    seconds = time.perf_counter() - begun
    assert [text for some in answers for text in some] == texts
    return seconds


def _echoed(bodies: list[bytes]) -> list[str]:
    """Do what a worker's backend does for these queries, and nothing else."""
    backend = EchoBackend(_ECHO)
    answers = []
    for body in bodies:
        context = Attempt(AttemptRef("0" * 32, 1, 1))
        said = list(backend.stream(decode(body, Query), context))
        answers.append("".join(one.text for one in said if isinstance(one, Delta)))
    return answers
