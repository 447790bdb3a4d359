"""One thread calls back at the right time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from queue import Queue

import pytest

from dask_workers.alarm import Alarm


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    alarm = Alarm()
    yield alarm
    alarm.close()


def no_more(thread: threading.Thread) -> None:
    """Fail as a machine does that has all the threads it may have."""
    raise RuntimeError("can't start new thread")


def test_actions_come_in_the_order_of_their_times(alarm: Alarm) -> None:
    told: Queue[str] = Queue()
    now = time.monotonic()
    alarm.at(now + 0.05, lambda: told.put("second"))
    alarm.at(now + 0.01, lambda: told.put("first"))
    assert [told.get(timeout=60), told.get(timeout=60)] == ["first", "second"]
    assert time.monotonic() - now >= 0.05


def test_an_action_that_fails_does_not_stop_the_next(alarm: Alarm) -> None:
    done = threading.Event()
    alarm.at(0, lambda: 1 // 0)
    alarm.at(0, done.set)
    assert done.wait(60)


def test_one_that_could_not_start_its_thread_starts_it_the_next_time(
    alarm: Alarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError):
            alarm.at(0, done.set)
    alarm.at(0, done.set)
    assert done.wait(60)


def test_a_closed_one_calls_nobody_and_its_thread_ends() -> None:
    alarm = Alarm("closed-alarm")
    done = threading.Event()
    alarm.at(time.monotonic() + 60, done.set)
    (thread,) = [one for one in threading.enumerate() if one.name == "closed-alarm"]
    alarm.close()
    thread.join(60)
    assert not thread.is_alive()
    alarm.at(0, done.set)
    assert not done.is_set()
