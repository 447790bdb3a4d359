"""The plugin makes an MTOR worker of a real Dask worker."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from distributed import Client, Future, LocalCluster

from dask_workers.plugin import RESOURCE, MtorWorker
from dask_workers.tasks import run_query, task_key
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.link import Bye, Drain, Health, Stop, WorkerChunk, WorkerHello
from mtor_kernel.protocol.query import Modality
from mtor_kernel.protocol.task import Outcome, Task
from tests import plugins
from tests.dask_workers.gateway_double import TOKEN, GatewayDouble
from tests.dask_workers.samples import echo, task

QUICK = echo("quick")
ENDLESS = echo("endless", slots=2, chunks=2, hang=True, fail_after=1)


class SlowToTell(plugins.ReadyBackend):
    """Says only when its test lets it that it lacks nothing."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})
    asked: ClassVar[threading.Event]
    answer: ClassVar[threading.Event]

    def missing(self) -> str:
        self.asked.set()
        assert self.answer.wait(60)
        return ""


SLOW_TO_TELL = msgspec.structs.replace(echo("slow-to-tell"), backend="slow_to_tell")


@pytest.fixture
def slow_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SlowToTell]]:
    plugins.register(tmp_path, monkeypatch, slow_to_tell=SlowToTell)
    SlowToTell.asked, SlowToTell.answer = threading.Event(), threading.Event()
    yield SlowToTell
    SlowToTell.answer.set()


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as client:
        yield client


def serve(client: Client, gateway: GatewayDouble, *specs: ModelSpec) -> None:
    client.register_plugin(MtorWorker(gateway.url, TOKEN, encode(specs)))
    gateway.wait_for(WorkerHello)


def begin_to_serve(
    client: Client, gateway: GatewayDouble, backend: type[SlowToTell]
) -> threading.Thread:
    """Register a plugin and return when it looks at this machine, with the thread that waits."""
    plugin = MtorWorker(gateway.url, TOKEN, encode((SLOW_TO_TELL,)))
    thread = threading.Thread(target=client.register_plugin, args=(plugin,), daemon=True)
    thread.start()
    assert backend.asked.wait(60)
    return thread


def submit(client: Client, job: Task) -> Future:
    ref = job.attempt
    return client.submit(
        run_query,
        encode(job),
        key=task_key(ref.query, ref.attempt),
        resources={RESOURCE + job.model.name: 1},
        retries=0,
        pure=False,
    )


def outcome_of(future: Future, timeout: float = 60) -> Outcome:
    return decode(future.result(timeout), Outcome)


def resources(cluster: LocalCluster) -> dict[str, float]:
    (worker,) = cluster.scheduler.workers.values()
    return dict(worker.resources)


def until(client: Client, true: Callable[[], bool], timeout: float = 60) -> None:
    """Wait until something is true of the scheduler, asking it round after round."""
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end
        client.run_on_scheduler(asyncio.sleep, 0.01)


def test_dask_takes_no_samples_of_its_threads(
    cluster: LocalCluster, client: Client, gateway: GatewayDouble
) -> None:
    (worker,) = cluster.workers.values()
    profiler = worker.periodic_callbacks["profile"]
    assert profiler.is_running()
    serve(client, gateway, QUICK)
    assert outcome_of(submit(client, task(QUICK))).error is None
    assert not profiler.is_running()
    assert not worker.periodic_callbacks.keys() & {"profile", "profile-cycle"}


def test_a_query_goes_through_dask_and_its_words_through_the_link(
    client: Client, gateway: GatewayDouble, cluster: LocalCluster
) -> None:
    serve(client, gateway, QUICK)
    until(client, lambda: resources(cluster) == {"mtor:quick": 4})
    job = task(QUICK, "hello realm")
    outcome = outcome_of(submit(client, job))
    assert outcome.error is None
    assert outcome.attempt == job.attempt
    gateway.wait(lambda _: gateway.text_of(job.attempt.query) == "hello realm")


def test_who_it_is_tells_its_address_and_threads(
    client: Client, gateway: GatewayDouble, cluster: LocalCluster
) -> None:
    serve(client, gateway, QUICK)
    (worker,) = cluster.workers.values()
    hello = gateway.wait_for(WorkerHello)[0]
    assert (hello.address, hello.threads) == (worker.address, 2)


def test_what_this_machine_cannot_serve_is_not_advertised(
    client: Client, gateway: GatewayDouble, cluster: LocalCluster
) -> None:
    serve(client, gateway, QUICK, echo("absent", missing="No plug."))
    until(client, lambda: set(resources(cluster)) == {"mtor:quick"})


def test_a_stop_from_the_realm_ends_an_attempt(client: Client, gateway: GatewayDouble) -> None:
    serve(client, gateway, ENDLESS)
    job = task(ENDLESS)
    future = submit(client, job)
    gateway.wait_for(WorkerChunk)
    gateway.say(Stop(job.attempt.query, 1))
    outcome = outcome_of(future)
    assert outcome.cancelled


