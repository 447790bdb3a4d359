"""Words a second of a small language model through a realm, beside the bare library.

The floor is llama.cpp's own server in a process of its own kind: the same file, one thread, asked
over HTTP by somebody who reads its stream, as one would without MTOR. Both are asked the same
questions at temperature 0, so they compute the same words.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import Bench, median
from benchmarks.realm_process import realm_process
from benchmarks.table import Row
from dask_workers.weights import pull
from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.ngram import Chunk
from mtor_kernel.protocol.query import Query

TITLE = "Words: SmolLM2, one thread, 64 tokens an answer"
_TOKENS = 64
_CATALOGUE = """
[[models]]
name = "smollm2"
modality = "chat"
backend = "llama_cpp"
preload = true
context_tokens = 2048
settings = { weights = "smollm2" }
rates = { output_token_micro = 1 }
"""
_QUESTIONS = (
    "Tell me a story about a ship.",
    "Why is the sky blue?",
    "How is bread made?",
    "What does a gardener do in spring?",
)


class _Told(NamedTuple):
    """One answer: its words, and when the first of them and the last came, in seconds."""

    words: int
    first: float
    last: float


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    folder = await asyncio.to_thread(pull, "smollm2")
    rounds = 1 if bench.quick else 4
    bench.say("words: the bare library is loaded")
    bare = await asyncio.to_thread(_bare, next(folder.glob("*.gguf")))
    ours: list[_Told] = []
    floor: list[_Told] = []
    async with realm_process(bench, "words", _CATALOGUE) as realm, realm.client() as client:
        bench.say("words through the realm")
        await _ask(client, _QUESTIONS[0])
        await asyncio.to_thread(bare, _QUESTIONS[0])
        for _ in range(rounds):
            for question in _QUESTIONS:
                floor.append(await asyncio.to_thread(bare, question))
                ours.append(await _ask(client, question))
    pairs = list(zip(ours, floor, strict=True))
    return [
        Row(
            "words a second",
            median(a.words / a.last for a in ours),
            "1/s",
            median(b.words / b.last for b in floor),
            "llama.cpp's server",
            median((a.words / a.last) / (b.words / b.last) for a, b in pairs),
        ),
        Row(
            "from the question to the first word",
            median(a.first for a in ours) * 1000,
            "ms",
            median(b.first for b in floor) * 1000,
            "llama.cpp's server",
            median(a.first / b.first for a, b in pairs),
        ),
    ]


async def _ask(client: RealmClient, question: str) -> _Told:
    begun, first, said = time.perf_counter(), 0.0, ""
    query = Query.ask(question, "smollm2", max_tokens=_TOKENS, temperature=0.0)
    async with await client.submit(query) as running:
        async for event in running.events():
            if isinstance(event, Chunk):
                first = first or time.perf_counter() - begun
        said = (await running.answer()).text
    return _Told(len(said.split()), first, time.perf_counter() - begun)


def _bare(model: Path) -> Callable[[str], _Told]:
    """Return what asks the bare library."""
    import xllamacpp

    parameters: Any = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.n_ctx, parameters.verbosity = 2048, 0
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.api_keys = [key := secrets.token_hex(16)]
    server = xllamacpp.Server(parameters)

    def ask(question: str) -> _Told:
        body = {
            "messages": [{"role": "user", "content": question}],
            "max_tokens": _TOKENS,
            "temperature": 0.0,
            "stream": True,
        }
        request = urllib.request.Request(
            server.listening_address + "/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        begun, first, said = time.perf_counter(), 0.0, ""
        with urllib.request.urlopen(request, timeout=120) as answer:
            for words in _words(answer):
                first = first or time.perf_counter() - begun
                said += words
        return _Told(len(said.split()), first, time.perf_counter() - begun)

    return ask


def _words(answer: Any) -> Iterator[str]:
    for line in answer:
        if line.startswith(b"data: {"):
            for choice in json.loads(line[6:])["choices"]:
                if words := choice["delta"].get("content"):
                    yield words
