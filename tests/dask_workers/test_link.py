"""The link carries what attempts say, hears what the realm says, and comes back when it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dask_workers.discovery import Found
from dask_workers.link import Link
from dask_workers.runtime import Runtime, Stock
from dask_workers.tasks import carry
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.codec import MAX_DEPTH
from mtor_kernel.protocol.link import (
    Beat,
    Bye,
    Drain,
    Health,
    Load,
    Served,
    Stop,
    Unload,
    WorkerChunk,
    WorkerHello,
    WorkerSeveral,
)
from mtor_kernel.protocol.query import Data, text_of
from tests.dask_workers.gateway_double import TOKEN, GatewayDouble
from tests.dask_workers.samples import echo, task
from tests.plugins import HeldBackend, OrdersBackend, held

MakeWorker = Callable[..., Runtime]

QUERY = "5" * 32


def linked(worker: Runtime, gateway: GatewayDouble) -> Runtime:
    worker.connect(gateway.url, TOKEN)
    gateway.wait_for(WorkerHello)
    return worker


def test_the_first_thing_said_is_who_it_is_and_what_it_serves(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    linked(make_worker(echo(slots=3)), gateway)
    first = gateway.heard[0].ngram
    assert first == WorkerHello("w1", served=(Served("echo", 3),), threads=8)


def test_a_wrong_token_is_refused_and_tried_again(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    worker = make_worker(echo())
    worker.connect(gateway.url, "not the token")
    gateway.wait(lambda heard: gateway.refused >= 2)
    assert not worker.connection


def test_what_several_attempts_say_at_once_arrives_in_order(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = echo(chunks=300)
    worker = linked(make_worker(spec), gateway)
    jobs = [task(spec, f"a{n} b{n} c{n}") for n in range(6)]
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda job: carry(job, worker), jobs))
    for job, outcome in zip(jobs, outcomes, strict=True):
        whole = text_of(outcome.parts)
        gateway.wait(lambda _, q=job.attempt.query, t=whole: gateway.text_of(q) == t)


def test_a_busy_link_sends_what_is_said_together(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    worker = linked(make_worker(echo()), gateway)
    chunks = [WorkerChunk(QUERY, 1, 1, seq, "x") for seq in range(500)]
    assert all(worker.send(chunk, worker.connection) for chunk in chunks)
    assert gateway.wait_for(WorkerChunk, 500) == chunks
    several = gateway.frames(WorkerSeveral)
    assert several
    assert len(several) + len(gateway.frames(WorkerChunk)) < 250


def test_no_older_state_is_told_after_a_newer_one(gateway: GatewayDouble) -> None:
    link = Link(
        gateway.url, TOKEN, hello=lambda: WorkerHello("w1"), beat=lambda: Beat((), 0), hear=print
    )
    link.start()
    gateway.wait_for(WorkerHello)
    looked, started = threading.Event(), threading.Event()
    newer = threading.Thread(target=link.tell, args=(lambda: Health((Served("echo", 2),)),))

    def older() -> Health:
        looked.set()
        assert started.wait(60)
        newer.join(0.5)  # it would be written at once if nothing held it back
        return Health((Served("echo", 1),))

    with ThreadPoolExecutor() as pool:
        telling = pool.submit(link.tell, older)
        assert looked.wait(60)
        newer.start()
        started.set()
        assert telling.result(60)
    try:
        told = gateway.wait_for(Health, 2)
        assert [health.served[0].slots for health in told] == [1, 2]
    finally:
        link.close()


def test_what_waits_is_said_though_nothing_follows(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    worker = linked(make_worker(echo()), gateway)
    for seq in range(50):  # the last of them while the link is busy with the others
        worker.send(WorkerChunk(QUERY, 1, 1, seq, "x"), worker.connection)
    gateway.wait_for(WorkerChunk, 50)


def test_what_waits_is_said_before_the_goodbye(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    worker = linked(make_worker(echo()), gateway)
    for seq in range(50):
        worker.send(WorkerChunk(QUERY, 1, 1, seq, "x"), worker.connection)
    worker.disconnect("enough")
    gateway.wait_for(Bye)
    assert len(gateway.wait_for(WorkerChunk, 50)) == 50
    assert isinstance(gateway.heard[-1].ngram, Bye)


def test_a_part_that_nests_as_deep_as_it_may_goes_alone(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    worker = linked(make_worker(echo()), gateway)
    deep: Any = 1
    for _ in range(MAX_DEPTH - 2):  # the chunk and its part nest too
        deep = [deep]
    said = [WorkerChunk(QUERY, 1, 1, seq, "x") for seq in range(50)]
    said += [WorkerChunk(QUERY, 1, 1, 50, part=Data(deep)), WorkerChunk(QUERY, 1, 1, 51, "z")]
    for chunk in said:
        assert worker.send(chunk, worker.connection)
    assert gateway.wait_for(WorkerChunk, 52) == said


def test_heartbeats_name_the_attempts_that_run(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = echo(chunks=3, hang=True, fail_after=1)
    worker = linked(make_worker(spec, beat_seconds=0.05), gateway)
    job = task(spec)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(carry, job, worker)
        gateway.wait(lambda heard: Beat((job.attempt,)).running == _last_beat(heard).running)
        gateway.say(Stop(job.attempt.query, 1))
        assert running.result(60).cancelled
    gateway.wait(lambda heard: not _last_beat(heard).running)
    assert _last_beat(gateway.heard).memory_bytes > 1_000_000


def _last_beat(heard: list) -> Beat:
    beats = [one.ngram for one in heard if isinstance(one.ngram, Beat)]
    return beats[-1] if beats else Beat()


def test_a_frame_that_is_no_ngram_is_ignored(
    make_worker: MakeWorker, gateway: GatewayDouble, caplog: pytest.LogCaptureFixture
) -> None:
    worker = linked(make_worker(echo()), gateway)
    for frame in ("", "nonsense", "[]", '{"op":"no such"}', '{"op":"load","model":"other"}'):
        gateway.say_raw(frame)
    gateway.say(Load("echo"))
    assert gateway.wait_for(Health)[-1].served == (Served("echo", 4, loaded=True),)
    assert worker.connection
    assert gateway.connections == 1


def test_loading_and_unloading_is_told(make_worker: MakeWorker, gateway: GatewayDouble) -> None:
    linked(make_worker(echo(), echo("bad", fail_load=True)), gateway)
    gateway.say(Load("echo"))
    assert gateway.wait_for(Health, 1)[-1].served[0].loaded
    gateway.say(Unload("echo"))
    assert not gateway.wait_for(Health, 2)[-1].served[0].loaded
    gateway.say(Load("bad"))
    assert "RuntimeError" in gateway.wait_for(Health, 3)[-1].served[1].trouble


def test_orders_are_followed_in_the_order_they_came(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    worker = linked(make_worker(echo()), gateway)
    for _ in range(20):
        gateway.say(Load("echo"))
        gateway.say(Unload("echo"))
    told = gateway.wait_for(Health, 40)
    assert [one.served[0].loaded for one in told] == [True, False] * 20
    assert not worker.models.get("echo").loaded


class SlowToLoad(OrdersBackend):
    """Comes into memory when its test lets it."""

    def __init__(self, spec: ModelSpec) -> None:
        self.asked, self.ready = threading.Event(), threading.Event()

    def load(self) -> None:
        self.asked.set()
        assert self.ready.wait(60)


def test_a_drain_is_told_while_a_model_is_still_being_loaded(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    worker = linked(make_worker(), gateway)
    large = SlowToLoad(echo("large"))
    worker.serve([Found(echo("large", slots=2), large, "")])
    gateway.say(Load("large"))
    assert large.asked.wait(60)
    gateway.say(Drain())
    assert gateway.wait_for(Health, 1)[-1].served == (Served("large", 0),)
    gateway.say(Drain(on=False))
    assert gateway.wait_for(Health, 2)[-1].served == (Served("large", 2),)
    large.ready.set()
    assert gateway.wait_for(Health, 3)[-1].served[0].loaded


def test_a_gateway_that_takes_nothing_does_not_hold_up_the_queries_of_another(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    stock = Stock()
    stuck = linked(make_worker(echo(), stock=stock), gateway)
    with GatewayDouble() as second, ThreadPoolExecutor() as pool:
        worker = linked(make_worker(echo(), stock=stock), second)
        assert stuck._link
        with stuck._link._writing:  # as while a write waits for the gateway
            outcome = pool.submit(carry, task(echo()), worker).result(60)
            assert outcome.error is None
            assert second.wait_for(Health)[-1].served[0].loaded
    assert gateway.wait_for(Health)[-1].served[0].loaded


def test_a_model_that_is_to_be_preloaded_is(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    linked(make_worker(echo(preload=True)), gateway)
    gateway.wait(
        lambda heard: any(
            one.ngram.served[0].loaded
            for one in heard
            if isinstance(one.ngram, WorkerHello | Health)
        )
    )


def test_after_the_gateway_was_away_nothing_of_an_answer_is_missing(
    make_worker: MakeWorker, gateway: GatewayDouble, tmp_path: Path
) -> None:
    spec = msgspec.structs.replace(echo(), backend="held")
    job = task(spec, "a b c d e f g")
    with held(tmp_path), ThreadPoolExecutor() as pool:
        worker = linked(make_worker(spec), gateway)
        running = pool.submit(carry, job, worker)
        for words in (1, 2, 3):
            HeldBackend.let(words)
            gateway.wait_for(WorkerChunk, words)
        gateway.go_away()
        gateway.come_back()
        gateway.wait_for(WorkerHello, 2)
        HeldBackend.let()
        whole = text_of(running.result(60).parts)
    gateway.wait(lambda _: gateway.text_of(job.attempt.query) == whole)
    again = [h.ngram for h in gateway.heard if h.connection == 2]
    assert isinstance(again[0], WorkerHello)
    assert next(one for one in again if isinstance(one, WorkerChunk)).seq == 0


def test_an_attempt_that_nobody_can_hear_of_is_given_up_with_its_lease(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = echo(hang=True, chunks=2, fail_after=1)
    worker = linked(make_worker(spec, beat_seconds=0.05, lease_seconds=0.5), gateway)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(carry, task(spec), worker)
        gateway.wait_for(WorkerChunk)
        gateway.go_away()
        outcome = running.result(60)
    assert outcome.error is not None
    assert outcome.error.code == "worker_lost"


def test_a_gateway_that_does_not_read_slows_the_producer(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = echo(text="x" * 1000, chunks=40_000)
    worker = linked(make_worker(spec), gateway)
    job = task(spec, max_tokens=1_000_000)
    with ThreadPoolExecutor() as pool:
        gateway.read(False)
        running = pool.submit(carry, job, worker)
        with pytest.raises(StillRunning):
            running.result(1)
        gateway.say(Stop(job.attempt.query, 1))
        gateway.read(True)
        outcome = running.result(60)
    assert outcome.cancelled
    # What fits into the kernel's buffers, of 40 MB; the rest was never made.
    assert len(text_of(outcome.parts)) < 15e6


def test_leaving_is_said_and_the_threads_end(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    before = set(threading.enumerate())
    worker = linked(make_worker(echo()), gateway)
    ours = [one for one in threading.enumerate() if one not in before]
    worker.close("the shift is over")
    assert gateway.wait_for(Bye) == [Bye("the shift is over")]
    for thread in ours:
        thread.join(60)
        assert not thread.is_alive()
