"""A child process that goes wrong is known at once, and leaves nobody behind."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from dask_workers.child import IsolatedBackend
from mtor_kernel.protocol.backend import Step
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.query import Query
from tests.dask_workers.desk import Desk
from tests.dask_workers.samples import echo
from tests.dask_workers.strays import Stray
from tests.dask_workers.test_child import is_gone, wait_until, words

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]


@pytest.fixture
def backend() -> Iterator[IsolatedBackend]:
    # Nobody here is saved by the limit of silence: it is longer than the test's own.
    spec = msgspec.structs.replace(echo("stray"), silence_seconds=300.0)
    backend = IsolatedBackend(spec, "tests.dask_workers.strays:Stray", Stray(spec))
    backend.load()
    yield backend
    backend.unload()


def ask(backend: IsolatedBackend, what: str) -> str:
    return words(list(backend.stream(Query.ask(what, "stray"), Desk())))


def test_one_that_dies_is_known_to_be_dead_though_somebody_holds_its_socket(
    backend: IsolatedBackend,
) -> None:
    with pytest.raises(BackendFailed, match="killed"):
        ask(backend, "fork and die")
    assert ask(backend, "say hello") == "hello"


def test_its_programs_end_with_it(backend: IsolatedBackend) -> None:
    answer = backend.stream(Query.ask("start a program and hang", "stray"), Desk())
    program = int(words([next(answer)]))
    assert psutil.Process(program).name() == "sleep"
    backend.unload()
    with pytest.raises(BackendFailed):
        list(answer)
    wait_until(lambda: is_gone(program))


def test_what_it_prints_is_no_answer(backend: IsolatedBackend) -> None:
    assert ask(backend, "print a lot") == "said"


@pytest.mark.parametrize("how", ["talk nonsense", "promise too much"])
def test_one_that_talks_nonsense_is_ended(backend: IsolatedBackend, how: str) -> None:
    pid = backend.pid
    with pytest.raises(BackendFailed, match="makes no sense"):
        ask(backend, how)
    assert is_gone(pid)
    assert ask(backend, "say hello") == "hello"


def test_one_that_hangs_up_is_ended(backend: IsolatedBackend) -> None:
    pid = backend.pid
    with pytest.raises(BackendFailed):
        ask(backend, "close the socket")
    wait_until(lambda: is_gone(pid))


def test_one_that_is_out_of_memory_says_so(backend: IsolatedBackend) -> None:
    with pytest.raises(MemoryError):
        ask(backend, "take all memory")


def test_one_that_was_killed_between_two_queries_is_started_anew_for_the_second(
    backend: IsolatedBackend,
) -> None:
    assert ask(backend, "say hello") == "hello"
    pid = backend.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: backend.pid == 0)
    said = list(backend.stream(Query.ask("say hello", "stray"), Desk()))
    assert isinstance(said[0], Step)
    assert said[0].note == "starting stray anew…"
    assert words(said) == "hello"


def test_no_file_of_the_worker_is_open_in_it(backend: IsolatedBackend, tmp_path: Path) -> None:
    with (tmp_path / "ledger").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        backend.unload()
        backend.load()
        opened = {file.path for file in psutil.Process(backend.pid).open_files()}
    assert str(tmp_path / "ledger") not in opened
    with contextlib.suppress(psutil.NoSuchProcess):
        assert len(psutil.Process(backend.pid).net_connections("inet")) == 0
