"""A child with a lifeline ends with the process that started it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster

ROOT = Path(__file__).parents[2]

PARENT = """
import subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-m", *sys.argv[2:], "--no-dashboard", "--preload", "dask_workers.lifeline"],
    stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
for line in child.stderr:
    if sys.argv[1] in line:
        break
print(child.pid, flush=True)
time.sleep(600)
"""
SCHEDULER = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")
WORKER = ("distributed.cli.dask_worker", "--no-nanny")


@contextmanager
def family(ready: str, *command: str) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process whose child said `ready`, and that child; both are gone in the end."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, ready, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    try:
        yield parent, child
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        with suppress(psutil.NoSuchProcess):
            child.kill()


@pytest.mark.fault
def test_a_scheduler_does_not_outlive_a_killed_parent() -> None:
    with family("Scheduler at", *SCHEDULER) as (parent, child):
        assert child.is_running()
        parent.kill()
        assert psutil.wait_procs([child], timeout=60)[1] == []


@pytest.mark.fault
def test_a_worker_does_not_outlive_a_killed_parent() -> None:
    with (
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp", dashboard_address=None
        ) as cluster,
        family("Registered to", *WORKER, cluster.scheduler_address) as (parent, child),
    ):
        assert child.is_running()
        parent.kill()
        assert psutil.wait_procs([child], timeout=60)[1] == []