def test_cancelling_the_future_frees_the_worker(client: Client, gateway: GatewayDouble) -> None:
    serve(client, gateway, ENDLESS, QUICK)
    endless = [submit(client, task(ENDLESS)) for _ in range(2)]
    gateway.wait_for(WorkerChunk, 2)
    # Both threads are taken: what comes now runs only if the cancelled ones really end.
    client.cancel(endless)
    assert outcome_of(submit(client, task(QUICK))).error is None


def test_dropping_the_future_stops_the_attempt_too(client: Client, gateway: GatewayDouble) -> None:
    serve(client, gateway, ENDLESS, QUICK)
    endless = [submit(client, task(ENDLESS)) for _ in range(2)]
    gateway.wait_for(WorkerChunk, 2)
    endless.clear()
    assert outcome_of(submit(client, task(QUICK))).error is None


def test_registered_again_it_links_anew_and_running_attempts_can_still_be_stopped(
    client: Client, gateway: GatewayDouble
) -> None:
    serve(client, gateway, ENDLESS)
    jobs = [task(ENDLESS), task(ENDLESS)]
    futures = [submit(client, job) for job in jobs]
    gateway.wait_for(WorkerChunk, 2)
    with GatewayDouble() as second:
        serve(client, second, ENDLESS, QUICK)
        assert second.wait_for(WorkerHello)[0].served[0].loaded, "the model left memory"
        assert {chunk.seq for chunk in second.wait_for(WorkerChunk, 2)} == {0}
        second.say(Stop(jobs[0].attempt.query, 1))
        assert outcome_of(futures[0]).cancelled
        client.cancel(futures[1])
        quick = [submit(client, task(QUICK, f"q{n}")) for n in range(2)]
        assert [outcome_of(future).error for future in quick] == [None, None]


def test_of_two_registrations_that_overlap_the_newer_stays(
    client: Client,
    gateway: GatewayDouble,
    cluster: LocalCluster,
    slow_to_tell: type[SlowToTell],
) -> None:
    older = begin_to_serve(client, gateway, slow_to_tell)
    with GatewayDouble() as second:
        serve(client, second, QUICK)
        slow_to_tell.answer.set()
        older.join(60)
        assert not older.is_alive()
        assert resources(cluster) == {"mtor:quick": 4}
        job = task(QUICK)
        assert outcome_of(submit(client, job)).error is None
        second.wait(lambda _: second.text_of(job.attempt.query))


def test_one_taken_away_while_it_looks_serves_nothing(
    client: Client,
    gateway: GatewayDouble,
    cluster: LocalCluster,
    slow_to_tell: type[SlowToTell],
) -> None:
    looking = begin_to_serve(client, gateway, slow_to_tell)
    client.unregister_worker_plugin("mtor")
    slow_to_tell.answer.set()
    looking.join(60)
    assert not looking.is_alive()
    assert resources(cluster) == {}


def test_a_new_catalogue_withdraws_what_is_gone(
    client: Client, gateway: GatewayDouble, cluster: LocalCluster
) -> None:
    serve(client, gateway, QUICK, ENDLESS)
    serve(client, gateway, QUICK)
    until(client, lambda: resources(cluster) == {"mtor:quick": 4, "mtor:endless": 0})


def test_a_worker_that_drains_says_so_and_runs_what_was_on_its_way(
    client: Client, gateway: GatewayDouble
) -> None:
    serve(client, gateway, QUICK)
    gateway.say(Drain())
    until(client, lambda: gateway.wait_for(Health)[-1].served[0].slots == 0)
    assert outcome_of(submit(client, task(QUICK))).error is None
    gateway.say(Drain(on=False))
    until(client, lambda: gateway.wait_for(Health)[-1].served[0].slots == 4)


def test_taken_away_it_serves_nothing_any_more(
    client: Client, gateway: GatewayDouble, cluster: LocalCluster
) -> None:
    serve(client, gateway, QUICK)
    client.unregister_worker_plugin("mtor")
    until(client, lambda: resources(cluster) == {"mtor:quick": 0})


def test_a_worker_that_joins_later_serves_too(
    client: Client, gateway: GatewayDouble, cluster: LocalCluster
) -> None:
    serve(client, gateway, QUICK)
    cluster.scale(2)
    names = {hello.worker for hello in gateway.wait_for(WorkerHello, 2)}
    assert len(names) == 2


def test_a_closing_worker_says_goodbye_and_stops_its_attempts(gateway: GatewayDouble) -> None:
    with (
        LocalCluster(
            processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        serve(client, gateway, ENDLESS)
        submit(client, task(ENDLESS)).add_done_callback(lambda _: None)
        gateway.wait_for(WorkerHello)
    assert gateway.wait_for(Bye)


def test_it_is_cheap_to_send_and_shows_no_token() -> None:
    plugin = MtorWorker("ws://realm/link", TOKEN, encode([QUICK]), "PEM", "/data")
    copy = pickle.loads(pickle.dumps(plugin))
    assert copy == plugin
    assert TOKEN not in repr(plugin)
    assert len(pickle.dumps(plugin)) < 1000
