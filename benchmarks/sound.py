"""Speech out, speech in and embeddings through a realm, beside the bare libraries.

The floor runs in this process: the same model, the same settings, one after the other, and nothing
in between. Turns are taken. The real-time factor is the time that is computed for a second of
sound: less is better, and below 1 it keeps up.
"""

from __future__ import annotations

import asyncio
import io
import time
import wave
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, median
from benchmarks.realm_process import realm_process
from benchmarks.table import Row
from dask_workers.weights import pull
from mtor_kernel.client import RealmClient

TITLE = "Sound: seconds of work for a second of speech, and embeddings a second"
_SENTENCES = (
    "The ship left the harbour at seven in the morning. ",
    "Nobody knew how long the journey would take. ",
    "She opened the window and looked at the snow. ",
    "Our train was late because a tree had fallen on the line. ",
)
_SPEECH, _EAR, _VECTORS = "hibari", "faster-whisper", "onnxruntime"

#: Does the work once, and returns its figure: a real-time factor, or texts a second.
Work = Callable[[], Awaitable[float]]


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    folders = {name: pull(name) for name in ("minilm", "whisper-tiny-en")}
    rounds, repeats = (2, 2) if bench.quick else (5, 6)
    text = "".join(_SENTENCES * repeats)
    texts = [f"{sentence} {number}" for number in range(16) for sentence in _SENTENCES]
    catalogue = (files("mtor_kernel.realm") / "catalogue.toml").read_text("utf-8")
    catalogue = catalogue.replace("preload = true", "")
    voice, recording = await asyncio.to_thread(_bare_voice, text)
    ear = await asyncio.to_thread(_bare_ear, folders["whisper-tiny-en"], recording)
    vectors = await asyncio.to_thread(_bare_vectors, folders["minilm"], texts)
    async with realm_process(bench, "sound", catalogue) as realm, realm.client() as client:
        pairs: list[tuple[str, str, str, Work, Work]] = [
            ("speech out, real-time factor", "", _SPEECH, _say(client, text), voice),
            ("speech in, real-time factor", "", _EAR, _listen(client, recording), ear),
            ("embeddings, 64 in a query", "1/s", _VECTORS, _embed(client, texts), vectors),
            ("embeddings, one in a query", "1/s", _VECTORS, _embed_each(client, texts), vectors),
        ]
        rows = []
        for figure, unit, floor_is, ours, bare in pairs:
            bench.say(figure)
            await ours()  # the model is loaded
            told, floor = [], []
            for _ in range(rounds):
                floor.append(await bare())
                told.append(await ours())
            share = median(a / b for a, b in zip(told, floor, strict=True))
            rows.append(Row(figure, median(told), unit, median(floor), floor_is, share))
    return rows


def _say(client: RealmClient, text: str) -> Work:
    async def work() -> float:
        begun = time.perf_counter()
        reply = await client.say(text)
        return (time.perf_counter() - begun) / (reply.charge.usage.audio_ms / 1000)

    return work


def _listen(client: RealmClient, recording: bytes) -> Work:
    async def work() -> float:
        begun = time.perf_counter()
        reply = await client.listen(recording)
        return (time.perf_counter() - begun) / (reply.charge.usage.audio_ms / 1000)

    return work


def _embed(client: RealmClient, texts: list[str]) -> Work:
    async def work() -> float:
        begun = time.perf_counter()
        await client.embed(texts)
        return len(texts) / (time.perf_counter() - begun)

    return work


def _embed_each(client: RealmClient, texts: list[str]) -> Work:
    async def work() -> float:
        begun = time.perf_counter()
        for text in texts[:16]:
            await client.embed(text)
        return 16 / (time.perf_counter() - begun)

    return work


def _bare_voice(text: str) -> tuple[Work, bytes]:
    """Return the library at work, and what it says as a WAV."""
    import numpy as np
    from hibari import SAMPLE_RATE, Hibari

    voice = Hibari(voice="heart", threads=1)
    samples = voice(text, seed=0)

    def say() -> float:
        begun = time.perf_counter()
        return _factor(begun, sum(len(part) for part in voice.stream(text)) / SAMPLE_RATE)

    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        sound.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return _threaded(say), file.getvalue()


def _bare_ear(folder: Path, recording: bytes) -> Work:
    from faster_whisper import WhisperModel

    model = WhisperModel(
        str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
    )

    def hear() -> float:
        begun = time.perf_counter()
        segments, info = model.transcribe(
            io.BytesIO(recording),
            language="en",
            beam_size=1,
            vad_filter=True,
            condition_on_previous_text=False,
        )
        list(segments)
        return _factor(begun, info.duration)

    return _threaded(hear)


def _bare_vectors(folder: Path, texts: list[str]) -> Work:
    """One text after the other: what a padded batch would be is no faster on one thread."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    net: Any = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()

    def embed() -> float:
        begun = time.perf_counter()
        for text in texts:
            ids = np.array([tokenizer.encode(text).ids], np.int64)
            mask = np.ones_like(ids)
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": 0 * ids}
            mean = net.run(None, inputs)[0][0].mean(axis=0)
            (mean / np.linalg.norm(mean)).tolist()
        return len(texts) / (time.perf_counter() - begun)

    return _threaded(embed)


def _factor(begun: float, sound_seconds: float) -> float:
    return (time.perf_counter() - begun) / sound_seconds


def _threaded(work: Callable[[], float]) -> Work:
    """Beside the loop, which has the client's connection to keep."""

    async def threaded() -> float:
        return await asyncio.to_thread(work)

    return threaded
