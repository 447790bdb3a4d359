"""The store on a PostgreSQL server: lost connections, unknown commits, settings, secrets."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.errors import RealmStopping, Unavailable
from mtor_kernel.storage import Store, people, records
from tests import postgres
from tests.cable import Cable, cable
from tests.postgres import Server
from tests.storage.helpers import (
    NOON,
    URL_FILE,
    accept,
    new_query,
    opened,
    person,
    problems,
    stranger,
    url_of,
)
from tests.storage.test_crashes import lines, victim
from tests.storage.test_writer import names


@pytest.fixture
def kind() -> str:
    """These are about a server."""
    return "postgresql"


@pytest.fixture
def wire(tmp_path: Path, postgresql: Server) -> Iterator[Cable]:
    """The cable of the store that the test opens."""
    with cable(postgresql.port) as laid:
        url = url_of(tmp_path).replace(f":{postgresql.port}/", f":{laid.port}/")
        (tmp_path / URL_FILE).write_text(url)
        yield laid


def counted(name: str, calls: list[str]) -> Callable[[sa.Connection], str]:
    """A work that says how often it was carried out."""

    def work(db: sa.Connection) -> str:
        calls.append(name)
        people.ensure(db, name, "user", NOON, grant_micro=7)
        return name

    return work


@pytest.mark.parametrize(("arrives", "times"), [(True, 1), (False, 2)])
def test_a_commit_whose_answer_is_lost_is_looked_up(
    tmp_path: Path, wire: Cable, arrives: bool, times: int
) -> None:
    with closing(opened(tmp_path)) as store:
        calls: list[str] = []
        wire.cut_at(b"COMMIT", letting_it_through=arrives)
        assert store.write_sync(counted("ann", calls)) == "ann"
        assert wire.met.is_set()
        assert len(calls) == times
        assert names(store) == {"ann"}
        assert store.statistics.losses >= 1
        assert problems(store) == []


def test_what_is_to_be_done_once_is_looked_up_too(tmp_path: Path, wire: Cable) -> None:
    with closing(opened(tmp_path)) as store:
        calls: list[str] = []
        wire.cut_at(b"COMMIT", letting_it_through=True)
        assert store.write_sync(counted("ann", calls), once=True) == "ann"
        wire.cut_at(b"COMMIT", letting_it_through=False)
        with pytest.raises(Unavailable, match="could not write"):
            store.write_sync(counted("bob", calls), once=True)
        assert calls == ["ann", "bob"]
        assert names(store) == {"ann"}


def test_a_connection_that_is_lost_between_two_works_is_made_anew(
    tmp_path: Path, wire: Cable
) -> None:
    with closing(opened(tmp_path)) as store:
        for name in ("ann", "bob"):
            wire.cut()
            person(store, name)
            wire.cut()
            assert name in names(store)


def test_an_epoch_that_was_ended_writes_nothing_any_more(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        person(store, "ann")
        with stranger(tmp_path) as conn:
            conn.exec_driver_sql("UPDATE epoch SET ended_at = 1")
        with pytest.raises(RealmStopping, match="start this realm again"):
            person(store, "bob")
        assert names(store) == {"ann"}


def test_what_is_acknowledged_is_on_the_disk_whatever_the_server_is_set_to(
    tmp_path: Path, postgresql: Server
) -> None:
    (tmp_path / URL_FILE).write_text(postgresql.database())
    with stranger(tmp_path) as conn:
        name = conn.exec_driver_sql("SELECT current_database()").scalar_one()
        conn.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with closing(opened(tmp_path)) as store:
        show = "SHOW synchronous_commit"
        assert store.write_sync(lambda db: db.exec_driver_sql(show).scalar_one()) == "on"


def test_a_nul_in_what_somebody_says_hinders_nothing(store: Store, ann: str) -> None:
    new = new_query(prompt="before\0after", key="k\0ey")
    accept(store, new)
    (found,) = store.read_sync(lambda db: records.history(db, "ann")).items
    assert found.prompt == "before\N{REPLACEMENT CHARACTER}after"
    whole = store.read_sync(lambda db: records.info(db, found.id, None)).query
    assert whole is not None
    assert whole.messages[0].parts[0].text == "before\0after"
    repeated = new_query(prompt="before\0after", key="k\0ey")
    assert accept(store, repeated).repeated


def test_no_message_shows_a_password(tmp_path: Path, postgresql: Server) -> None:
    for url in (
        f"postgresql://mtor:secret@127.0.0.1:{postgresql.port}/postgres",
        f"postgresql://mtor@127.0.0.1:{postgresql.port}/postgres?password=secret",
        "postgresql://mtor:secret@127.0.0.1:1/postgres",
    ):
        with pytest.raises(Unavailable, match="cannot be used") as refused:
            Store.open(url, tmp_path)
        assert "secret" not in str(refused.value)


def test_what_the_server_says_of_rows_is_not_shown(store: Store, ann: str) -> None:
    twice = "INSERT INTO person SELECT * FROM person"
    with pytest.raises(sa.exc.IntegrityError, match="person_pk") as refused:
        store.write_sync(lambda db: db.exec_driver_sql(twice))
    assert "ann" not in str(refused.value)


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that may be ended."""
    if postgres.missing():
        pytest.skip(postgres.missing())
    with postgres.server() as server:
        yield server


@pytest.mark.fault
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_what_was_acknowledged_outlives_the_servers_restarts(
    tmp_path: Path, own_server: Server, how: signal.Signals
) -> None:
    (tmp_path / URL_FILE).write_text(own_server.database())
    accepted: set[str] = set()
    settled: set[str] = set()
    with victim(tmp_path, "work") as process:
        for number, (what, id_, *_) in enumerate(lines(process), 1):
            (accepted if what == "accepted" else settled).add(id_)
            if number in (40, 80, 120):
                own_server.restart(how)
            if number == 160:
                break
    with closing(opened(tmp_path)) as store:
        assert problems(store) == []
        for id_ in accepted:
            info = store.read_sync(lambda db, id_=id_: records.info(db, id_, None))
            assert (info.stage == "settled") >= (id_ in settled)


@pytest.mark.fault
@pytest.mark.asyncio
async def test_a_server_that_stays_away_is_told_of_and_waited_for(
    tmp_path: Path, own_server: Server
) -> None:
    (tmp_path / URL_FILE).write_text(own_server.database())
    store = await asyncio.to_thread(opened, tmp_path)
    own_server.stop()
    with pytest.raises(Unavailable):
        await asyncio.gather(store.write(people.all), store.read(people.all))
    await asyncio.to_thread(own_server.start)
    await asyncio.to_thread(person, store, "ann")
    assert await asyncio.to_thread(names, store) == {"ann"}
    await asyncio.to_thread(store.close)
