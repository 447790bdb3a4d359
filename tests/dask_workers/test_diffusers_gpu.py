"""Stable Diffusion 1.5's real architecture on a GPU, with random weights where none can be had."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dask_workers.backends.diffusers import DiffusersBackend
from dask_workers.models import Model
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.query import Modality, Options, Query
from tests.dask_workers.contract import ContextDouble
from tests.dask_workers.tiny_pipeline import save_sd15

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that torch can use"),
]

DEFAULTS = Options(width=512, height=512, steps=20, guidance=7.5)
#: What MTOR may take of a pipeline's speed: the aim of the issue.
LEAST_SHARE = 0.97
TOGETHER = 4
GIB = 2**30


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sd15(tmp_path_factory.mktemp("sd15"))


def spec(folder: Path, slots: int) -> ModelSpec:
    return ModelSpec(
        "sd15",
        Modality.IMAGE,
        "diffusers",
        RateCard(free=True),
        slots=slots,
        max_pixels=4096 * 4096,
        max_steps=500,
        defaults=DEFAULTS,
        settings={"pipeline": str(folder), "device": "cuda"},
    )


@pytest.fixture
def backend(sd15: Path) -> Iterator[DiffusersBackend]:
    made = DiffusersBackend(spec(sd15, TOGETHER))
    made.load()
    yield made
    made.unload()


def said_by(backend: Any, **options: Any) -> list[Any]:
    query = Query.ask("a red heart", "sd15", **options)
    return list(backend.stream(query, ContextDouble()))


def seconds(work: Any) -> float:
    torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def test_it_draws_with_progress_and_previews(backend: DiffusersBackend) -> None:
    said = said_by(backend, seed=1)
    steps = [one for one in said if isinstance(one, Step)]
    assert len(steps) in (20, 21)  # its scheduler takes the first step twice
    assert sum(bool(step.preview) for step in steps) == 3
    assert isinstance(said[-2], Delta)
    assert isinstance(said[-1], Done)


def test_a_cancel_is_heeded_within_a_second(backend: DiffusersBackend) -> None:
    said_by(backend, steps=2)
    context = ContextDouble()
    stream = backend.stream(Query.ask("a heart", "sd15", steps=500), context)
    next(iter(stream))
    threading.Timer(0.2, context.cancel).start()
    begun = time.perf_counter()
    assert not any(isinstance(one, Done) for one in stream)
    assert time.perf_counter() - begun < 1.2
    assert isinstance(said_by(backend, steps=2)[-1], Done)


def test_it_draws_nearly_as_many_pictures_as_the_bare_pipeline(
    sd15: Path, backend: DiffusersBackend
) -> None:
    from diffusers import DiffusionPipeline

    bare = DiffusionPipeline.from_pretrained(sd15, dtype=torch.float16).to("cuda")
    bare.set_progress_bar_config(disable=True)

    def alone() -> None:
        bare(["a red heart"], num_inference_steps=20, width=512, height=512, guidance_scale=7.5)

    shares = []
    for _ in range(6):  # the first warms up
        theirs, ours = seconds(alone), seconds(lambda: said_by(backend))
        shares.append(theirs / ours)
    print(f"images a second beside the bare pipeline: {[round(share, 3) for share in shares]}")
    assert statistics.median(shares[1:]) >= LEAST_SHARE


def test_several_that_wait_are_drawn_faster_together(backend: DiffusersBackend) -> None:
    def at_once() -> None:
        threads = [threading.Thread(target=said_by, args=(backend,)) for _ in range(TOGETHER)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def in_turn() -> None:
        for _ in range(TOGETHER):
            said_by(backend)

    gains = [seconds(in_turn) / seconds(at_once) for _ in range(4)]
    print(f"{TOGETHER} together beside one after the other: {[round(gain, 2) for gain in gains]}")
    assert statistics.median(gains[1:]) > 1.0


def test_what_does_not_fit_is_refused_and_the_next_is_drawn(sd15: Path) -> None:
    model = Model(spec(sd15, 1), DiffusersBackend(spec(sd15, 1)), lambda: None)
    with model.in_use() as backend:
        said_by(backend, steps=2)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(
        min(1.0, (torch.cuda.memory_allocated() + 1.5 * GIB) / total)
    )
    try:
        with pytest.raises(MemoryError), model.in_use() as backend:
            said_by(backend, steps=2, width=4096, height=4096)
        assert not model.loaded
        gc.collect()
        with model.in_use() as backend:
            assert isinstance(said_by(backend, steps=2, width=256, height=256)[-1], Done)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        model.unload()
