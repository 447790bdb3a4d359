"""Any order of steps, with crashes in between: the money and the stages always agree.

A machine draws steps at random, valid and invalid ones, and keeps a simple model of what must be
true beside the real store. After each step the store is held against the model and its books are
added up. A crash is what a killed process leaves on the disk: the files as they lie there, without
the process's memory, opened anew.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import ErrorInfo, InsufficientFunds, KeyConflict, RowsKnown
from mtor_kernel.protocol.lifecycle import ENDS, Stage
from mtor_kernel.protocol.query import Answer, Text
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.storage import Store, acceptance, endings, ledger, queries, together
from mtor_kernel.storage.rows import NewQuery
from mtor_kernel.storage.schema import query, table_row, transfer
from tests.postgres import Server
from tests.storage.helpers import (
    NOON,
    URL_FILE,
    accept,
    admit_all,
    answer_to,
    new_query,
    opened,
    person,
    problems,
)
from tests.storage.schemas import Schemas

PEOPLE = ("ann", "bob")
#: Drawn from freely: which one of what there is.
PICK = st.integers(0, 10_000)
#: How far the attempt and the epoch are from the current ones: mostly they are right.
OFF = st.sampled_from([0, 0, 0, 0, -1, 1])
ANSWER = Answer((Text("yes"),))
#: The keys of rows: few, so that they meet.
KEYS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True).map(tuple)
BROKE = ErrorInfo("worker_lost", "Its worker died.")

QUICK = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
DEEP = settings(QUICK, max_examples=60, stateful_step_count=50)


@dataclass(frozen=True)
class Known:
    """What must be true of one query."""

    new: NewQuery
    stage: Stage = Stage.QUEUED
    attempt: int = 0
    epoch: int = 0
    charge: int = 0

    @property
    def answer(self) -> Answer:
        """What it ends with: the first of its rows is answered, where it has some."""
        return answer_to(0) if self.new.rows else ANSWER

    @property
    def taken(self) -> tuple[str, ...]:
        """The keys of its rows that are not free."""
        left = {Stage.SETTLED: 1, Stage.FAILED: 0, Stage.CANCELLED: 0}
        return self.new.rows[: left.get(self.stage)]


@cache
def empty_database() -> Path:
    """A folder with a database that is up to date: copied, it saves each run the migrations."""
    folder = new_folder()
    atexit.register(shutil.rmtree, folder)
    opened(folder).close()
    return folder


def new_folder() -> Path:
    """A folder in memory where there is one: nothing here is about the disk, which is slow."""
    memory = Path("/dev/shm")
    room = memory if os.access(memory, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="mtor-states-", dir=room))


class Unwanted(Exception):
    """Raised by a work to have what it did undone."""


class Books(RuleBasedStateMachine):
    """The store and the model of it."""

    store: Store

    @initialize(funds=st.lists(st.integers(0, 500), min_size=2, max_size=2))
    def begin(self, funds: list[int]) -> None:
        self.folder = new_folder()
        self.prepare()
        self.store = opened(self.folder)
        self.posted = dict(zip(PEOPLE, funds, strict=True))
        self.house = 0
        self.known: dict[str, Known] = {}
        for name, amount in self.posted.items():
            person(self.store, name, amount)

    def prepare(self) -> None:
        """Have an empty database that is up to date."""
        shutil.copytree(empty_database() / "db", self.folder / "db")

    def keep(self, to: Path) -> None:
        """Keep in a folder what a process that died now would leave."""
        copy_files(self.folder, to)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def pick(self, number: int) -> Known:
        return list(self.known.values())[number % len(self.known)]

    def held(self, name: str) -> int:
        return sum(
            one.new.hold_micro
            for one in self.known.values()
            if one.new.user == name and one.stage not in ENDS
        )

    def available(self, name: str) -> int:
        return self.posted[name] - self.held(name)

    def note(self, one: Known, **changes: object) -> None:
        self.known[one.new.id] = replace(one, **changes)

    def charged(self, one: Known, stage: Stage, amount: int) -> None:
        self.posted[one.new.user] -= amount
        self.house += amount
        self.note(one, stage=stage, charge=amount)

    def is_current(self, one: Known, attempt: int, epoch: int) -> bool:
        return (one.stage, one.attempt, one.epoch) == (Stage.RUNNING, attempt, epoch)

    @rule(name=st.sampled_from(PEOPLE), amount=st.integers(1, 300))
    def grant(self, name: str, amount: int) -> None:
        to = ledger.account_of(name)
        self.store.write_sync(lambda db: ledger.grant(db, to, amount, "", NOON))
        self.posted[name] += amount

    @rule(name=st.sampled_from(PEOPLE), amount=st.integers(1, 300))
    def take_back(self, name: str, amount: int) -> None:
        of = ledger.account_of(name)
        take = lambda db: ledger.grant(db, of, -amount, "", NOON)  # noqa: E731
        if amount > self.available(name):
            with pytest.raises(InsufficientFunds):
                self.store.write_sync(take)
        else:
            self.store.write_sync(take)
            self.posted[name] -= amount

    @rule(name=st.sampled_from(PEOPLE), hold=st.integers(0, 200))
    def submit(self, name: str, hold: int) -> None:
        new = new_query(name, hold=hold)
        if hold > self.available(name):
            with pytest.raises(InsufficientFunds) as refused:
                accept(self.store, new)
            assert refused.value.details["available"] == self.available(name)
        else:
            accepted = accept(self.store, new)
            assert (accepted.query, accepted.repeated) == (new.id, False)
            self.known[new.id] = Known(new)

    @rule(name=st.sampled_from(PEOPLE), hold=st.integers(0, 80), keys=KEYS)
    def submit_rows(self, name: str, hold: int, keys: tuple[str, ...]) -> None:
        new, taken = new_query(name, hold=hold, rows=keys), self.taken(name)
        if known := {str(at): taken[key] for at, key in enumerate(keys) if key in taken}:
            with pytest.raises(RowsKnown) as refused:
                accept(self.store, new)
            assert refused.value.details == known
        elif hold > self.available(name):
            with pytest.raises(InsufficientFunds):
                accept(self.store, new)
        else:
            accept(self.store, new)
            self.known[new.id] = Known(new)

    def taken(self, name: str) -> dict[str, str]:
        """A person's keys of rows, and where each was asked."""
        return {
            key: f"{one.new.id}:{at}"
            for one in self.known.values()
            if one.new.user == name
            for at, key in enumerate(one.taken)
        }

    @precondition(lambda self: self.known)
    @rule(number=PICK, same=st.booleans())
    def submit_again(self, number: int, same: bool) -> None:
        one = self.pick(number)
        how = {"key": one.new.key, "rows": one.new.rows}
        again = new_query(one.new.user, hold=one.new.hold_micro, **how)
        if same:
            accepted = accept(self.store, again)
            assert (accepted.query, accepted.repeated) == (one.new.id, True)
            assert accepted.stage is one.stage
        else:
            other = new_query(one.new.user, key=one.new.key, prompt="Something else")
            with pytest.raises(KeyConflict):
                accept(self.store, other)

    @precondition(lambda self: self.known)
    @rule(numbers=st.lists(PICK, max_size=4))
    def dispatch(self, numbers: list[int]) -> None:
        wanted = list(dict.fromkeys(self.pick(number).new.id for number in numbers))
        epoch = self.store.epoch
        begun = self.store.write_sync(lambda db: queries.dispatch(db, wanted, epoch, NOON))
        may = [self.known[id_] for id_ in wanted if self.known[id_].stage is Stage.QUEUED]
        assert [(one.id, one.attempt) for one in begun] == [
            (one.new.id, one.attempt + 1) for one in may
        ]
        for one in may:
            self.note(one, stage=Stage.RUNNING, attempt=one.attempt + 1, epoch=epoch)

    @precondition(lambda self: self.known)
    @rule(number=PICK, attempt_off=OFF, epoch_off=OFF)
    def requeue(self, number: int, attempt_off: int, epoch_off: int) -> None:
        one = self.pick(number)
        attempt, epoch = one.attempt + attempt_off, one.epoch + epoch_off
        done = self.store.write_sync(
            lambda db: queries.requeue(db, one.new.id, attempt, epoch, NOON)
        )
        assert done is self.is_current(one, attempt, epoch)
        if done:
            self.note(one, stage=Stage.QUEUED)

    @precondition(lambda self: self.known)
    @rule(number=PICK, attempt_off=OFF, epoch_off=OFF, share=st.integers(0, 100))
    def settle(self, number: int, attempt_off: int, epoch_off: int, share: int) -> None:
        one = self.pick(number)
        attempt, epoch = one.attempt + attempt_off, one.epoch + epoch_off
        amount = one.new.hold_micro * share // 100
        done = self.store.write_sync(settling(one, attempt, epoch, amount))
        assert done is self.is_current(one, attempt, epoch)
        if done:
            self.charged(one, Stage.SETTLED, amount)

    @rule(
        name=st.sampled_from(PEOPLE),
        holds=st.lists(st.integers(0, 80), min_size=1, max_size=6),
        again=st.booleans(),
        begins=st.booleans(),
    )
    def submit_together(self, name: str, holds: list[int], again: bool, begins: bool) -> None:
        """The rows of a map: what comes first has the funds, and a known key is told of."""
        news = [new_query(name, hold=hold) for hold in holds]
        known = next((one for one in self.known.values() if one.new.user == name), None)
        if again and known is not None:
            news.insert(1, new_query(name, key=known.new.key, rows=known.new.rows))
        epoch = self.store.epoch if begins else None
        asked = [(new, Quotas(), epoch) for new in news]
        told = self.store.write_sync(lambda db: together.accept_all(db, asked, admit_all))
        for new, said in zip(news, told, strict=True):
            if known is not None and new.key == known.new.key:
                assert (said.query, said.repeated) == (known.new.id, True)
            elif new.hold_micro > self.available(name):
                assert isinstance(said, InsufficientFunds)
            else:
                assert (said.query, said.repeated) == (new.id, False)
                one = self.known[new.id] = Known(new)
                if begins:
                    self.note(one, stage=Stage.RUNNING, attempt=1, epoch=self.store.epoch)

    @precondition(lambda self: self.known)
    @rule(
        numbers=st.lists(PICK, min_size=1, max_size=8),
        running=st.booleans(),
        off=OFF,
        share=st.integers(0, 103),
    )
    def settle_together(self, numbers: list[int], running: bool, off: int, share: int) -> None:
        """The rows of a slice: all of them end, or, where one is stale or overcharged, none."""
        epoch = self.store.epoch
        picked = {one.new.id: one for one in map(self.pick, numbers)}
        if running:  # else one that is stale is nearly always among them
            picked |= {id_: one for id_, one in self.known.items() if one.epoch == epoch}
            picked = {id_: one for id_, one in picked.items() if one.stage is Stage.RUNNING}
        ones = list(picked.values())
        if not ones:
            return
        amounts = [one.new.hold_micro * share // 100 for one in ones]
        attempts = [one.attempt for one in ones]
        attempts[-1] += off
        ends = [
            together.Ending(
                one.new.id,
                one.new.user,
                one.new.model,
                attempt,
                one.answer,
                Charge(amount, Usage(1)),
            )
            for one, attempt, amount in zip(ones, attempts, amounts, strict=True)
        ]
        work = lambda db: together.settle_all(db, ends, epoch, NOON)  # noqa: E731
        current = all(map(self.is_current, ones, attempts, [epoch] * len(ones)))
        over = any(amount > one.new.hold_micro for one, amount in zip(ones, amounts, strict=True))
        if current and over:
            with pytest.raises(ledger.LedgerRefused):
                self.store.write_sync(work)
            return
        assert self.store.write_sync(work) is current
        if current:
            for one, amount in zip(ones, amounts, strict=True):
                self.charged(one, Stage.SETTLED, amount)

    @precondition(lambda self: self.known)
    @rule(number=PICK, over=st.integers(1, 10))
    def overcharge(self, number: int, over: int) -> None:
        one = self.pick(number)
        work = settling(one, one.attempt, one.epoch, one.new.hold_micro + over)
        if self.is_current(one, one.attempt, one.epoch):
            with pytest.raises(ledger.LedgerRefused):
                self.store.write_sync(work)
        else:
            assert not self.store.write_sync(work)

    @precondition(lambda self: self.known)
    @rule(number=PICK)
    def fail(self, number: int) -> None:
        one = self.pick(number)
        done = self.store.write_sync(lambda db: endings.fail(db, one.new.id, BROKE, NOON))
        assert done is (one.stage not in ENDS)
        if done:
            self.note(one, stage=Stage.FAILED)

    @precondition(lambda self: self.known)
    @rule(number=PICK, share=st.integers(0, 100))
    def cancel(self, number: int, share: int) -> None:
        one = self.pick(number)
        amount = one.new.hold_micro * share // 100
        done = self.store.write_sync(
            lambda db: endings.cancel(db, one.new.id, NOON, charge=Charge(amount))
        )
        assert done is (one.stage not in ENDS)
        if done:
            self.charged(one, Stage.CANCELLED, amount)

    @precondition(lambda self: self.known)
    @rule(number=PICK)
    def end_the_hold_again(self, number: int) -> None:
        one = self.pick(number)
        if one.stage in ENDS:
            hold = self.store.read_sync(
                lambda db: db.execute(sa.select(query.c.hold_id).where(query.c.id == one.new.id))
            ).scalar_one()
            with pytest.raises(ledger.LedgerRefused):
                self.store.write_sync(lambda db: ledger.void(db, hold, NOON))

    @precondition(lambda self: self.known)
    @rule(number=PICK, crash=st.booleans(), once=st.booleans())
    def break_off_after_everything_was_done(self, number: int, crash: bool, once: bool) -> None:
        """A whole life in one work, which then raises, or dies with its process: none of it was."""
        one = self.pick(number)
        left = new_folder()

        def work(db: sa.Connection) -> None:
            new = new_query(one.new.user, hold=0, rows=("z",))
            acceptance.accept(db, new, Quotas(), admit_all)
            queries.dispatch(db, [one.new.id], self.store.epoch, NOON)
            endings.cancel(db, one.new.id, NOON, charge=Charge(one.new.hold_micro))
            ledger.grant(db, ledger.account_of(one.new.user), 99, "", NOON)
            if not any(left.iterdir()):  # it comes here twice unless it is to be done once
                self.keep(left)
            raise Unwanted

        with pytest.raises(Unwanted):
            self.store.write_sync(work, once=once)
        if crash:
            self.restart_in(left)
        else:
            shutil.rmtree(left)

    @rule()
    def crash(self) -> None:
        left = new_folder()
        self.keep(left)
        self.restart_in(left)

    def restart_in(self, folder: Path) -> None:
        """Go on from the files of `folder` alone."""
        self.store.close()
        shutil.rmtree(self.folder)
        before, self.folder = self.store.epoch, folder
        self.store = opened(folder)
        assert self.store.epoch > before
        line = self.store.write_sync(queries.reclaim)
        for one in list(self.known.values()):
            if one.stage is Stage.RUNNING:
                self.note(one, stage=Stage.QUEUED)
        assert [(row.id, row.attempt) for row in line] == [
            (one.new.id, one.attempt) for one in self.known.values() if one.stage is Stage.QUEUED
        ]

    @invariant()
    def the_books_add_up(self) -> None:
        if hasattr(self, "store"):
            assert problems(self.store) == []

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        for name in PEOPLE:
            expected = ledger.Balance(self.posted[name], self.held(name), False)
            assert expected.available_micro >= 0
            assert self.look(ledger.balance, ledger.account_of(name)) == expected
        assert self.look(ledger.balance, ledger.HOUSE).posted_micro == self.house
        rows = self.store.read_sync(lambda db: db.execute(sa.select(query)).all())
        assert {row.id: (row.stage, row.attempt, row.charge_micro or 0) for row in rows} == {
            one.new.id: (one.stage, one.attempt, one.charge) for one in self.known.values()
        }

    @invariant()
    def each_row_is_asked_once_or_free(self) -> None:
        if not hasattr(self, "store"):
            return
        rows = self.store.read_sync(lambda db: db.execute(sa.select(table_row)).all())
        for name in PEOPLE:
            found = {row.key: f"{row.query}:{row.row}" for row in rows if row.person == name}
            assert found == self.taken(name)

    @invariant()
    def each_hold_was_ended_once_and_those_of_ended_queries_only(self) -> None:
        if not hasattr(self, "store"):
            return
        rows = self.store.read_sync(lambda db: db.execute(sa.select(transfer)).all())
        of_hold = {row.id: row.query for row in rows if row.kind == "hold"}
        ended = [of_hold[row.pending_id] for row in rows if row.pending_id is not None]
        assert sorted(of_hold.values()) == sorted(self.known)
        assert sorted(ended) == sorted(
            one.new.id for one in self.known.values() if one.stage in ENDS
        )

    def look(self, get: Callable[..., ledger.Balance], of: str) -> ledger.Balance:
        return self.store.read_sync(lambda db: get(db, of))


def settling(one: Known, attempt: int, epoch: int, amount: int) -> Callable[[sa.Connection], bool]:
    charge = Charge(amount, Usage(1, 2))
    return lambda db: endings.settle(db, one.new.id, attempt, epoch, one.answer, charge, NOON)


def copy_files(folder: Path, to: Path) -> None:
    """Copy what lies on the disk; shared memory is what a dead process does not leave."""
    (to / "db").mkdir()
    for name in ("realm.db", "realm.db-wal"):
        if (folder / "db" / name).exists():
            shutil.copy(folder / "db" / name, to / "db" / name)


class BooksOnPostgreSQL(Books):
    """The same on a server, where a process that dies leaves nothing but a lost connection."""

    server: Server
    schemas: Schemas

    def prepare(self) -> None:
        (self.folder / URL_FILE).write_text(self.schemas.take())

    def keep(self, to: Path) -> None:
        if not (to / URL_FILE).exists():
            shutil.copy(self.folder / URL_FILE, to / URL_FILE)

    def restart_in(self, folder: Path) -> None:
        with self.server.connect("postgres") as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'mtor'"
            )
        super().restart_in(folder)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "store"):
            self.schemas.give_back()


@pytest.fixture
def kind() -> str:
    """These bring a database of their own."""
    return "sqlite"


def test_the_books_hold() -> None:
    run_state_machine_as_test(Books, settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_books_hold_on_postgresql_too(postgresql: Server, schemas: Schemas) -> None:
    machine = type("Machine", (BooksOnPostgreSQL,), {"server": postgresql, "schemas": schemas})
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=8))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_books_hold_over_a_long_time() -> None:
    run_state_machine_as_test(Books, settings=DEEP)
