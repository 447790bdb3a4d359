"""Full disks: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.errors import StorageFull
from mtor_kernel.storage import Blobs, Store, audit, people, records
from tests.storage.helpers import NOON, accept, balance, new_query, opened, person, problems
from tests.storage.test_writer import Gate, meet, names


@pytest.fixture
def kind() -> str:
    """These are about a file."""
    return "sqlite"


def fill(conn: sa.Connection) -> None:
    """Write more than a full disk takes."""
    for _ in range(64):
        audit.record(conn, "root", "notice", "", "x" * 65_536, {}, NOON)


def limit_pages(spare: int) -> Callable[[sa.Connection], Any]:
    """Let the file grow by so many pages and no more: SQLite then says that the disk is full."""

    def work(db: sa.Connection) -> None:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar_one()
        db.exec_driver_sql(f"PRAGMA max_page_count = {pages + spare}")

    return work


@pytest.mark.asyncio
async def test_a_full_disk_undoes_the_whole_commit_and_says_so_to_each(store: Store) -> None:
    await store.write(meet("before"))
    await store.write(limit_pages(2))
    gate = Gate()
    busy = await gate.close(store)
    given = [store.write(work) for work in (meet("ann"), fill, meet("bob"))]
    together = asyncio.gather(busy, *given, return_exceptions=True)
    await asyncio.sleep(0)
    gate.open()
    told = await together
    assert isinstance(told[2], StorageFull)
    # What was done in the same commit went with it, and was told so. How many works a commit takes
    # is a matter of time.
    for name, outcome in (("ann", told[1]), ("bob", told[3])):
        assert isinstance(outcome, StorageFull) == (name not in names(store))
    assert store.statistics.failures == 1


@pytest.mark.asyncio
async def test_the_realm_goes_on_when_there_is_space_again(store: Store) -> None:
    await store.write(limit_pages(2))
    for _ in range(5):
        with pytest.raises(StorageFull, match="disk is full"):
            await store.write(fill)
    assert await store.read(people.all) == []
    await store.write(limit_pages(100_000))
    await store.write(fill)
    assert await store.read(audit.verify) == []
    assert len(await store.read(lambda db: audit.entries(db, limit=100))) == 64


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


def fill_disk(disk: Path) -> Path:
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


@pytest.mark.fault
def test_a_full_disk_loses_nothing_and_the_realm_goes_on_when_there_is_space(
    small_disk: Path,
) -> None:
    spare = [small_disk / f"spare{n}" for n in range(4)]
    for file in spare:
        file.write_bytes(b"\0" * 500_000)
    reserve = small_disk / "reserve"
    reserve.write_bytes(b"\0" * 1_000_000)
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
        assert store.read_sync(lambda db: records.unfinished(db, "ann")) == accepted
    # To fold its log into the database takes as much again.
    reserve.unlink()
    with closing(opened(small_disk)) as store:
        assert store.read_sync(lambda db: records.unfinished(db, "ann")) == accepted
        assert problems(store) == []


@pytest.mark.fault
@pytest.mark.asyncio
async def test_on_a_full_disk_each_of_many_is_told_and_none_is_half_written(
    small_disk: Path,
) -> None:
    store = await asyncio.to_thread(opened, small_disk)
    ballast = fill_disk(small_disk)

    def write(name: str) -> Coroutine[Any, Any, tuple[people.Person, audit.Entry]]:
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


@pytest.mark.fault
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
