"""A session in the image, as a person's browser has it: the server, a notebook, its cells."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import websocket

from tools.binder.image import Image

#: How long the server may take to come up, and a cell to run, in seconds.
PATIENCE_SECONDS = 120.0
#: How often its memory is looked at while a notebook runs, in seconds.
LOOK_SECONDS = 0.25
#: A door that leads nowhere: what asks the network at run time fails.
NOWHERE = "http://127.0.0.1:9"
NO_NETWORK = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
    "PIP_NO_INDEX": "1",
}


class Session:
    """JupyterLab in the image, and who uses it."""

    def __init__(self, image: Image, url: str, token: str) -> None:
        self.image, self.url, self._token = image, url, token
        #: Where the latest request was led.
        self.landed = url
        #: The most memory that all of its processes had together, in bytes.
        self.peak_bytes = 0

    def get(self, path: str, body: Any = None) -> Any:
        """Ask the server's REST face."""
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"token {self._token}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE_SECONDS) as answer:
            self.landed = answer.geturl()
            text = answer.read().decode()
        return json.loads(text) if answer.headers.get_content_subtype() == "json" else text

    def run_notebook(self, path: str) -> list[list[dict[str, Any]]]:
        """Open a notebook, run its cells in turn, and return the messages of each."""
        kernel = self.get(
            "api/sessions",
            {"path": path, "name": path, "type": "notebook", "kernel": {"name": "mtor"}},
        )["kernel"]["id"]
        notebook = json.loads((self.image.home / path).read_text())
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        where = self.url.replace("http", "ws", 1) + f"api/kernels/{kernel}/channels"
        header = [f"Authorization: token {self._token}"]
        wire = websocket.create_connection(where, header=header, timeout=PATIENCE_SECONDS)
        with contextlib.closing(wire), self.measured():
            return [self._run_cell(wire, "".join(cell["source"])) for cell in cells]

    def measure(self) -> int:
        """Return what all of its processes have in memory now: each shared page counted once."""
        found = sum(kinds(self).values())
        self.peak_bytes = max(self.peak_bytes, found)
        return found

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Measure all the while."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(LOOK_SECONDS):
                self.measure()

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()
            self.measure()

    def processes(self) -> list[psutil.Process]:
        """The server, the kernel, the realm, its scheduler and its worker."""
        mine = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("MTOR_DATA") == str(self.image.data):
                    mine.append(process)
        return mine

    def _run_cell(self, wire: Any, source: str) -> list[dict[str, Any]]:
        asked = uuid.uuid4().hex
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False}
        header = {"msg_id": asked, "msg_type": "execute_request", "version": "5.3"}
        header |= {"username": "", "session": asked, "date": "2026-01-01T00:00:00Z"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        wire.send(json.dumps(message | {"channel": "shell", "buffers": []}))
        heard: list[dict[str, Any]] = []
        while True:
            told = json.loads(wire.recv())
            if told["parent_header"].get("msg_id") != asked:
                continue
            heard.append(told)
            if told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
                return heard


@contextlib.contextmanager
def session(image: Image) -> Iterator[Session]:
    """Run JupyterLab in the image, without a network, until the person leaves."""
    token = secrets.token_hex(16)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = ("jupyter", "lab", "--no-browser", "--ip=127.0.0.1", f"--port={port}")
    root = ("--allow-root", "--ServerApp.port_retries=0")
    server = image.start(*command, *root, JUPYTER_TOKEN=token, **NO_NETWORK)
    try:
        yield _ready(Session(image, f"http://127.0.0.1:{port}/", token))
    finally:
        image.run("mtor", "realm", "stop")
        server.terminate()
        server.wait(30)


def _ready(one: Session) -> Session:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            one.get("api/status")
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return one


def kinds(one: Session) -> dict[str, int]:
    """Return what each process has, in bytes, by what it is."""
    found: dict[str, int] = {}
    for process in one.processes():
        with contextlib.suppress(psutil.Error):
            words = " ".join(Path(word).name for word in process.cmdline()[:6])
            found[f"{words} ({process.pid})"] = process.memory_full_info().pss
    return found
