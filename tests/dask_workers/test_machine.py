"""What a machine has is seen, and what it lacks for a model is said."""

from pathlib import Path

import pytest

from dask_workers.machine import Machine, gpus, look
from dask_workers.weights import spec_of

BIG = spec_of("sd15")
SMALL = Machine(memory_mb=16_000, vram_mb=0, disk_mb=100_000)


def test_this_machine_has_something(tmp_path: Path) -> None:
    machine = look(tmp_path / "not" / "there" / "yet")
    assert machine.memory_mb > 0
    assert machine.disk_mb > 0


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        (SMALL, "wants a GPU of 4,000 MB"),
        (SMALL._replace(vram_mb=24_000), ""),
        (SMALL._replace(memory_mb=2_000), "needs 3,000 MB of RAM"),
        (SMALL._replace(disk_mb=1_000), "the disk is too full"),
    ],
)
def test_what_is_too_little_is_said(machine: Machine, says: str) -> None:
    assert machine.lacks(2_742_000_000, BIG) == says


def test_the_driver_of_a_gpu_is_asked_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 24564\necho 8192\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == [24564, 8192]


def test_a_driver_that_fails_means_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\nexit 9\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []
