"""An attempt always comes back as an outcome, and as one that keeps its secrets."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from dask_workers.discovery import Found
from dask_workers.runtime import Runtime
from dask_workers.tasks import carry, parse_key, run_query, task_key
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.errors import Malformed
from mtor_kernel.protocol.link import Stop, WorkerChunk, WorkerHello, WorkerOutcome
from mtor_kernel.protocol.query import Modality, Query, Text
from mtor_kernel.protocol.task import Outcome
from tests.dask_workers.gateway_double import TOKEN, GatewayDouble
from tests.dask_workers.samples import echo, new_query_id, task

ROOT = Path(__file__).parents[2]
MakeWorker = Callable[..., Runtime]


def test_an_answer_without_any_link_is_whole(make_worker: MakeWorker) -> None:
    spec = echo(chunks=3)
    outcome = carry(task(spec, "a b c"), make_worker(spec))
    assert outcome.parts == (Text("a b c "),)
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (3, 3)
    assert outcome.error is None
    assert not outcome.cancelled


class Miscounting:
    """A backend that says less than nothing, as one with a bug may."""

    modalities: ClassVar = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def missing(self) -> str:
        return ""

    def load(self) -> None:
        """There is nothing to load."""

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        yield Delta("so far")
        yield Done(Usage(output_tokens=-1))

    def unload(self) -> None:
        """There is nothing to unload."""


def test_a_backend_that_miscounts_fails_its_query_only(make_worker: MakeWorker) -> None:
    spec = echo()
    worker = make_worker()
    worker.serve([Found(spec, Miscounting(spec), "")])
    outcome = decode(encode(carry(task(spec), worker)), Outcome)
    assert outcome.error is not None
    assert outcome.error.code == "backend_failed"
    assert "miscounted" in outcome.error.message


def test_many_attempts_may_end_at_once_in_a_new_process() -> None:
    """What checks a type for the first time in several threads at once must not crash."""
    program = """
import sys, threading
sys.setswitchinterval(1e-6)
from dask_workers.discovery import discover
from dask_workers.runtime import Runtime
from dask_workers.tasks import carry
from tests.dask_workers.samples import echo, task
spec = echo(slots=16)
worker = Runtime("w1", threads=16)
worker.serve(discover([spec]))
together = threading.Barrier(16)
jobs = [task(spec) for _ in range(16)]
def go(job):
    together.wait()
    assert carry(job, worker).error is None
threads = [threading.Thread(target=go, args=(job,)) for job in jobs]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_what_became_of_an_attempt_is_told_by_the_link_after_its_answer(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = echo(chunks=3)
    worker = make_worker(spec)
    worker.connect(gateway.url, TOKEN)
    gateway.wait_for(WorkerHello)
    outcome = carry(task(spec, "a b c"), worker)
    (told,) = gateway.wait_for(WorkerOutcome)
    assert told.next == len("a b c ") == len(gateway.text_of(told.query))
    assert (told.usage, told.error, told.cancelled) == (outcome.usage, None, False)


def test_the_time_it_took_is_measured(make_worker: MakeWorker) -> None:
    spec = echo(delay=0.05)
    assert carry(task(spec), make_worker(spec)).usage.compute_ms >= 50


def test_a_backend_that_raises_is_a_failed_backend_without_its_words(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    spec = echo(chunks=3, fail=True, fail_after=1)
    with caplog.at_level(logging.ERROR):
        outcome = carry(task(spec, "a b c"), make_worker(spec))
    assert outcome.error is not None
    assert outcome.error.code == "backend_failed"
    assert "RuntimeError" in outcome.error.message
    assert "told to fail" not in outcome.error.message
    assert outcome.retryable
    assert outcome.parts == (Text("a "),)
    assert "told to fail" in caplog.text


def test_running_out_of_memory_frees_the_model_and_the_worker_lives(
    make_worker: MakeWorker,
) -> None:
    spec = echo(memory_error=True, fail_first=1)
    worker = make_worker(spec)
    outcome = carry(task(spec), worker)
    assert outcome.error is not None
    assert outcome.error.code == "resource_exhausted"
    assert not worker.models.get("echo").loaded
    assert carry(task(spec), worker).error is None


def test_an_error_of_the_realm_keeps_its_code(make_worker: MakeWorker) -> None:
    outcome = carry(task(echo("another")), make_worker(echo()))
    assert outcome.error is not None
    assert outcome.error.code == "no_model"
    assert outcome.retryable


def test_a_model_that_cannot_be_loaded_fails_its_query(make_worker: MakeWorker) -> None:
    spec = echo(fail_load=True)
    worker = make_worker(spec)
    outcome = carry(task(spec), worker)
    assert outcome.error is not None
    assert outcome.error.code == "backend_failed"
    assert worker.models.get("echo").trouble


def test_a_cancelled_attempt_is_charged_for_what_was_published(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = echo(chunks=1000, rate=100.0)
    worker = make_worker(spec)
    worker.connect(gateway.url, TOKEN)
    gateway.wait_for(WorkerHello)
    job = task(spec, "a b c")
    with ThreadPoolExecutor() as pool:
        running = pool.submit(carry, job, worker)
        gateway.wait_for(WorkerChunk, 3)
        gateway.say(Stop(job.attempt.query, 1))
        outcome = running.result(60)
    assert outcome.cancelled
    assert outcome.error is None
    (answer,) = outcome.parts
    assert isinstance(answer, Text)
    assert outcome.usage.output_tokens == len(answer.text.split()) >= 3
    assert outcome.usage.estimated


def test_a_newer_attempt_ends_the_older_one_as_lost(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec, query = echo(chunks=1000, rate=50.0), new_query_id()
    worker = make_worker(spec, echo("quick"))
    worker.connect(gateway.url, TOKEN)
    gateway.wait_for(WorkerHello)
    with ThreadPoolExecutor() as pool:
        old = pool.submit(carry, task(spec, query=query), worker)
        gateway.wait_for(WorkerChunk)
        new = carry(task(echo("quick"), query=query, attempt=2), worker)
        outcome = old.result(60)
    assert new.error is None
    assert outcome.error is not None
    assert outcome.error.code == "worker_lost"
    assert outcome.retryable


def test_an_attempt_that_was_given_up_before_it_starts_is_lost(make_worker: MakeWorker) -> None:
    spec = echo(hang=True)
    worker = make_worker(spec)
    job = task(spec)
    worker.attempts.cancel(job.attempt.query, 1, "the worker is closing")
    outcome = carry(job, worker)
    assert outcome.error is not None
    assert outcome.error.code == "worker_lost"


def test_a_payload_that_is_no_task_but_names_an_attempt_gets_an_outcome() -> None:
    job = task(echo())
    payload = encode({"attempt": job.attempt, "model": 5, "query": []})
    outcome = decode(run_query(payload), Outcome)
    assert outcome.attempt == job.attempt
    assert outcome.error is not None
    assert outcome.error.code == "malformed"
    assert not outcome.retryable


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b'{"attempt":{"query":"x"}}'])
def test_a_payload_that_names_nothing_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        run_query(payload)


def test_a_key_names_its_attempt() -> None:
    query = new_query_id()
    assert parse_key(task_key(query, 12)) == (query, 12)
    assert parse_key("inc-5") is None
    assert parse_key(("tuple", 1)) is None


def test_the_scheduler_can_import_it_at_no_cost() -> None:
    program = (
        "import sys, dask_workers.tasks; "
        "print({'distributed', 'websocket', 'psutil', 'xllamacpp'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "set()"
