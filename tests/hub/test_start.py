"""A realm, a scheduler or a worker that cannot start says why in one sentence, and ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from mtor_kernel.hub.service import MISCONFIGURED, serve
from mtor_kernel.realm.certs import sign_member
from mtor_kernel.storage import Store
from tests.hub.hub_process import ROOT, proxy_command
from tests.hub.test_local import needs_proxy_in_the_tree
from tests.ports import free_port, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: What the Hub tells its services. Nobody answers there, which hinders no realm's start.
TOLD = {
    "JUPYTERHUB_API_TOKEN": "x" * 32,
    "JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api",
    "JUPYTERHUB_CLIENT_ID": "service-mtor",
}


@contextlib.contextmanager
def taken() -> Iterator[int]:
    """A port at which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def realm(folder: Path, config: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a realm with this configuration until it ends."""
    (folder / "realm_config.py").write_text(f"c = get_config()\n{config}\n")
    where = {
        "MTOR_DATA": str(folder / "data"),
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{free_port()}",
    }
    words = ("mtor_kernel.hub", "--config", "realm_config.py")
    return run(folder, *words, **TOLD | where | more)


def check_sentence(done: subprocess.CompletedProcess[str], status: int, *said: str) -> None:
    """It ended so, and its last words are one sentence of ours with all of this."""
    told = done.stdout + done.stderr
    assert done.returncode == status, told
    assert "Traceback" not in told
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("mtor: ")
    assert last.endswith(".")
    for words in said:
        assert words in last


def test_a_scheduler_that_dies_at_once_ends_the_realm_with_the_schedulers_own_reason(
    tmp_path: Path,
) -> None:
    # A setting which Dask's scheduler refuses to start with.
    done = realm(tmp_path, "", DASK_DISTRIBUTED__SCHEDULER__PICKLE="False")
    check_sentence(done, 1, "scheduler did not start", "Pickling", "scheduler.log")


def test_a_port_that_is_in_use_ends_the_realm(tmp_path: Path) -> None:
    with taken() as port:
        done = realm(tmp_path, "", JUPYTERHUB_SERVICE_URL=f"http://127.0.0.1:{port}")
        check_sentence(done, 1, f"port {port}", "Address already in use")


def test_a_port_for_links_that_is_in_use_ends_the_realm(tmp_path: Path) -> None:
    with taken() as port:
        link = f"127.0.0.1:{port}"
        config = f"c.HubRealm.link_bind = {link!r}\nc.HubRealm.link_url = 'wss://{link}/link'"
        check_sentence(realm(tmp_path, config), 1, f"port {port}", "Address already in use")


def no_certs(folder: Path) -> Path:
    return folder / "nowhere"


def junk(folder: Path) -> Path:
    certs = sign_member(folder / "ca", "realm", ("127.0.0.1",))
    certs.certificate.write_text("junk")
    return certs.key.parent


def mixed(folder: Path) -> Path:
    one, two = (sign_member(folder / "ca", name, ("127.0.0.1",)) for name in ("one", "two"))
    one.key.write_bytes(two.key.read_bytes())
    return one.key.parent


@pytest.mark.parametrize(
    ("folder", "said"),
    [(no_certs, "There is no "), (junk, "cannot be used"), (mixed, "cannot be used")],
)
def test_certificates_that_make_nobody_a_member_start_nothing(
    tmp_path: Path, folder: Callable[[Path], Path], said: str
) -> None:
    words = ("scheduler", "--certs", str(folder(tmp_path)))
    check_sentence(run(tmp_path, "mtor_kernel.cli", *words), 1, said, "mtor certs")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("c.HubRealm.scheduler = 'tcp://10.0.0.1:8786'", "tls://HOST:PORT"),
        ("c.HubRealm.scheduler = 'tls://10.0.0.1'", "tls://HOST:PORT"),
        ("c.HubRealm.link_bind = '8104'", "HOST:PORT"),
        ("c.HubRealm.workers = 'two'", "cannot be followed"),
        ("c.HubRealm.certs = '/nowhere'", "There is no "),
        ("this is no Python", "cannot be read"),
    ],
)
def test_a_configuration_that_cannot_be_followed_ends_it_for_good(
    tmp_path: Path,
    config: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = {"MTOR_DATA": str(tmp_path), "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:1"}
    for name, value in (TOLD | where).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "realm_config.py").write_text(f"c = get_config()\n{config}\n")
    interval = sys.getswitchinterval()
    try:
        assert serve() == MISCONFIGURED
    finally:
        sys.setswitchinterval(interval)
    told = capsys.readouterr().err
    assert told.startswith("mtor: ")
    assert said in told


def test_the_unit_does_not_try_again_what_only_the_operator_can_mend() -> None:
    unit = (ROOT / "deploy" / "systemd" / "mtor-realm.service").read_text()
    assert f"RestartPreventExitStatus={MISCONFIGURED}\n" in unit


def test_a_scheduler_whose_port_is_in_use_says_so(tmp_path: Path) -> None:
    certs = sign_member(tmp_path, "scheduler", ("127.0.0.1",)).key.parent
    with taken() as port:
        words = ("scheduler", "--certs", str(certs), "--port", str(port))
        done = run(tmp_path, "mtor_kernel.cli", *words)
        check_sentence(done, 1, f"port {port}", "Address already in use")


@pytest.mark.fault
def test_a_worker_at_another_clusters_scheduler_is_told_so(tmp_path: Path) -> None:
    theirs, ours = (
        sign_member(tmp_path / name, "member", ("127.0.0.1",)).key.parent
        for name in ("theirs", "ours")
    )
    port = free_port()
    words = ("mtor_kernel.cli", "scheduler", "--certs", str(theirs), "--port", str(port))
    scheduler = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    try:
        assert scheduler.stderr is not None
        assert any(b"Scheduler at:" in line for line in scheduler.stderr)
        address = f"tls://127.0.0.1:{port}"
        done = run(tmp_path, "mtor_kernel.cli", "worker", address, "--certs", str(ours))
        check_sentence(done, 1, address, "no member of this cluster")
    finally:
        scheduler.kill()
        scheduler.communicate()


@pytest.mark.fault
def test_a_hub_whose_own_realm_cannot_start_shows_why_and_ends(tmp_path: Path) -> None:
    needs_proxy_in_the_tree()
    assert proxy_command()
    # As a second one in the same folder finds it.
    folder = tmp_path / "hub"
    data, log = folder / "realm", tmp_path / "log"
    with (
        closing(Store.open(f"sqlite:///{data / 'realm.sqlite'}", data / "blobs")),
        log.open("wb") as out,
    ):
        config = ROOT / "deploy" / "local" / "jupyterhub_config.py"
        done = subprocess.run(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=tmp_path,
            env=os.environ
            | {"PYTHONPATH": str(ROOT)}
            | {"MTOR_HUB_FOLDER": str(folder), "MTOR_HUB_PORT": str(free_ports(4)[0])},
            # Not by a pipe: a Hub that fails leaves its proxy, which its next start ends.
            stdout=out,
            stderr=out,
            timeout=240,
            check=False,
        )
    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        psutil.Process(int((folder / "proxy.pid").read_text())).kill()
    told = log.read_text()
    assert done.returncode != 0, told
    assert "mtor: The database" in told
    assert "or name another database" in told
