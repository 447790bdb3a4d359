"""The flag of an attempt is raised by whoever has a reason to, once."""

from __future__ import annotations

import threading
from queue import Queue

import pytest

from dask_workers.attempts import Attempts
from mtor_kernel.protocol.link import AttemptRef
from tests.dask_workers.test_alarm import no_more

QUERY = "a" * 32


def test_a_cancel_raises_the_flag_of_that_attempt_only() -> None:
    attempts = Attempts()
    first = attempts.start(AttemptRef(QUERY, 1, 1))
    other = attempts.start(AttemptRef("b" * 32, 1, 1))
    attempts.cancel(QUERY, 1)
    assert first.cancelled
    assert not first.lost
    assert not other.cancelled


def test_a_cancel_before_the_start_is_kept_for_it() -> None:
    attempts = Attempts()
    attempts.cancel(QUERY, 2)
    assert not attempts.start(AttemptRef(QUERY, 1, 1)).cancelled
    assert attempts.start(AttemptRef(QUERY, 2, 1)).cancelled


def test_what_a_cancel_found_no_thread_for_is_called_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempt = Attempts().start(AttemptRef(QUERY, 1, 1))
    stopped = threading.Event()
    attempt.on_cancel(stopped.set)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError):
            attempt.cancel("the link was down too long")
    assert attempt.cancelled
    attempt.cancel()
    assert stopped.wait(60)
    assert attempt.lost == "the link was down too long"


def test_a_newer_attempt_stops_the_older_one() -> None:
    attempts = Attempts()
    old = attempts.start(AttemptRef(QUERY, 1, 1))
    new = attempts.start(AttemptRef(QUERY, 2, 1))
    assert old.cancelled
    assert "newer" in old.lost
    assert not new.cancelled


def test_an_older_attempt_that_comes_late_does_not_begin() -> None:
    attempts = Attempts()
    new = attempts.start(AttemptRef(QUERY, 1, 2))
    assert attempts.start(AttemptRef(QUERY, 5, 1)).cancelled
    assert not new.cancelled


def test_heartbeats_name_what_still_goes_on() -> None:
    attempts = Attempts()
    going, stopped, over = (attempts.start(AttemptRef(q * 32, 1, 1)) for q in "abc")
    stopped.cancel()
    attempts.end(over)
    assert attempts.refs() == (going.ref, stopped.ref)


def test_a_backend_is_told_once_and_from_another_thread() -> None:
    attempt = Attempts().start(AttemptRef(QUERY, 1, 1))
    told: Queue[threading.Thread] = Queue()
    attempt.on_cancel(lambda: told.put(threading.current_thread()))
    attempt.cancel()
    attempt.cancel("again")
    assert told.get(timeout=60) is not threading.current_thread()
    assert told.empty()
    assert attempt.lost == ""


def test_a_backend_that_asks_too_late_is_told_at_once() -> None:
    attempt = Attempts().start(AttemptRef(QUERY, 1, 1))
    attempt.cancel()
    told: Queue[bool] = Queue()
    attempt.on_cancel(lambda: told.put(True))
    assert told.get_nowait()
