"""A model hub that speaks real HTTP: ranges, ETags, redirects, and what goes wrong on the way."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dask_workers.weights import File, Hosted


@dataclass
class Trouble:
    """How one request goes wrong."""

    #: Break the connection after so many bytes of the body.
    break_after: int | None = None
    status: int = 0
    retry_after: str = ""
    redirect: str = ""
    #: Send the whole file whatever was asked for.
    ignore_range: bool = False
    #: Wait in mid-file, after `break_after` bytes, until the client is gone.
    stall: bool = False


@dataclass
class HubDouble:
    """One file at one path. `troubles` meet the next requests, one each."""

    content: bytes
    etag: str = '"one"'
    path: str = "/someone/model/resolve/main/model.gguf"
    troubles: list[Trouble] = field(default_factory=list)
    #: The ``Range`` of every request; ``None`` where it asked for the whole.
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    @property
    def file(self) -> File:
        """The file as a bundle names it."""
        digest = hashlib.sha256(self.content).hexdigest()
        source = Hosted("someone/model", "main", "model.gguf")
        return File("model.gguf", len(self.content), digest, source)

    @property
    def file_url(self) -> str:
        """Where it is."""
        return self.url + self.path

    @contextmanager
    def running(self) -> Iterator[HubDouble]:
        """Listen on a free loopback port."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    @contextmanager
    def behind(self, certificate: Path) -> Iterator[str]:
        """Serve the same over TLS; give its URL."""
        secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secure.load_cert_chain(certificate)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.socket = secure.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that turns away is no news
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(hub: HubDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.asked.append(self.headers.get("Range"))
            trouble = hub.troubles.pop(0) if hub.troubles else Trouble()
            if trouble.redirect:
                return self._plain(302, {"Location": trouble.redirect})
            if trouble.status:
                after = {"Retry-After": trouble.retry_after} if trouble.retry_after else {}
                return self._plain(trouble.status, after)
            if self.path != hub.path:
                return self._plain(404, {})
            return self._body(trouble)

        def _plain(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def _body(self, trouble: Trouble) -> None:
            start = 0
            wanted = self.headers.get("Range")
            if wanted and self.headers.get("If-Range") == hub.etag and not trouble.ignore_range:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            size = len(hub.content)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.send_header("Content-Length", str(size - start))
            self.send_header("ETag", hub.etag)
            self.end_headers()
            body = hub.content[start:]
            with contextlib.suppress(OSError):
                if trouble.break_after is None:
                    self.wfile.write(body)
                    return
                self.wfile.write(body[: trouble.break_after])
                self.wfile.flush()
                if trouble.stall:
                    self.rfile.read(1)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
