"""What happens while a realm is being given its cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.joining import FIRST, LATE, SoughtBackend, scheduler, unjoined, until, worker
from tests.realms import OWNER

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]


async def test_a_catalogue_that_changes_while_workers_are_told_of_the_last_one_reaches_them(
    tmp_path: Path,
) -> None:
    async with scheduler() as first, worker(first, tmp_path, "one"), unjoined(tmp_path) as new:
        serving = asyncio.create_task(new.realm.serve(first.address, **new.equipment))
        await until(SoughtBackend.asked.is_set)
        new.write(FIRST + LATE)
        await new.realm.sysop.reload(OWNER)
        assert not serving.done()
        SoughtBackend.told.set()
        await serving
        await until(lambda: "late" in new.realm.workers.models())


async def test_so_does_one_that_changes_while_the_realm_follows_its_scheduler(
    tmp_path: Path,
) -> None:
    async with (
        scheduler() as first,
        scheduler() as second,
        worker(second, tmp_path, "two"),
        unjoined(tmp_path) as new,
    ):
        await new.realm.serve(first.address, **new.equipment)
        await new.realm.follow_scheduler(second.address)
        await until(SoughtBackend.asked.is_set)
        new.write(FIRST + LATE)
        await new.realm.sysop.reload(OWNER)
        SoughtBackend.told.set()
        await until(lambda: "late" in new.realm.workers.models())


async def test_a_realm_that_found_no_scheduler_is_as_it_was_and_takes_another(
    tmp_path: Path,
) -> None:
    async with scheduler() as gone:
        pass
    async with scheduler() as second, worker(second, tmp_path, "two"), unjoined(tmp_path) as new:
        SoughtBackend.told.set()
        with pytest.raises(OSError):
            await new.realm.serve(gone.address, **new.equipment)
        new.write(FIRST + LATE)
        await new.realm.sysop.reload(OWNER)
        await new.realm.serve(second.address, **new.equipment)
        await until(lambda: "late" in new.realm.workers.models())
