"""A cable to a server, to be cut: a TCP proxy on loopback that reads along."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Cable:
    """Passes bytes on, until :meth:`cut`, or until a word that it waits for comes by."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._word = b""
        self._lets_it_through = False
        #: Set when the word came by and the cable was cut there.
        self.met = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(self, word: bytes, *, letting_it_through: bool) -> None:
        """Cut the cable once at the client's next `word`: the server sees it, or does not."""
        self.met.clear()
        self._lets_it_through = letting_it_through
        self._word = word

    def cut(self) -> None:
        """Cut every connection; new ones are passed on again."""
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut everything, for good."""
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    client.close()
                    continue
                self._open |= {client, server}
                for pair in ((client, server), (server, client)):
                    watched = pair[0] is client
                    threading.Thread(target=self._pass, args=(*pair, watched), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, watched: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if watched and self._word and self._word in data:
                    self._word = b""
                    if self._lets_it_through:
                        # The client's side first: no answer reaches it any more.
                        source.shutdown(socket.SHUT_RDWR)
                        sink.sendall(data)
                        sink.shutdown(socket.SHUT_WR)
                    else:
                        source.shutdown(socket.SHUT_RDWR)
                    self.met.set()
                    break
                sink.sendall(data)
        self._open.discard(source)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def cable(port: int) -> Iterator[Cable]:
    """A cable to a port of this machine."""
    laid = Cable(port)
    try:
        yield laid
    finally:
        laid.close()
