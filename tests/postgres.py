"""A PostgreSQL server for the tests: of Debian's package, on a port and in a folder of its own.

It refuses to run as root, so where the tests do, it runs as another user.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from mtor_kernel.realm.certs import Certs
from tests.ports import free_port

#: Who it runs as where the tests are root's.
ACCOUNTS = ("postgres", "nobody")
#: Nothing of the tests' own outlives the machine: a sync of the disk would only take time.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
}


def programs() -> Path | None:
    """Where PostgreSQL's programs lie, if they are installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


class Server:
    """One server. Its role `mtor` owns it, and the password stands in a file only."""

    def __init__(self, folder: Path, bin_: Path) -> None:
        self._folder, self._bin = folder, bin_
        self._data = folder / "data"
        self._user = _other_user()
        self._process: subprocess.Popen[bytes] | None = None
        self._tls: dict[str, str] = {}
        self.password = secrets.token_hex(8)
        self.port = free_port()
        #: For libpq: `PGPASSFILE`.
        self.passfile = folder / "pgpass"

    def make(self) -> None:
        """Make its folder."""
        secret = self._folder / "password"
        secret.write_text(self.password)
        for path in (self._folder, secret):
            if self._user is not None:
                os.chown(path, pwd.getpwnam(self._user).pw_uid, -1)
        self._folder.chmod(0o755)
        subprocess.run(
            [
                self._bin / "initdb", "--pgdata", self._data, "--username", "mtor", "--pwfile",
                secret, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8",
                "--no-sync",
            ],
            check=True, capture_output=True, user=self._user, cwd="/",
        )  # fmt: skip
        self.passfile.write_text(f"*:*:*:mtor:{self.password}\n")
        self.passfile.chmod(0o600)

    def show(self, certs: Certs) -> None:
        """Have it show this certificate from its next start on."""
        for name, pem in (("ssl_cert_file", certs.certificate), ("ssl_key_file", certs.key)):
            mine = self._folder / pem.name
            shutil.copyfile(pem, mine)
            mine.chmod(0o600)  # it takes no key that others can read
            if self._user is not None:
                os.chown(mine, pwd.getpwnam(self._user).pw_uid, -1)
            self._tls[name] = str(mine)
        self._tls["ssl"] = "on"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = SETTINGS | self._tls
        told = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-p", str(self.port), *told],
                stdout=log, stderr=log, user=self._user, cwd="/",
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: at once and in good order by SIGINT, as a crash does by SIGQUIT."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(60)
        self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it and start it again."""
        self.stop(how)
        self.start()

    def url(self, database: str) -> str:
        """How MTOR names a database of it."""
        return f"postgresql://mtor@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection:
        """Return a connection of its superuser."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="mtor", password=self.password,
            dbname=database, autocommit=True, connect_timeout=30,
        )  # fmt: skip

    def database(self) -> str:
        """Make an empty database, and return its URL."""
        name = f"mtor_{secrets.token_hex(6)}"
        with self.connect("postgres") as conn:
            conn.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.url(name)

    def schema(self) -> str:
        """Make an empty schema, and return its URL: as good as a database, and made at once."""
        name = f"mtor_{secrets.token_hex(6)}"
        with self.connect("postgres") as conn:
            conn.execute(f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}?options=-csearch_path%3D{name}"

    def drop(self, url: str) -> None:
        """Remove what :meth:`schema` made."""
        with self.connect("postgres") as conn:
            conn.execute(f"DROP SCHEMA {url.rpartition('%3D')[2]} CASCADE")


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server that runs, known to libpq by `PGPASSFILE` in this process and its children."""
    bin_ = programs()
    assert bin_ is not None
    memory = Path("/dev/shm")
    room = memory if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="mtor-postgres-", dir=room))
    running = Server(folder, bin_)
    before = os.environ.get("PGPASSFILE")
    try:
        running.make()
        running.start()
        os.environ["PGPASSFILE"] = str(running.passfile)
        yield running
    finally:
        if before is None:
            os.environ.pop("PGPASSFILE", None)
        else:
            os.environ["PGPASSFILE"] = before
        if running._process is not None:
            running.stop(signal.SIGQUIT)  # without writing down what is thrown away
        shutil.rmtree(folder, ignore_errors=True)


def missing() -> str:
    """Why there is no PostgreSQL for tests; empty where there is one."""
    if programs() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if os.getuid() == 0 and _other_user() is None:
        return "PostgreSQL does not run as root, and there is no other account"
    return ""


def _other_user() -> str | None:
    if os.getuid() != 0:
        return None
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None
