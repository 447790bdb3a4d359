"""A real model inside the worker's process: stoppable, silent, closed to its neighbours."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil
import pytest

from dask_workers.attempts import Attempt
from dask_workers.backends.llama_cpp import LlamaCppBackend
from dask_workers.runtime import Runtime
from dask_workers.tasks import carry
from mtor_kernel.protocol.backend import Delta, Done
from mtor_kernel.protocol.errors import BackendFailed, BadInput, TooLarge
from mtor_kernel.protocol.link import AttemptRef, Stop, WorkerChunk, WorkerHello
from mtor_kernel.protocol.query import Image, Message, Query
from tests.dask_workers.gateway_double import TOKEN, GatewayDouble
from tests.dask_workers.samples import SMOLLM2, task

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("smollm2")]

STORY = "Tell a very long story about the sea."


@pytest.fixture
def backend() -> Iterator[LlamaCppBackend]:
    backend = LlamaCppBackend(SMOLLM2)
    backend.load()
    yield backend
    backend.unload()


def answer(backend: LlamaCppBackend, query: Query) -> tuple[str, Done]:
    *pieces, done = backend.stream(query, Attempt(AttemptRef("0" * 32, 1, 1)))
    assert isinstance(done, Done)
    return "".join(piece.text for piece in pieces if isinstance(piece, Delta)), done


def test_it_is_a_real_model(backend: LlamaCppBackend) -> None:
    text, done = answer(backend, Query.ask("Name the capital city of France.", temperature=0.0))
    assert "Paris" in text
    assert done.finish_reason == "stop"
    assert done.usage.input_tokens > 10


def test_a_conversation_that_does_not_fit_is_refused_with_its_figures(
    backend: LlamaCppBackend,
) -> None:
    with pytest.raises(TooLarge, match=r"2,048") as refused:
        answer(backend, Query.ask("bee " * 3000))
    assert refused.value.details["limit"] == 2048
    assert int(refused.value.details["used"]) > 3000


def test_an_answer_can_be_held_to_a_schema(backend: LlamaCppBackend) -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer"}},
        "required": ["age"],
        "additionalProperties": False,
    }
    text, _ = answer(backend, Query.ask("How old is she?", json_schema=schema, max_tokens=60))
    assert isinstance(msgspec.json.decode(text)["age"], int)


def test_a_picture_is_refused(backend: LlamaCppBackend) -> None:
    query = Query((Message("user", (Image("a" * 64),)),))
    with pytest.raises(BadInput, match="words only"):
        answer(backend, query)


def test_a_neighbour_without_the_key_gets_nothing(backend: LlamaCppBackend) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(backend.address + "/v1/models")
    assert refused.value.code == 401
    refused.value.close()


def test_the_library_prints_nothing(
    backend: LlamaCppBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    backend.unload()
    backend.load()
    answer(backend, Query.ask("Hello", max_tokens=4))
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_no_model_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\1" * 1000)
    backend = LlamaCppBackend(msgspec.structs.replace(SMOLLM2, settings={"path": str(broken)}))
    assert backend.missing() == ""
    with pytest.raises(BackendFailed, match=r"broken\.gguf"):
        backend.load()


def test_a_cancel_stops_the_computing(
    make_worker: Callable[..., Runtime], gateway: GatewayDouble
) -> None:
    worker = make_worker(SMOLLM2)
    worker.connect(gateway.url, TOKEN)
    gateway.wait_for(WorkerHello)
    job = task(SMOLLM2, STORY, max_tokens=1900, temperature=1.0)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(carry, job, worker)
        gateway.wait_for(WorkerChunk, 3)
        gateway.say(Stop(job.attempt.query, 1))
        outcome = running.result(60)
    assert outcome.cancelled
    assert outcome.usage.output_tokens >= 1
    assert idle_within(3)


def test_a_cancel_stops_the_reading_of_a_long_prompt_too(
    make_worker: Callable[..., Runtime],
) -> None:
    worker = make_worker(SMOLLM2)
    worker.models.get("smollm2").load()
    job = task(SMOLLM2, "ant " * 1900)
    process = psutil.Process()
    with ThreadPoolExecutor() as pool:
        before = process.cpu_times().user
        running = pool.submit(carry, job, worker)
        while process.cpu_times().user - before < 0.5:  # it is well under way
            process.cpu_percent(0.05)
        worker.attempts.cancel(job.attempt.query, 1)
        assert running.result(60).cancelled
    assert idle_within(5)  # the prompt alone takes three times as long


def idle_within(seconds: float) -> bool:
    """Tell whether this process stops computing in so many seconds."""
    process = psutil.Process()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.cpu_percent(0.2) < 30:
            return True
    return False
