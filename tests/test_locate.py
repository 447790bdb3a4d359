"""A realm is found where it is, started where there is none, and trusted only where it may be."""

import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import filelock
import msgspec
import psutil
import pytest

from mtor_kernel.client import Realm, connect
from mtor_kernel.locate import Address, RuntimeFile, find, find_or_start, is_well
from mtor_kernel.protocol.errors import RealmUnreachable
from tests.faults.processes import realm_process
from tests.personal import end_realms, started_realms

ROOT = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RuntimeFile]:
    """Directories of the test's own; whatever realm was started there is ended."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", os.fspath(tmp_path / "runtime"))
    monkeypatch.setenv("MTOR_DATA", os.fspath(tmp_path / "data"))
    file = RuntimeFile()
    yield file
    end_realms(file)


class Health(http.server.BaseHTTPRequestHandler):
    """Says that it is well."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[str]:
    """The URL of something that says that it is well."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def a_dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


# Where it looks.


def test_the_environment_comes_first(
    place: RuntimeFile, answering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(answering, "personal")
    assert find() == Address(answering, "personal")
    monkeypatch.setenv("MTOR_HUB_SERVICE", "http://hub/services/mtor")
    assert find() == Address(answering, "personal")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-the-hub")
    assert find() == Address("http://hub/services/mtor/", "of-the-hub")
    monkeypatch.setenv("MTOR_URL", "https://realm.example/mtor")
    monkeypatch.setenv("MTOR_TOKEN", "mine")
    assert find_or_start() == Address("https://realm.example/mtor/", "mine")


@pytest.mark.parametrize(
    ("url", "token", "said"), [("http://x", "", "MTOR_TOKEN"), ("localhost:1", "t", "http://")]
)
def test_half_an_address_is_refused(
    place: RuntimeFile, monkeypatch: pytest.MonkeyPatch, url: str, token: str, said: str
) -> None:
    monkeypatch.setenv("MTOR_URL", url)
    monkeypatch.setenv("MTOR_TOKEN", token)
    with pytest.raises(RealmUnreachable, match=said):
        find()


def test_where_nothing_runs_nothing_is_found(place: RuntimeFile) -> None:
    assert find() is None


def test_no_token_is_shown(place: RuntimeFile, answering: str) -> None:
    runtime = place.write(answering, "very-secret")
    assert "very-secret" not in f"{runtime!r} {find()!r}"


# The runtime file.


def test_the_runtime_file_is_its_owners_alone(place: RuntimeFile) -> None:
    runtime = place.write("http://127.0.0.1:1", "secret")
    assert place.path.stat().st_mode & 0o777 == 0o600
    assert place.path.name == "mtor-realm.json"
    assert place.read() == runtime
    assert runtime.url == "http://127.0.0.1:1/"
    assert list(place.path.parent.iterdir()) == [place.path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_file_that_others_can_open_is_refused(
    place: RuntimeFile, answering: str, mode: int
) -> None:
    place.write(answering, "secret")
    place.path.chmod(mode)
    for look in (find, find_or_start):
        with pytest.raises(RealmUnreachable, match="open to other accounts"):
            look()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_account_is_refused(place: RuntimeFile, answering: str) -> None:
    place.write(answering, "secret")
    os.chown(place.path, 12345, 12345)
    with pytest.raises(RealmUnreachable, match="another account"):
        find()


def test_a_link_is_refused(place: RuntimeFile, answering: str, tmp_path: Path) -> None:
    place.write(answering, "secret")
    place.path.rename(tmp_path / "elsewhere.json")
    place.path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(RealmUnreachable, match="cannot be opened"):
        find()


def test_only_what_one_has_written_oneself_is_removed(place: RuntimeFile) -> None:
    place.write("http://127.0.0.1:1/", "mine")
    successor = RuntimeFile()
    successor.write("http://127.0.0.1:2/", "theirs")
    place.remove()
    assert successor.path.exists()
    successor.remove()
    assert not successor.path.exists()
    successor.remove()


def test_a_file_that_makes_no_sense_counts_as_none(place: RuntimeFile) -> None:
    place.write("http://127.0.0.1:1/", "mine")
    place.path.write_text('{"url": 3}')
    assert place.read() is None
    assert find() is None


def test_a_stale_file_is_cleared_away_unless_a_realm_lives(
    place: RuntimeFile, answering: str
) -> None:
    place.write(answering, "old", pid=a_dead_pid())
    assert find() is None
    with filelock.FileLock(place.realm_lock):
        assert not place.clear_stale()
        assert place.path.exists()
    assert place.clear_stale()
    assert not place.path.exists()


def test_only_a_living_process_of_ones_own_that_answers_is_well(
    place: RuntimeFile, answering: str
) -> None:
    assert is_well(place.write(answering, "t"))
    assert not is_well(place.write("http://127.0.0.1:1/", "t"))
    assert not is_well(place.write(answering, "t", pid=a_dead_pid()))
    # Its number was given to another process.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as younger:
        told = place.write(answering, "t", pid=younger.pid)
        assert is_well(told)
        assert not is_well(msgspec.structs.replace(told, born=told.born - 60))
        younger.communicate(b"\n")


@pytest.mark.parametrize("by", [3600, -3600])
def test_a_realm_is_found_though_the_clock_was_set(
    place: RuntimeFile, answering: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: int
) -> None:
    told = place.write(answering, "t")
    # What the system says after that: the machine, and with it every process, started then.
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    said = Path("/proc/stat").read_text()
    (proc / "stat").write_text(re.sub(r"btime (\d+)", lambda m: f"btime {int(m[1]) + by}", said))
    monkeypatch.setattr(psutil, "PROCFS_PATH", os.fspath(proc))
    assert is_well(told)


def test_a_realm_of_another_version_is_named_with_what_to_do(
    place: RuntimeFile, answering: str
) -> None:
    told = place.write(answering, "t")
    place.path.write_bytes(place.path.read_bytes().replace(told.version.encode(), b"99.0.1"))
    with pytest.raises(RealmUnreachable, match=r"99\.0\.1.*mtor realm stop"):
        find()


# Starting one.

STARTER = """
from mtor_kernel.locate import find_or_start
address = find_or_start()
print(address.url, address.token)
"""


@pytest.mark.slow
def test_two_who_start_at_once_get_one_realm(place: RuntimeFile) -> None:
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = {starter.communicate(timeout=100)[0] for starter in starters}
    assert len(said) == 1
    url, token = said.pop().split()
    assert find() == Address(url, token)
    # It outlives those who started it, in a session of its own.
    runtime = place.read()
    assert runtime is not None
    assert os.getsid(runtime.pid) == runtime.pid
    with connect() as realm:
        assert realm.address().url == url
        assert realm.me().unlimited


@pytest.mark.slow
@pytest.mark.fault
def test_a_killed_realm_is_replaced_when_it_is_needed(place: RuntimeFile) -> None:
    with Realm() as realm:
        assert realm.me().unlimited
        first = place.read()
        assert first is not None
        killed = psutil.Process(first.pid)
        orphans = killed.children(recursive=True)
        killed.send_signal(signal.SIGKILL)
        killed.wait(60)
        # The same object goes on, with the successor.
        assert realm.me().unlimited
        second = place.read()
        assert second is not None
        assert (second.pid, second.token) != (first.pid, first.token)
    for orphan in psutil.wait_procs(orphans, timeout=60)[1]:
        orphan.kill()
        pytest.fail(f"the killed realm has left {orphan}")


@pytest.mark.slow
def test_a_realm_that_is_starting_is_waited_for(place: RuntimeFile) -> None:
    with pytest.raises(RealmUnreachable, match="did not answer in time"):
        find_or_start(timeout=0.05)
    address = find_or_start()
    runtime = place.read()
    assert runtime is not None
    # One that finds another holding the lock ends by itself.
    spare = [realm for realm in started_realms() if realm.pid != runtime.pid]
    assert psutil.wait_procs(spare, timeout=60)[1] == []
    assert find() == address


def test_a_start_that_fails_shows_why(place: RuntimeFile, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tls").write_text("not a folder")
    with pytest.raises(RealmUnreachable, match=r"ended while it started") as caught:
        find_or_start()
    assert "tls" in str(caught.value)
    assert "mtor doctor" in str(caught.value)
    log = tmp_path / "data" / "realm.log"
    assert log.stat().st_mode & 0o777 == 0o600


LENGTHY = """
[[models]]
name = "lengthy"
modality = "chat"
backend = "echo"
rates = { free = true }
settings = { chunks = 20, rate = 1.6 }
"""


@pytest.mark.slow
def test_a_realm_that_nobody_uses_ends_by_itself_and_one_that_answers_does_not(
    tmp_path: Path,
) -> None:
    with realm_process(tmp_path, catalogue=LENGTHY, idle_seconds=10.0) as realm:
        family = [realm.child("scheduler"), realm.child("worker")]
        with Realm(realm.runtime.url, realm.runtime.token) as asking:
            # Nobody says anything for longer than that while the answer comes.
            assert asking.ask("word " * 20, "lengthy").text.count("word") == 20
            # Still open, and used by nobody.
            assert realm.wait() == 0
        assert psutil.wait_procs(family, timeout=60)[1] == []
        assert not RuntimeFile(tmp_path / "runtime").path.exists()
