"""Killed processes and full disks: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mtor_kernel.protocol.errors import StorageFull, Unavailable
from mtor_kernel.protocol.lifecycle import ENDS, Stage
from mtor_kernel.storage import Blobs, Store, audit, ledger, people, queries
from tests.storage.helpers import NOON, accept, balance, new_query, opened, person, problems

pytestmark = pytest.mark.fault

ROOT = Path(__file__).parents[2]


@contextmanager
def victim(folder: Path, deed: str) -> Iterator[subprocess.Popen[str]]:
    """A process with the store of `folder`, dead when this ends."""
    command = [sys.executable, "-m", "tests.storage.victim", str(folder), deed]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[str]) -> Iterator[list[str]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.split()


def acknowledged_before_the_kill(folder: Path, many: int) -> tuple[set[str], dict[str, int]]:
    """Kill a process that works after so many acknowledgements; return all that it had made."""
    accepted: set[str] = set()
    settled: dict[str, int] = {}
    with victim(folder, "work") as process:
        for number, (what, id_, *charge) in enumerate(lines(process), 1):
            if what == "accepted":
                accepted.add(id_)
            else:
                settled[id_] = int(charge[0])
            if number == many:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return accepted, settled


@pytest.mark.parametrize("many", [1, 50, 333, 800])
def test_what_a_killed_process_had_acknowledged_is_there(tmp_path: Path, many: int) -> None:
    accepted, settled = acknowledged_before_the_kill(tmp_path, many)
    assert len(accepted) + len(settled) >= many
    store = opened(tmp_path)
    assert problems(store) == []
    for id_ in accepted:
        info = store.read_sync(lambda db, id_=id_: queries.info(db, id_, None))
        if id_ in settled:
            assert info.stage is Stage.SETTLED
            assert info.charge is not None
            assert info.charge.amount_micro == settled[id_]
    line = store.write_sync(lambda db: queries.reclaim(db, store.epoch, NOON))
    waiting = {row.id for row in line}
    for id_ in accepted - set(settled):
        stage = store.read_sync(lambda db, id_=id_: queries.info(db, id_, None)).stage
        assert (stage is Stage.QUEUED) == (id_ in waiting)
        assert stage is Stage.QUEUED or stage in ENDS
    assert problems(store) == []
    store.close()


def test_a_database_survives_one_kill_after_the_other(tmp_path: Path) -> None:
    accepted: set[str] = set()
    settled: dict[str, int] = {}
    for round_ in range(5):
        more, ended = acknowledged_before_the_kill(tmp_path, 40 + 7 * round_)
        accepted |= more
        settled |= ended
    store = opened(tmp_path)
    assert store.epoch == 6
    assert problems(store) == []
    for id_ in accepted:
        store.read_sync(lambda db, id_=id_: queries.info(db, id_, None))
    assert store.read_sync(lambda db: db.exec_driver_sql("PRAGMA integrity_check").scalar()) == "ok"
    charged = store.read_sync(lambda db: ledger.balance(db, ledger.HOUSE)).posted_micro
    assert charged >= sum(settled.values())
    store.close()


def test_a_process_that_dies_inside_a_work_leaves_nothing_of_it(tmp_path: Path) -> None:
    with victim(tmp_path, "die_inside") as process:
        ((_, id_),) = list(lines(process))
    assert process.returncode == -signal.SIGKILL
    store = opened(tmp_path)
    assert problems(store) == []
    assert balance(store, "ann") == ledger.Balance(1000, 100, False)
    (row,) = store.write_sync(lambda db: queries.reclaim(db, store.epoch, NOON))
    assert (row.id, row.attempt) == (id_, 1)
    store.close()


def test_two_processes_never_have_one_database(tmp_path: Path) -> None:
    with victim(tmp_path, "hold_on") as process:
        _, pid = next(lines(process))
        with pytest.raises(Unavailable, match=f"process {pid} on "):
            opened(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        store = opened(tmp_path)
    assert store.epoch == 2
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four mebibytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take all the space that is left."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return ballast


def submit_until_full(store: Store) -> list[str]:
    """Submit queries until the store says that it is full; return those that were acknowledged."""
    accepted = []
    while True:
        new = new_query(hold=1, prompt="x" * 10_000)
        try:
            accept(store, new)
        except StorageFull:
            return accepted
        accepted.append(new.id)


def test_a_full_disk_loses_nothing_and_the_realm_goes_on_when_there_is_space(
    small_disk: Path,
) -> None:
    spare = [small_disk / f"spare{n}" for n in range(4)]
    for file in spare:
        file.write_bytes(b"\0" * 500_000)
    with closing(opened(small_disk)) as store:
        person(store, "ann", 10**9)
        accepted = []
        for file in spare:
            full = submit_until_full(store)
            assert full
            accepted += full
            # To read goes on meanwhile.
            assert balance(store, "ann").held_micro == len(accepted)
            assert problems(store) == []
            file.unlink()
        assert store.read_sync(lambda db: queries.unfinished(db, "ann")) == accepted
    with closing(opened(small_disk)) as store:
        assert store.read_sync(lambda db: queries.unfinished(db, "ann")) == accepted
        assert problems(store) == []


@pytest.mark.asyncio
async def test_on_a_full_disk_each_of_many_is_told_and_none_is_half_written(
    small_disk: Path,
) -> None:
    store = await asyncio.to_thread(opened, small_disk)
    ballast = fill(small_disk)

    def write(name: str) -> people.Person:
        return store.write(
            lambda db: (
                people.ensure(db, name, "user", NOON),
                audit.record(db, "root", "x" * 50_000, name, "", {}, NOON),
            )
        )

    names = [f"p{n}" for n in range(100)]
    done = await asyncio.gather(*(write(name) for name in names), return_exceptions=True)
    assert {type(one) for one in done} <= {tuple, StorageFull}
    assert StorageFull in {type(one) for one in done}
    written = [name for name, one in zip(names, done, strict=True) if isinstance(one, tuple)]
    found = await store.read(people.all)
    assert sorted(one.name for one in found) == sorted(written)
    assert await store.read(audit.verify) == []
    ballast.unlink()
    await write("after")
    await asyncio.to_thread(store.close)


@pytest.mark.asyncio
async def test_a_blob_that_the_disk_has_no_room_for_leaves_nothing(small_disk: Path) -> None:
    store = await asyncio.to_thread(opened, small_disk)
    await asyncio.to_thread(person, store, "ann")
    blobs = Blobs(store, store.blob_dir)
    with pytest.raises(StorageFull):
        await blobs.put("ann", os.urandom(4 * 2**20), "image/png")
    assert [path for path in store.blob_dir.rglob("*") if path.is_file()] == []
    await blobs.put("ann", b"small", "image/png")
    await asyncio.to_thread(store.close)
