"""Stable Diffusion 1.5's real architecture on a GPU, with random weights where none can be had."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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

pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.timeout(1200)]

DEFAULTS = Options(width=512, height=512, steps=20, guidance=7.5)
#: What MTOR may take of a pipeline's speed: the aim of the issue.
LEAST_SHARE = 0.97
TOGETHER = 4
PICTURES = 8
MIB, GIB = 2**20, 2**30


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU that torch can use")


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sd15(tmp_path_factory.mktemp("sd15"))


def spec(folder: Path, slots: int, **settings: Any) -> ModelSpec:
    return ModelSpec(
        "sd15",
        Modality.IMAGE,
        "diffusers",
        RateCard(free=True),
        slots=slots,
        max_pixels=4096 * 4096,
        max_steps=500,
        defaults=DEFAULTS,
        settings={"pipeline": str(folder), "device": "cuda", **settings},
    )


@contextmanager
def loaded(folder: Path, slots: int, **settings: Any) -> Iterator[DiffusersBackend]:
    made = DiffusersBackend(spec(folder, slots, **settings))
    made.load()
    try:
        yield made
    finally:
        made.unload()


@pytest.fixture
def backend(sd15: Path) -> Iterator[DiffusersBackend]:
    with loaded(sd15, TOGETHER) as made:
        yield made


def at_once(backend: Any, count: int, **options: Any) -> None:
    """Have several drawn, each asked for by a thread of its own; a failure of any is one here."""
    with ThreadPoolExecutor(count) as pool:
        for said in pool.map(lambda _: said_by(backend, **options), range(count)):
            assert isinstance(said[-1], Done)


def said_by(backend: Any, **options: Any) -> list[Any]:
    query = Query.ask("a red heart", "sd15", **options)
    return list(backend.stream(query, ContextDouble()))


def seconds(work: Any) -> float:
    import torch

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


def test_it_draws_nearly_as_many_pictures_as_the_bare_pipeline(sd15: Path) -> None:
    import torch
    from diffusers import DiffusionPipeline

    bare = DiffusionPipeline.from_pretrained(
        sd15, local_files_only=True, use_safetensors=True, dtype=torch.float16
    ).to("cuda")
    bare.set_progress_bar_config(disable=True)

    def one_by_one() -> None:
        for _ in range(PICTURES):
            bare(["a red heart"], num_inference_steps=20, width=512, height=512, guidance_scale=7.5)

    # Two ask at a time and each is drawn alone: what is measured is what MTOR adds to a picture
    # where others wait, not what drawing several together gains.
    with loaded(sd15, 2, max_batch=1) as backend, ThreadPoolExecutor(2) as pool:

        def asked_for() -> None:
            said = pool.map(lambda _: said_by(backend)[-1], range(PICTURES))
            assert all(isinstance(last, Done) for last in said)

        # In turns, so that a clock that falls with the heat falls for both.
        shares = [seconds(one_by_one) / seconds(asked_for) for _ in range(4)]
    print(f"images a second beside the bare pipeline: {[round(share, 3) for share in shares]}")
    assert statistics.median(shares[1:]) >= LEAST_SHARE  # the first warms up


def test_several_that_wait_are_drawn_faster_together(backend: DiffusersBackend) -> None:
    def in_turn() -> None:
        for _ in range(TOGETHER):
            said_by(backend)

    gains = [seconds(in_turn) / seconds(lambda: at_once(backend, TOGETHER)) for _ in range(4)]
    print(f"{TOGETHER} together beside one after the other: {[round(gain, 2) for gain in gains]}")
    assert statistics.median(gains[1:]) > 1.0


def test_what_does_not_fit_together_is_halved_and_all_are_drawn(sd15: Path) -> None:
    import torch

    with loaded(sd15, TOGETHER, gather_seconds=5.0) as backend:
        peaks = []
        for count in (1, TOGETHER):
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            at_once(backend, count, steps=2)
            peaks.append(torch.cuda.max_memory_allocated())
        assert peaks[1] > peaks[0] + 256 * MIB
        torch.cuda.empty_cache()
        with at_most(peaks[0] + (peaks[1] - peaks[0]) // 3):
            at_once(backend, TOGETHER, steps=2)
        assert backend._studio is not None
        assert backend._studio._fitting  # it was tried together first


def test_to_unload_gives_the_memory_back(sd15: Path) -> None:
    import torch

    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    with loaded(sd15, 1) as backend:
        said_by(backend, steps=2)
        assert torch.cuda.memory_reserved() > before + GIB
    # What stays are the libraries' own work spaces.
    assert torch.cuda.memory_reserved() < before + 256 * MIB


@contextmanager
def at_most(size_bytes: int) -> Iterator[None]:
    """Let torch have so much of the GPU."""
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, size_bytes / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_what_does_not_fit_is_refused_and_the_next_is_drawn(sd15: Path) -> None:
    import torch

    model = Model(spec(sd15, 1), DiffusersBackend(spec(sd15, 1)), lambda: None)
    with model.in_use() as backend:
        said_by(backend, steps=2)
    with at_most(int(torch.cuda.memory_allocated() + 1.5 * GIB)):
        with pytest.raises(MemoryError), model.in_use() as backend:
            said_by(backend, steps=2, width=4096, height=4096)
        assert not model.loaded
        gc.collect()
        with model.in_use() as backend:
            assert isinstance(said_by(backend, steps=2, width=256, height=256)[-1], Done)
    model.unload()
