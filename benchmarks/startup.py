"""From nothing to an answer: a personal realm, and the imports before it.

The floors: a Dask scheduler and worker until the first task's result, and a Python that does
nothing.
"""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.bare_dask import bare_dask, nothing
from benchmarks.harness import Bench, child, median
from benchmarks.realm_process import environment, ready
from benchmarks.table import Row
from dask_workers.weights import find
from mtor_kernel.client import RealmClient
from mtor_kernel.locate import data_dir

TITLE = "Start-up (s)"

_QUESTION = "What is the capital of France?"


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    rounds = 1 if bench.quick else 3
    bench.say("imports")
    imports = await _imports(5 * rounds)
    bench.say("start-up of a realm")
    realm = [await _realm(bench, f"startup-{number}") for number in range(rounds)]
    dask = [await _dask(bench, f"startup-dask-{number}") for number in range(rounds)]
    first = median(dask)
    rows = [
        Row("import mtor_kernel", imports[1] * 1000, "ms", imports[0] * 1000, "python -c pass"),
        Row("a realm, until it answers its health check", median(r[0] for r in realm), "s"),
        Row(
            *("a realm, until the first answer of echo", median(r[1] for r in realm), "s"),
            *(first, "Dask's first task"),
        ),
    ]
    if realm[0][2] is not None:
        answers = [r[2] for r in realm if r[2] is not None]
        rows.append(
            Row(
                *("a realm, until SmolLM2's first word", median(answers), "s"),
                *(first, "Dask's first task"),
            )
        )
    return rows


async def _realm(bench: Bench, name: str) -> tuple[float, float, float | None]:
    """Return the seconds until health, until an answer of echo and of the model, if it is here."""
    folder = bench.place(name)
    has_model = find("smollm2", data_dir()) is not None
    variables = environment(folder)
    begun = time.perf_counter()
    arguments = ["-m", "mtor_kernel.cli", "realm", "run", "--idle-seconds", "120"]
    async with child(*arguments, log=folder / "realm.log", environment=variables):
        runtime = await ready(folder)
        healthy = time.perf_counter() - begun
        async with RealmClient(runtime.url, runtime.token) as client:
            echo, model = await asyncio.gather(
                _answer(client, "echo"), _answer(client, "smollm2") if has_model else _nobody()
            )
    return healthy, echo - begun, None if model is None else model - begun


async def _answer(client: RealmClient, model: str) -> float:
    """Return the moment of the first word."""
    running = await client.submit(_question(model))
    async with running:
        async for event in running.events():
            if type(event).__name__ == "Chunk":
                return time.perf_counter()
    raise RuntimeError(f"{model} said nothing")


def _question(model: str):
    from mtor_kernel.protocol.query import Query

    return Query.ask(_QUESTION, model, max_tokens=8)


async def _nobody() -> None:
    return None


async def _dask(bench: Bench, name: str) -> float:
    begun = time.perf_counter()
    async with bare_dask(bench, name, tls=True) as dask:
        await dask.client.submit(nothing, 0, pure=False)
        return time.perf_counter() - begun


async def _imports(rounds: int) -> tuple[float, float]:
    """Return the seconds of a Python that does nothing, and of one that imports MTOR."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for code, times in zip(("pass", "import mtor_kernel"), found, strict=True):
            begun = time.perf_counter()
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
            assert await process.wait() == 0
            times.append(time.perf_counter() - begun)
    return median(found[0]), median(found[1])
