"""From nothing to an answer: a personal realm, and the import before it.

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
from mtor_kernel.protocol.ngram import Chunk
from mtor_kernel.protocol.query import Query

TITLE = "Start-up"
_MODEL = "smollm2"
_DASK = "Dask's first task"
#: What a Jupyter server imports before its extensions, and what ours has it import.
_SERVER = "import jupyter_server.serverapp, jupyter_server.extension.application\n"
_EXTENSION = "import mtor_kernel; mtor_kernel._jupyter_server_extension_points()\n"
#: By how much later it may start for it.
_LATER_SECONDS = 0.3


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    rounds = 1 if bench.quick else 3
    bench.say("imports")
    nothing_at_all, imported = await _programs(5 * rounds, "pass", "import mtor_kernel")
    bare, extended = await _programs(5 * rounds, _SERVER, _SERVER + _EXTENSION)
    has_model = find(_MODEL, data_dir()) is not None
    models = ["echo", _MODEL] if has_model else ["echo"]
    healthy: list[float] = []
    answered: dict[str, list[float]] = {model: [] for model in models}
    floors = []
    for number in range(rounds):
        bench.say("start-up of a realm, and of bare Dask")
        health, answers = await _realm(bench, f"startup-{number}", models)
        healthy.append(health)
        for model, seconds in answers.items():
            answered[model].append(seconds)
        floors.append(await _dask(bench, f"startup-dask-{number}"))
    rows = [
        Row("import mtor_kernel", imported * 1000, "ms", nothing_at_all * 1000, "python -c pass"),
        Row(
            "a Jupyter server's imports, with the extension",
            extended * 1000,
            "ms",
            bare * 1000,
            "without it",
            f"at most {_LATER_SECONDS * 1000:.0f} ms later ({(extended - bare) * 1000:+.0f})",
            extended - bare <= _LATER_SECONDS,
        ),
        Row("a realm, until it says that it is well", median(healthy), "s"),
    ]
    return rows + [
        Row(f"a realm, until {model}'s first word", median(found), "s", median(floors), _DASK)
        for model, found in answered.items()
    ]


async def _realm(bench: Bench, name: str, models: list[str]) -> tuple[float, dict[str, float]]:
    """Return the seconds until the realm is well, and until each model's first word."""
    folder = bench.place(name)
    variables = environment(folder)
    begun = time.perf_counter()
    arguments = ["-m", "mtor_kernel.cli", "realm", "run", "--idle-seconds", "120"]
    async with child(*arguments, log=folder / "realm.log", environment=variables):
        runtime = await ready(folder)
        healthy = time.perf_counter() - begun
        async with RealmClient(runtime.url, runtime.token) as client:
            heard = await asyncio.gather(*(_heard(client, model) for model in models))
    return healthy, {model: at - begun for model, at in zip(models, heard, strict=True)}


async def _heard(client: RealmClient, model: str) -> float:
    """Return the moment of the first word."""
    query = Query.ask("What is the capital of France?", model, max_tokens=8)
    async with await client.submit(query) as running:
        async for event in running.events():
            if isinstance(event, Chunk):
                return time.perf_counter()
        await running.answer()  # raises what went wrong
    raise RuntimeError(f"{model} said nothing")


async def _dask(bench: Bench, name: str) -> float:
    begun = time.perf_counter()
    async with bare_dask(bench, name) as dask:
        await dask.client.submit(nothing, 0, pure=False)
        return time.perf_counter() - begun


async def _programs(rounds: int, *codes: str) -> list[float]:
    """Return the seconds that a Python of its own takes for each of `codes`, in turns."""
    found: list[list[float]] = [[] for _ in codes]
    for _ in range(rounds):
        for code, times in zip(codes, found, strict=True):
            begun = time.perf_counter()
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
            assert await process.wait() == 0
            times.append(time.perf_counter() - begun)
    return [median(times) for times in found]
