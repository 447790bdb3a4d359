"""A store on a PostgreSQL server over TLS, and servers that are not to be believed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mtor_kernel.cli import main
from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.realm.certs import Certs, sign_member
from mtor_kernel.realm.realm import Realm
from mtor_kernel.storage import Store, people
from tests import postgres
from tests.postgres import Server
from tests.realms import OWNER

pytestmark = pytest.mark.slow


@pytest.fixture
def kind() -> str:
    """These are about a server."""
    return "postgresql"


ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def certs(folder: Path) -> Certs:
    """What `mtor certs` makes for the server."""
    assert main(["certs", str(folder / "ours"), "db", "127.0.0.1", "db.test"]) == 0
    return Certs(folder / "ours" / "db")


@pytest.fixture(scope="module")
def server(certs: Certs, postgresql: Server) -> Iterator[Server]:
    """Beside the one of all tests, which is named so that it is there first."""
    with postgres.server() as running:
        running.stop()
        running.show(certs)
        running.start()
        yield running


@pytest.fixture(scope="module")
def foreign(folder: Path) -> Certs:
    """Of an authority of another place, which has the same name as everybody's has."""
    return sign_member(folder / "theirs", "db", ("127.0.0.1",))


def verifying(server: Server, certs: Certs) -> str:
    """A new database, by a URL that takes a server of this authority only."""
    how = f"sslmode=verify-full&sslrootcert={certs.authority}&passfile={server.passfile}"
    return f"{server.database()}?{how}"


def test_all_of_its_connections_are_encrypted_and_outlive_a_restart_of_the_server(
    tmp_path: Path, server: Server, certs: Certs
) -> None:
    with closing(Store.open(verifying(server, certs), tmp_path)) as store:
        for _ in range(2):
            assert store.write_sync(lambda db: db.exec_driver_sql(ENCRYPTED).scalar_one()) is True
            assert store.read_sync(lambda db: db.exec_driver_sql(ENCRYPTED).scalar_one()) is True
            server.restart()


def test_a_whole_realm_opens_on_it_and_shows_no_certificate_in_its_name(
    tmp_path: Path, server: Server, certs: Certs
) -> None:
    url = verifying(server, certs)

    async def run() -> tuple[str, list[str]]:
        realm = await Realm.open(tmp_path, database_url=url)
        await realm.arrive(OWNER)
        names = [one.name for one in await realm.store.read(people.all)]
        await realm.close()
        return realm.store.database.name, names

    name, names = asyncio.run(run())
    assert names == [OWNER.name]
    assert "ssl" not in name


def test_a_server_whose_certificate_a_foreign_authority_signed_is_refused(
    tmp_path: Path, server: Server, foreign: Certs
) -> None:
    with pytest.raises(Unavailable, match="not signed by the authority that `sslrootcert` names"):
        Store.open(verifying(server, foreign), tmp_path)


def test_a_server_of_another_name_is_refused(tmp_path: Path, server: Server, certs: Certs) -> None:
    # It is this machine by every address of 127/8, and the certificate is for one of them.
    url = verifying(server, certs).replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(Unavailable, match="cannot be used"):
        Store.open(url, tmp_path)
    named = f"{url}&hostaddr=127.0.0.1".replace("127.0.0.2", "db.example.org")
    with pytest.raises(Unavailable, match="name the server in the URL as its certificate does"):
        Store.open(named, tmp_path)


@pytest.mark.parametrize(
    ("query", "advice"),
    [
        ("sslmode=verify-full&sslrootcert=/nowhere/authority.pem", "`sslrootcert=/etc"),
        ("sslmode=sometimes", "mend the URL"),
    ],
)
def test_a_url_that_cannot_be_followed_is_told_of_with_what_to_do(
    tmp_path: Path, server: Server, query: str, advice: str
) -> None:
    with pytest.raises(Unavailable, match=advice) as refused:
        Store.open(f"{server.database()}?{query}", tmp_path)
    # libpq would have one look away.
    assert "disable" not in str(refused.value)


def test_a_server_without_tls_is_refused_where_it_is_asked_for(
    tmp_path: Path, postgresql: Server
) -> None:
    with pytest.raises(Unavailable, match="set `ssl = on` and a certificate at the server"):
        Store.open(f"{postgresql.url('postgres')}?sslmode=require", tmp_path)


def test_the_doctor_reads_such_a_store_and_tells_of_a_foreign_authority(
    tmp_path: Path,
    server: Server,
    certs: Certs,
    foreign: Certs,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MTOR_DATA", str(tmp_path))
    url = verifying(server, certs)
    # As on another machine.
    afar = f"{url}&hostaddr=127.0.0.1".replace("@127.0.0.1", "@db.test")
    for how, told in (
        (url, "ok    PostgreSQL"),
        (afar, "ok    the connection is encrypted, and it was made sure who answers"),
        (afar.replace("verify-full", "require"), "note  whoever answers there is believed"),
        (afar.replace("verify-full", "disable"), "BAD   the connection is not encrypted"),
    ):
        main(["doctor", "--database", how])
        assert told in capsys.readouterr().out
    assert main(["doctor", "--database", verifying(server, foreign)]) == 1
    assert "not signed by the authority" in capsys.readouterr().out
