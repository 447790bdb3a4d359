"""A TLS socket that one thread may read while another writes."""

from __future__ import annotations

import select
import ssl
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class SharedTls:
    """What the WebSocket needs of a socket, over one that is encrypted.

    OpenSSL forbids two threads in one connection, and Python's ``ssl`` keeps them apart only in its
    latest versions. Here each step is taken under a lock and never waits under it.
    """

    def __init__(self, connected: ssl.SSLSocket) -> None:
        self._socket = connected
        self._timeout = connected.gettimeout()
        self._step = threading.Lock()
        connected.setblocking(False)

    def recv(self, size: int) -> bytes:
        return self._try(lambda: self._socket.recv(size))

    def send(self, data: bytes) -> int:
        return self._try(lambda: self._socket.send(data))

    def gettimeout(self) -> float | None:
        return self._timeout

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def fileno(self) -> int:
        return self._socket.fileno()

    def shutdown(self, how: int) -> None:
        """End both directions, and wake who waits."""
        with self._step:
            self._socket.shutdown(how)

    def close(self) -> None:
        with self._step:
            self._socket.close()

    def _try(self, step: Callable[[], T]) -> T:
        end = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            try:
                with self._step:
                    return step()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, end)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, end)

    def _wait(self, event: int, end: float | None) -> None:
        waiter = select.poll()
        waiter.register(self.fileno(), event)
        left = None if end is None else max(0.0, end - time.monotonic()) * 1000
        if not waiter.poll(left):
            raise TimeoutError("timed out")
