"""One prompt over many rows, beside Dask's own map of the same texts.

The floor says each text back, in tasks of one row, as a map's are, and in tasks of a hundred:
durable, fair and accounted is not asked of it.
The client's growth is what its process has more in the end, its table and its answers included.
"""

from __future__ import annotations

import asyncio
import time

import psutil

from benchmarks.bare_dask import BareDask, bare_dask
from benchmarks.harness import Bench, median, rss
from benchmarks.realm_process import realm_process
from benchmarks.table import Row
from mtor_kernel.client import RealmClient

TITLE = "A map: one prompt over many rows"
#: Rows of a task of the floor.
CHUNKS = (1, 100)
AIM = 0.5
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
    async with (
        realm_process(bench, "map", _CATALOGUE) as realm,
        realm.client() as client,
        bare_dask(bench, "map-dask") as dask,
    ):
        await _mapped(client, "warm", 200)
        for number in range(rounds):
            bench.say(f"map, round {number + 1} of {rounds}")
            for chunk, found in floors.items():
                found.append(rows / await _bare(dask, number, rows, chunk))
            rates.append(rows / await _mapped(client, f"round {number}", rows))
        bench.say(f"map, {many:,} rows")
        before, gateway = rss(psutil.Process()), rss(realm.gateway)
        seconds = await _mapped(client, "many", many)
        grown, there = rss(psutil.Process()) - before, rss(realm.gateway) - gateway
    shares = {
        chunk: median(rate / floor for rate, floor in zip(rates, found, strict=True))
        for chunk, found in floors.items()
    }
    return [
        *(
            Row(
                *("rows", median(rates), "1/s", median(found), f"Dask, {chunk} a task"),
                ratio=shares[chunk],
                aim=f"at least {AIM} of bare Dask" if chunk == 1 else "",
                met=shares[chunk] >= AIM if chunk == 1 else None,
            )
            for chunk, found in floors.items()
        ),
        Row(f"rows, {many:,} of them", many / seconds, "1/s"),
        Row(f"the client grows by, {many:,} rows", grown / 2**20, "MiB"),
        Row("the gateway grows by meanwhile", there / 2**20, "MiB"),
    ]


async def _mapped(client: RealmClient, name: str, rows: int) -> float:
    texts = [f"{name}, row {number}" for number in range(rows)]
    begun = time.perf_counter()
    answers = await client.map("{x}", texts, "echo", progress=False, ask_above=None)
    seconds = time.perf_counter() - begun
    assert answers == texts
    return seconds


async def _bare(dask: BareDask, number: int, rows: int, chunk: int) -> float:
    texts = [f"round {number}, row {one}" for one in range(rows)]
    chunks = [texts[at : at + chunk] for at in range(0, rows, chunk)]
    begun = time.perf_counter()
    futures = dask.client.map(_said, chunks, pure=False)
    answers = await asyncio.gather(*futures)
    seconds = time.perf_counter() - begun
    assert [text for some in answers for text in some] == texts
    return seconds


def _said(texts: list[str]) -> list[str]:
    return [str(text) for text in texts]
