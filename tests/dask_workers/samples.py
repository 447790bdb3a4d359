"""Models, queries and tasks as the tests of the workers need them."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import Modality, Options, Query
from mtor_kernel.protocol.task import Row, Slice, Task

_numbers = itertools.count(1)

SMOLLM2 = ModelSpec(
    "smollm2",
    Modality.CHAT,
    "llama_cpp",
    RateCard(free=True),
    context_tokens=2048,
    settings={"weights": "smollm2"},
)

EMOJI = ModelSpec(
    "emoji",
    Modality.IMAGE,
    "diffusers",
    RateCard(free=True),
    slots=4,
    defaults=Options(width=64, height=64, steps=20, guidance=3.0),
    settings={"pipeline": "emoji", "n_threads": 1},
)

SIGHT = ModelSpec("sight", Modality.VISION, "sight", RateCard(free=True), slots=2)


def echo(
    name: str = "echo", *, slots: int = 4, preload: bool = False, **settings: Any
) -> ModelSpec:
    """An echo with these settings."""
    return ModelSpec(
        name,
        Modality.CHAT,
        "echo",
        RateCard(free=True),
        slots=slots,
        preload=preload,
        settings=settings,
    )


def new_query_id() -> str:
    return f"{next(_numbers):032x}"


def task(
    spec: ModelSpec,
    prompt: str = "to be or not to be",
    *,
    query: str = "",
    attempt: int = 1,
    epoch: int = 1,
    **options: Any,
) -> Task:
    """One attempt to answer one prompt."""
    ref = AttemptRef(query or new_query_id(), attempt, epoch)
    return Task(ref, spec, Query.ask(prompt, spec.name, **options))


def slice_of(spec: ModelSpec, *prompts: str, seconds: float = 60.0) -> Slice:
    """First attempts to answer these prompts, which take turns."""
    bodies = [msgspec.Raw(encode(Query.ask(one, spec.name))) for one in prompts]
    rows = [Row(AttemptRef(new_query_id(), 1, 1), body) for body in bodies]
    return Slice(spec, tuple(rows), seconds)
