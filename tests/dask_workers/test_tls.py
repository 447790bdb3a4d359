"""Over TLS the link reads and writes at once, and trusts only who it was told to trust."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue

import pytest

from dask_workers.runtime import Runtime
from dask_workers.tasks import carry
from mtor_kernel.protocol.link import Health, Load, Unload, WorkerHello
from mtor_kernel.protocol.query import text_of
from tests.dask_workers.gateway_double import TOKEN, GatewayDouble, Heard
from tests.dask_workers.samples import echo, task


@pytest.fixture
def tls_gateway(certificate: Path) -> Iterator[GatewayDouble]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with GatewayDouble(context) as double:
        yield double


def test_both_directions_at_once_lose_nothing(
    make_worker: Callable[..., Runtime], tls_gateway: GatewayDouble, certificate: Path
) -> None:
    spec = echo(chunks=500)
    worker = make_worker(spec, echo("other"))
    worker.connect(tls_gateway.url, TOKEN, ca=certificate.read_text())
    tls_gateway.wait_for(WorkerHello)
    jobs = [task(spec, f"a{n} b{n} c{n}") for n in range(6)]
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(carry, job, worker) for job in jobs]
        for _ in range(50):
            tls_gateway.say(Load("other"))
            tls_gateway.wait(lambda heard: other_is_loaded(heard))
            tls_gateway.say(Unload("other"))
            tls_gateway.wait(lambda heard: not other_is_loaded(heard))
        outcomes = [one.result(60) for one in running]
    for job, outcome in zip(jobs, outcomes, strict=True):
        whole = text_of(outcome.parts)
        tls_gateway.wait(lambda _, q=job.attempt.query, t=whole: tls_gateway.text_of(q) == t)
    assert tls_gateway.connections == 1


def other_is_loaded(heard: list[Heard]) -> bool:
    told = [one.ngram for one in heard if isinstance(one.ngram, WorkerHello | Health)]
    return told[-1].served[1].loaded


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    make_worker: Callable[..., Runtime], tls_gateway: GatewayDouble
) -> None:
    told: SimpleQueue[logging.LogRecord] = SimpleQueue()
    listener = QueueHandler(told)
    logging.getLogger("dask_workers.link").addHandler(listener)
    try:
        worker = make_worker(echo())
        worker.connect(tls_gateway.url, TOKEN)
        assert "CERTIFICATE_VERIFY_FAILED" in told.get(timeout=60).getMessage()
    finally:
        logging.getLogger("dask_workers.link").removeHandler(listener)
    assert not worker.connection
    assert not tls_gateway.connections
