"""A backend in a process of its own answers as it would here, and may die without harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psutil
import pytest

from dask_workers.child import IsolatedBackend
from dask_workers.discovery import discover
from mtor_kernel.protocol.backend import Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.query import Message, Modality, Query, Text
from tests.dask_workers.desk import Desk
from tests.dask_workers.samples import SMOLLM2, echo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

QUERY = Query.ask("to be or not to be", "echo")

#: More than lies between two processes that nobody reads from.
LONG = Query.ask("to be or not to be " * 100_000, "echo")


def isolated(spec: ModelSpec, **more: Any) -> IsolatedBackend:
    """The backend of a model, as a worker finds it."""
    (found,) = discover([msgspec.structs.replace(spec, isolate=True, **more)])
    assert not found.missing
    assert isinstance(found.backend, IsolatedBackend)
    return found.backend


@pytest.fixture
def make() -> Iterator[Callable[..., IsolatedBackend]]:
    made: list[IsolatedBackend] = []

    def make(spec: ModelSpec, **more: Any) -> IsolatedBackend:
        made.append(isolated(spec, **more))
        made[-1].load()
        return made[-1]

    yield make
    for backend in made:
        backend.unload()


def words(said: list[Delta | Step | Done]) -> str:
    return "".join(one.text for one in said if isinstance(one, Delta))


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_answers_as_it_would_here(make: Callable[..., IsolatedBackend]) -> None:
    backend = make(echo(chunks=6))
    assert backend.pid not in (0, os.getpid())
    said = list(backend.stream(QUERY, Desk()))
    assert words(said) == "to be or not to be "
    assert isinstance(said[-1], Done)
    assert said[-1].usage.output_tokens == 6


def test_several_are_answered_at_once(make: Callable[..., IsolatedBackend]) -> None:
    backend = make(echo(chunks=20, rate=200.0))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: words(list(backend.stream(QUERY, Desk()))), range(4)))
    assert len(set(answers)) == 1
    assert len(answers[0].split()) == 20


def test_pictures_and_sounds_pass_both_ways(make: Callable[..., IsolatedBackend]) -> None:
    backend = make(msgspec.structs.replace(echo("speaker"), modality=Modality.SPEECH))
    desk = Desk()
    query = Query((Message("user", (Text("Good evening."),)),), "speaker")
    said = list(backend.stream(query, desk))
    assert isinstance(said[-1], Done)
    assert list(desk.mimes.values()) == ["audio/wav"]
    assert next(iter(desk.blobs.values())).startswith(b"RIFF")


def test_what_it_raises_is_raised_here_and_it_lives(
    make: Callable[..., IsolatedBackend],
) -> None:
    backend = make(echo(fail=True, fail_first=1))
    with pytest.raises(BackendFailed, match="RuntimeError") as failed:
        list(backend.stream(QUERY, Desk()))
    assert "told to fail" not in failed.value.message
    pid = backend.pid
    assert words(list(backend.stream(QUERY, Desk()))) == "to be or not to be"
    assert backend.pid == pid


def test_running_out_of_memory_is_that_here_too(make: Callable[..., IsolatedBackend]) -> None:
    with pytest.raises(MemoryError):
        list(make(echo(memory_error=True)).stream(QUERY, Desk()))


def test_a_model_that_cannot_be_loaded_says_so_and_leaves_no_process() -> None:
    backend = isolated(echo(fail_load=True))
    before = set(psutil.Process().children())
    with pytest.raises(BackendFailed, match="RuntimeError"):
        backend.load()
    assert backend.pid == 0
    wait_until(lambda: set(psutil.Process().children()) <= before)


def test_to_unload_is_to_end_it(make: Callable[..., IsolatedBackend]) -> None:
    backend = make(echo())
    pid = backend.pid
    backend.unload()
    assert not psutil.pid_exists(pid)
    backend.load()
    assert words(list(backend.stream(QUERY, Desk()))) == "to be or not to be"


def test_a_cancel_ends_an_answer_and_the_process_lives(
    make: Callable[..., IsolatedBackend],
) -> None:
    backend = make(echo(chunks=6, hang=True, fail_after=1, fail_first=1))
    desk, pid, said = Desk(), backend.pid, []
    for one in backend.stream(QUERY, desk):
        said.append(one)
        desk.cancel()
    assert said == [Delta("to ")]
    assert words(list(backend.stream(QUERY, Desk()))) == "to be or not to be "
    assert backend.pid == pid


@pytest.mark.fault
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_death_fails_what_runs_and_nothing_else(
    make: Callable[..., IsolatedBackend], how: signal.Signals
) -> None:
    backend = make(echo(chunks=100, rate=20.0))
    pid = backend.pid
    answer = backend.stream(QUERY, Desk())
    next(answer)
    os.kill(pid, how)
    with pytest.raises(BackendFailed, match=r"killed|crashed"):
        list(answer)
    assert is_gone(pid)
    again = backend.stream(Query.ask("hello", "echo", max_tokens=1), Desk())
    assert isinstance(next(again), Step)
    assert words(list(again)).strip() == "hello"
    assert backend.pid != pid


@pytest.mark.fault
def test_one_that_is_frozen_is_ended_when_it_was_silent_for_too_long(
    make: Callable[..., IsolatedBackend],
) -> None:
    backend = make(echo(chunks=100, rate=20.0), silence_seconds=0.5)
    answer = backend.stream(QUERY, Desk())
    next(answer)
    pid = backend.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(BackendFailed, match=r"said nothing for 0\.5 s"):
        list(answer)
    wait_until(lambda: is_gone(pid))


@pytest.mark.fault
def test_one_that_does_not_heed_a_cancel_is_ended(make: Callable[..., IsolatedBackend]) -> None:
    backend = make(echo(chunks=100, rate=20.0))
    desk = Desk()
    answer = backend.stream(QUERY, desk)
    next(answer)
    pid = backend.pid
    os.kill(pid, signal.SIGSTOP)
    desk.cancel()
    list(answer)
    wait_until(lambda: is_gone(pid))
    assert words(list(backend.stream(Query.ask("hello", "echo", max_tokens=1), Desk()))).strip()


class Hasty(Desk):
    """Nobody waits for the answer any more, from when the query is about to be sent."""

    def on_cancel(self, stop: Callable[[], None]) -> None:
        super().on_cancel(stop)
        self.cancel()


@pytest.mark.fault
def test_one_that_was_ended_is_gone_when_its_room_is_free(
    make: Callable[..., IsolatedBackend],
) -> None:
    backend = make(echo(chunks=100, rate=20.0), silence_seconds=300.0)
    desk = Desk()
    answer = backend.stream(QUERY, desk)
    next(answer)
    pid = backend.pid
    os.kill(pid, signal.SIGSTOP)
    desk.cancel()
    list(answer)
    assert backend.pid == 0  # nobody asks it any more
    backend.unload()
    assert not psutil.pid_exists(pid)


@pytest.mark.fault
@pytest.mark.timeout(120)
def test_one_that_hangs_while_much_is_said_to_it_holds_up_no_cancel(
    make: Callable[..., IsolatedBackend],
) -> None:
    backend = make(echo())
    pid = backend.pid
    os.kill(pid, signal.SIGSTOP)
    assert list(backend.stream(LONG, Hasty())) == []
    wait_until(lambda: is_gone(pid))


@pytest.mark.fault
@pytest.mark.timeout(120)
def test_one_that_hangs_while_much_is_said_to_it_was_silent_for_too_long(
    make: Callable[..., IsolatedBackend],
) -> None:
    backend = make(echo(chunks=100, rate=20.0), silence_seconds=0.5)
    others = backend.stream(QUERY, Desk())
    next(others)
    os.kill(backend.pid, signal.SIGSTOP)
    with pytest.raises(BackendFailed, match=r"said nothing for 0\.5 s"):
        list(backend.stream(LONG, Desk()))
    with pytest.raises(BackendFailed, match=r"said nothing for 0\.5 s"):
        list(others)


@pytest.mark.fault
def test_one_that_dies_again_and_again_is_started_with_growing_pauses(
    make: Callable[..., IsolatedBackend],
) -> None:
    backend = make(echo(chunks=100, rate=20.0))
    for _ in range(2):
        answer = backend.stream(QUERY, Desk())
        while not isinstance(next(answer), Delta):
            pass
        os.kill(backend.pid, signal.SIGKILL)
        with pytest.raises(BackendFailed):
            list(answer)
    desk = Desk()
    waiting = backend.stream(QUERY, desk)
    assert isinstance(next(waiting), Step)
    # It pauses now; who does not want to wait for that can go.
    desk.cancel()
    assert list(waiting) == []
    assert backend.pid == 0


_WORKER = """
import sys, time
from dask_workers.discovery import discover
from tests.dask_workers.test_child import isolated
from tests.dask_workers.samples import echo
backend = isolated(echo())
backend.load()
print(backend.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.fault
def test_it_does_not_outlive_its_worker_however_that_ends() -> None:
    worker = subprocess.Popen([sys.executable, "-c", _WORKER], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    with worker.stdout:
        pid = int(worker.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # even if it can do nothing itself
        worker.kill()
        worker.wait()
    wait_until(lambda: is_gone(pid))


@pytest.mark.fault
def test_a_real_model_is_killed_and_answers_again(
    make: Callable[..., IsolatedBackend], smollm2: object
) -> None:
    backend = make(SMOLLM2)
    query = Query.ask("Tell a very long story about the sea.", "smollm2", max_tokens=200)
    answer = backend.stream(query, Desk())
    assert isinstance(next(answer), Delta)
    os.kill(backend.pid, signal.SIGKILL)
    with pytest.raises(BackendFailed):
        list(answer)
    capital = Query.ask("Name the capital city of France.", "smollm2", temperature=0.0)
    assert "Paris" in words(list(backend.stream(capital, Desk())))
