"""Pictures a minute through a realm, beside the bare pipeline.

The floor is the built-in model's own pipeline in one process, one picture after the other. Four who
ask at once are drawn together, which the bare pipeline's caller would have to arrange.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.harness import Bench, median
from benchmarks.realm_process import realm_process
from benchmarks.table import Row
from dask_workers.places import locate
from mtor_kernel.client import RealmClient

TITLE = "Pictures, the built-in emoji model on one thread, 20 steps"
_CATALOGUE = """
[[models]]
name = "emoji"
modality = "image"
backend = "diffusers"
slots = 4
preload = true
defaults = { width = 256, height = 256, steps = 20, guidance = 3.0 }
settings = { pipeline = "emoji", n_threads = 1 }
rates = { query_micro = 1 }
"""
_PROMPTS = ("a red heart", "the sun", "a green apple", "a smiling face")


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    count, rounds = (4, 1) if bench.quick else (8, 3)
    bench.say("pictures: the bare pipeline is loaded")
    draw = await asyncio.to_thread(_bare)
    ours: dict[str, list[float]] = {"one after the other": [], "four at once": []}
    floors = []
    async with realm_process(bench, "pictures", _CATALOGUE) as realm, realm.client() as client:
        bench.say("pictures through the realm")
        await client.imagine(_PROMPTS[0], "emoji")
        draw(_PROMPTS[0])
        for _ in range(rounds):
            ours["one after the other"].append(await _rate(lambda: _ask(client, 1, count), count))
            ours["four at once"].append(await _rate(lambda: _ask(client, 4, count), count))
            floors.append(await _rate(lambda: _draw(draw, count), count))
    return [
        Row(
            f"pictures a minute, {how}",
            median(rates),
            "1/min",
            median(floors),
            "the bare pipeline",
            median(a / b for a, b in zip(rates, floors, strict=True)),
            aim="" if how == "four at once" else "≥ 0.97 on a GPU",
        )
        for how, rates in ours.items()
    ]


def _bare() -> Callable[[str], None]:
    """Return what draws one picture with the bare pipeline."""
    from dask_workers.backends.minilm import MiniLM
    from dask_workers.emoji.light import WEIGHTS, LightPipeline

    place = locate("", "minilm", "", (("model.onnx",), ("tokenizer.json",)))
    if isinstance(place, str):
        raise SystemExit(place)
    pipeline = LightPipeline(WEIGHTS, MiniLM(place))

    def draw(prompt: str) -> None:
        pipeline([prompt], width=256, height=256, num_inference_steps=20, guidance_scale=3.0)

    return draw


async def _rate(work: Callable[[], Awaitable[None]], count: int) -> float:
    """Return pictures a minute."""
    begun = time.perf_counter()
    await work()
    return count / (time.perf_counter() - begun) * 60


async def _ask(client: RealmClient, at_once: int, count: int) -> None:
    for first in range(0, count, at_once):
        prompts = [_PROMPTS[(first + n) % len(_PROMPTS)] for n in range(at_once)]
        await asyncio.gather(*(client.imagine(prompt, "emoji") for prompt in prompts))


async def _draw(draw: Callable[[str], None], count: int) -> None:
    for number in range(count):
        await asyncio.to_thread(draw, _PROMPTS[number % len(_PROMPTS)])
