"""A Redis server for the tests: of Debian's package, on a port of its own, with a password."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from mtor_kernel.realm.certs import Certs
from tests.ports import free_port


class Server:
    """One server, which keeps nothing on the disk."""

    def __init__(self, folder: Path, certs: Certs | None = None) -> None:
        """Make one that speaks TLS alone where it has `certs`."""
        self._folder = folder
        self._certs = certs
        self._process: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_hex(8)
        self.port = free_port()
        place = f":{self.password}@127.0.0.1:{self.port}"
        self.url = f"redis://{place}"
        if certs is not None:
            self.url = f"rediss://{place}?ssl_ca_certs={certs.authority}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        settings = self._folder / "redis.conf"
        settings.write_text(
            f"bind 127.0.0.1\n{self._listening()}\nrequirepass {self.password}\n"
            f'save ""\nappendonly no\ndir {self._folder}\n'
        )
        self._process = subprocess.Popen(
            ["redis-server", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return

    def _listening(self) -> str:
        if self._certs is None:
            return f"port {self.port}"
        return (
            f"port 0\ntls-port {self.port}\ntls-auth-clients no\n"
            f"tls-cert-file {self._certs.certificate}\ntls-key-file {self._certs.key}\n"
            f"tls-ca-cert-file {self._certs.authority}"
        )

    def freeze(self, on: bool) -> None:
        """Stop it in its tracks, or have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


def missing() -> str:
    """Why there is no Redis for tests; empty where there is one."""
    if shutil.which("redis-server") is None:
        return "redis-server is not installed: apt-get install redis-server"
    return ""
