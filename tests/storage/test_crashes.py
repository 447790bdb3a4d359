"""Killed processes: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.protocol.lifecycle import ENDS, Stage
from mtor_kernel.storage import Store, ledger, queries, records
from mtor_kernel.storage.schema import query, table_row
from tests.storage.helpers import balance, opened, problems

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


def rows_are_taken_as_they_stand(store: Store) -> int:
    """Of a query under way all its rows are taken, of an ended one those with answers, no other.

    Returns how many queries had rows.
    """
    asked = sa.select(query.c.id, query.c.stage, query.c.rows).where(query.c.rows > 0)
    taken: dict[str, set[int]] = defaultdict(set)
    for of, row in store.read_sync(
        lambda db: db.execute(sa.select(table_row.c.query, table_row.c.row)).all()
    ):
        taken[of].add(row)
    found = store.read_sync(lambda db: db.execute(asked).all())
    for id_, stage, count in found:
        assert taken.pop(id_) == set(range(0, count, 2 if stage == Stage.SETTLED else 1))
    assert not taken
    return len(found)


@pytest.mark.parametrize("many", [1, 50, 333, 800])
def test_what_a_killed_process_had_acknowledged_is_there(tmp_path: Path, many: int) -> None:
    accepted, settled = acknowledged_before_the_kill(tmp_path, many)
    assert len(accepted) + len(settled) >= many
    store = opened(tmp_path)
    assert problems(store) == []
    for id_ in accepted:
        info = store.read_sync(lambda db, id_=id_: records.info(db, id_, None))
        if id_ in settled:
            assert info.stage is Stage.SETTLED
            assert info.charge is not None
            assert info.charge.amount_micro == settled[id_]
    assert rows_are_taken_as_they_stand(store) or many < 50
    line = store.write_sync(lambda db: queries.reclaim(db))
    waiting = {row.id for row in line}
    for id_ in accepted - set(settled):
        stage = store.read_sync(lambda db, id_=id_: records.info(db, id_, None)).stage
        assert (stage is Stage.QUEUED) == (id_ in waiting)
        assert stage is Stage.QUEUED or stage in ENDS
    assert problems(store) == []
    store.close()


def test_a_database_survives_one_kill_after_the_other(tmp_path: Path, kind: str) -> None:
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
        store.read_sync(lambda db, id_=id_: records.info(db, id_, None))
    if kind == "sqlite":
        check = "PRAGMA integrity_check"
        assert store.read_sync(lambda db: db.exec_driver_sql(check).scalar()) == "ok"
    assert rows_are_taken_as_they_stand(store)
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
    (row,) = store.write_sync(lambda db: queries.reclaim(db))
    assert (row.id, row.attempt) == (id_, 1)
    store.close()


def test_two_processes_never_have_one_database(tmp_path: Path, kind: str) -> None:
    with victim(tmp_path, "hold_on") as process:
        _, pid = next(lines(process))
        told = {"sqlite": f"process {pid} on ", "postgresql": "another realm, connected from"}
        with pytest.raises(Unavailable, match=told[kind]):
            opened(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        store = opened(tmp_path)
    assert store.epoch == 2
    store.close()
