"""What the doctor says where something is wrong: each fault is made, and must be named."""

from __future__ import annotations

import os
import socket
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from mtor_kernel.cli import main
from mtor_kernel.cli.doctor_cluster import check_cluster
from mtor_kernel.cli.findings import Finding, Mark
from mtor_kernel.locate import RuntimeFile
from mtor_kernel.realm.certs import Certs, ensure_certs
from mtor_kernel.storage import Store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own, in which a realm has run."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", os.fspath(tmp_path / "runtime"))
    monkeypatch.setenv("MTOR_DATA", os.fspath(tmp_path / "data"))
    (tmp_path / "data").mkdir(mode=0o700)
    Store.open(f"sqlite:///{tmp_path}/data/realm.sqlite", tmp_path / "data" / "blobs").close()
    return tmp_path / "data"


def bad_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    status = main(["doctor"])
    bad = [line.strip() for line in capsys.readouterr().out.splitlines() if "BAD" in line]
    assert status == bool(bad)
    return bad


@pytest.mark.slow
def test_a_port_beyond_loopback_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bad_lines(capsys) == []
    with closing(socket.socket()) as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        port = listening.getsockname()[1]
        RuntimeFile().write(f"http://127.0.0.1:{port}/", "t")
        bad = bad_lines(capsys)
    # This very process plays the realm, and what other tests have left open in it is told too.
    told = f"0.0.0.0:{port} (process {os.getpid()}): reachable from other machines"
    assert any(told in line for line in bad)


@pytest.mark.slow
def test_a_database_that_is_not_as_a_realm_leaves_it_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(home / "realm.sqlite")) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    home.chmod(0o755)
    bad = bad_lines(capsys)
    assert bad == [f"BAD   {home} has mode 755", "BAD   journal mode delete"]


# The cluster.


@pytest.fixture
def certs(tmp_path: Path) -> Certs:
    return ensure_certs(tmp_path / "tls")


@contextmanager
def speaking(certs: Certs, *, asks: bool) -> Iterator[str]:
    """The address of one that says a word over TLS, to members only if it `asks` for theirs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs.certificate, certs.key)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certs.authority)

    def serve() -> None:
        with suppress(OSError):
            while True:
                raw, _ = listening.accept()
                with suppress(OSError), context.wrap_socket(raw, server_side=True) as spoken:
                    spoken.sendall(b"!")

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"tls://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def said_of(scheduler: str, certs: Certs) -> Finding:
    """The last finding: of the scheduler, since nobody here tells of workers."""
    return list(check_cluster(certs, scheduler))[-1]


@pytest.mark.slow
def test_a_scheduler_that_lets_strangers_in_is_named(certs: Certs) -> None:
    with speaking(certs, asks=False) as address:
        assert said_of(address, certs) == Finding(
            Mark.BAD, f"scheduler {address} takes members without a certificate"
        )
    with speaking(certs, asks=True) as address:
        assert said_of(address, certs) == Finding(
            Mark.WELL, f"scheduler {address} takes members by certificate only"
        )


@pytest.mark.slow
def test_a_scheduler_without_tls_is_named(certs: Certs) -> None:
    found = said_of("tcp://127.0.0.1:1", certs)
    assert (found.mark, "without TLS" in found.text) == (Mark.BAD, True)


@pytest.mark.slow
def test_a_scheduler_that_is_gone_is_named(certs: Certs) -> None:
    found = said_of("tls://127.0.0.1:1", certs)
    assert (found.mark, "cannot be reached" in found.text) == (Mark.BAD, True)


def test_a_key_that_others_can_read_and_a_broken_certificate_are_named(certs: Certs) -> None:
    assert {found.mark for found in check_cluster(certs, "")} == {Mark.WELL, Mark.NOTE}
    certs.key.chmod(0o644)
    certs.certificate.write_text("none")
    bad = [found.text for found in check_cluster(certs, "") if found.mark is Mark.BAD]
    assert bad == [f"{certs.key} has mode 644", f"{certs.certificate} is no certificate: delete it"]


def test_before_the_first_start_there_is_nothing_to_be_wrong(tmp_path: Path) -> None:
    (found,) = check_cluster(Certs(tmp_path / "tls"), "")
    assert found.mark is Mark.NOTE
