"""A download goes on where it broke off, and ends with the published file or with none."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from dask_workers.weights import WeightsError
from dask_workers.weights.bundle import File
from dask_workers.weights.download import download
from tests.dask_workers.weights.hub_double import HubDouble, Trouble

CONTENT = random.Random(7).randbytes(700_000)


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with HubDouble(CONTENT).running() as double:
        yield double


def fetch(hub: HubDouble, target: Path, **how: object) -> list[float]:
    """Download it, and return the pauses that it asked for."""
    pauses: list[float] = []
    download(hub.file, hub.file_url, target, pause=pauses.append, **how)  # type: ignore[arg-type]
    return pauses


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(hub: HubDouble, tmp_path: Path) -> None:
    told: list[int] = []

    def measure(file: File, done: int) -> None:
        told.append(done)

    assert fetch(hub, tmp_path / "deep" / "model.gguf", measure=measure) == []
    assert (tmp_path / "deep" / "model.gguf").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model.gguf"]
    assert told[0] == 0
    assert told[-1] == len(CONTENT)
    assert told == sorted(told)


def test_a_broken_connection_is_taken_up_where_it_broke(hub: HubDouble, tmp_path: Path) -> None:
    hub.troubles = [Trouble(break_after=300_000), Trouble(break_after=100_000)]
    pauses = fetch(hub, tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT
    assert hub.asked == [None, "bytes=300000-", "bytes=400000-"]
    assert pauses == [1.0, 1.0], "whoever gets on does not wait longer and longer"


def test_a_server_that_is_busy_is_asked_again_when_it_says(hub: HubDouble, tmp_path: Path) -> None:
    hub.troubles = [Trouble(status=503), Trouble(status=429, retry_after="7"), Trouble(status=500)]
    assert fetch(hub, tmp_path / "model.gguf") == [1.0, 7.0, 4.0]
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


def test_a_server_that_stays_down_is_given_up_and_what_is_here_stays(
    hub: HubDouble, tmp_path: Path
) -> None:
    hub.troubles = [Trouble(break_after=300_000), *[Trouble(status=503)] * 9]
    with pytest.raises(WeightsError, match=r"status 503.*stays"):
        fetch(hub, tmp_path / "model.gguf")
    assert not (tmp_path / "model.gguf").exists()
    hub.troubles, hub.asked = [], []
    fetch(hub, tmp_path / "model.gguf")
    assert hub.asked == ["bytes=300000-"]
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


def test_a_file_that_has_changed_meanwhile_is_fetched_anew(hub: HubDouble, tmp_path: Path) -> None:
    old, hub.content = hub.content, bytes(len(CONTENT))
    hub.troubles = [Trouble(break_after=300_000), *[Trouble(status=503)] * 9]
    with pytest.raises(WeightsError):
        fetch(hub, tmp_path / "model.gguf")
    hub.content, hub.etag, hub.troubles = old, '"two"', []
    fetch(hub, tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


def test_a_server_without_ranges_is_fetched_from_all_the_same(
    hub: HubDouble, tmp_path: Path
) -> None:
    hub.troubles = [Trouble(break_after=300_000), Trouble(ignore_range=True)]
    fetch(hub, tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


def test_another_content_is_thrown_away(hub: HubDouble, tmp_path: Path) -> None:
    file = hub.file
    hub.content = bytes(len(CONTENT))
    with pytest.raises(WeightsError, match="SHA-256"):
        download(file, hub.file_url, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_is_not_even_begun(hub: HubDouble, tmp_path: Path) -> None:
    file = hub.file
    hub.content += b"and more"
    with pytest.raises(WeightsError, match="700,008 bytes"):
        download(file, hub.file_url, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


def test_what_is_gone_or_closed_is_not_asked_for_again(hub: HubDouble, tmp_path: Path) -> None:
    hub.troubles = [Trouble(status=401)]
    with pytest.raises(WeightsError, match="status 401"):
        fetch(hub, tmp_path / "model.gguf")
    assert len(hub.asked) == 1


def test_a_redirect_is_followed_with_the_range(hub: HubDouble, tmp_path: Path) -> None:
    away = Trouble(redirect=hub.file_url)
    hub.troubles = [away, Trouble(break_after=300_000), away]
    fetch(hub, tmp_path / "model.gguf")
    assert hub.asked[-1] == "bytes=300000-"
    assert (tmp_path / "model.gguf").read_bytes() == CONTENT


@pytest.mark.parametrize("where", ["http://example.org/model", "ftp://example.org/m", "file:///m"])
def test_only_https_is_fetched_from_also_after_a_redirect(
    hub: HubDouble, tmp_path: Path, where: str
) -> None:
    with pytest.raises(WeightsError, match="only https"):
        download(hub.file, where, tmp_path / "model.gguf")
    hub.troubles = [Trouble(redirect=where)]
    with pytest.raises(WeightsError, match=r"only https|status 302"):
        fetch(hub, tmp_path / "model.gguf")


def test_a_refused_connection_is_one_sentence(tmp_path: Path) -> None:
    file = HubDouble(CONTENT).file
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9"):
        download(file, "http://127.0.0.1:9/x", tmp_path / "m.gguf", pause=lambda seconds: None)


def test_a_file_that_does_not_fit_on_the_disk_is_not_begun(hub: HubDouble, tmp_path: Path) -> None:
    huge = hub.file._replace(size_bytes=shutil.disk_usage(tmp_path).total * 2)
    with pytest.raises(WeightsError, match="make space"):
        download(huge, hub.file_url, tmp_path / "model.gguf")
    assert hub.asked == []


_CHILD = """
import sys
from pathlib import Path
from typing import Self
from dask_workers.weights import File
from dask_workers.weights.download import download
url, target, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
download(File("model.gguf", size, "", ()), url, target)
"""


@pytest.mark.fault
def test_an_interrupt_leaves_what_is_here_for_the_next_time(hub: HubDouble, tmp_path: Path) -> None:
    hub.troubles = [Trouble(break_after=300_000, stall=True)]
    target = tmp_path / "model.gguf"
    arguments = [hub.file_url, str(target), str(len(CONTENT))]
    child = subprocess.Popen([sys.executable, "-c", _CHILD, *arguments], stderr=subprocess.PIPE)
    part, deadline = tmp_path / ".model.gguf.part", time.monotonic() + 60
    while not part.exists() or part.stat().st_size < 300_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said
    fetch(hub, target)
    assert target.read_bytes() == CONTENT
    assert hub.asked[-1] == "bytes=300000-"


class Liar:
    """A server that says these bytes, one answer a request; the last one again and again."""

    def __init__(self, *answers: bytes, reset: bool = False) -> None:
        self._answers = list(answers)
        self._reset = reset
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/model.gguf"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                talk, _ = self._listener.accept()
                with talk, contextlib.suppress(OSError):
                    asked = b""
                    while b"\r\n\r\n" not in asked and (more := talk.recv(65_536)):
                        asked += more
                    told = self._answers[0]
                    self._answers = self._answers[1:] or self._answers
                    talk.sendall(told)
                    if self._reset:
                        linger = struct.pack("ii", 1, 0)
                        talk.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def said(*head: str, body: bytes = b"") -> bytes:
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


SIZE, HALF = len(CONTENT), len(CONTENT) // 2
BEGUN = said("HTTP/1.1 200 OK", f"Content-Length: {SIZE}", 'ETag: "a"', body=CONTENT[:HALF])
REST = f"Content-Length: {SIZE - HALF}"


@pytest.mark.parametrize(
    "span",
    ["bytes */700000", "bytes a-b/c", "bytes -5-9/700000", "bytes 1-9", "pages 1-2/3", "²-³/¹", ""],
)
def test_a_piece_that_does_not_say_where_it_belongs_is_not_taken(tmp_path: Path, span: str) -> None:
    lie = said("HTTP/1.1 206 Partial", f"Content-Range: {span}", REST, body=CONTENT[HALF:])
    with Liar(BEGUN, lie) as server, pytest.raises(WeightsError, match="which piece"):
        download(HubDouble(CONTENT).file, server.url, tmp_path / "m", pause=lambda seconds: None)
    assert (tmp_path / ".m.part").read_bytes() == CONTENT[:HALF]


def test_another_piece_than_was_asked_for_is_not_taken(tmp_path: Path) -> None:
    far = f"Content-Range: bytes {HALF + 9}-{SIZE - 1}/{SIZE}"
    lie = said("HTTP/1.1 206 Partial", far, body=CONTENT[HALF + 9 :])
    with Liar(BEGUN, lie) as server, pytest.raises(WeightsError, match="another piece"):
        download(HubDouble(CONTENT).file, server.url, tmp_path / "m", pause=lambda seconds: None)
    assert (tmp_path / ".m.part").read_bytes() == CONTENT[:HALF]


def test_the_rest_of_another_file_is_found_out(tmp_path: Path) -> None:
    span = f"Content-Range: bytes {HALF}-{SIZE - 1}/{SIZE}"
    lie = said("HTTP/1.1 206 Partial", span, REST, body=bytes(SIZE - HALF))
    with Liar(BEGUN, lie) as server, pytest.raises(WeightsError, match="SHA-256"):
        download(HubDouble(CONTENT).file, server.url, tmp_path / "m", pause=lambda seconds: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", ["lots", "-7", "²"])
def test_a_length_that_is_none_is_not_believed_and_the_file_is(tmp_path: Path, length: str) -> None:
    with Liar(said("HTTP/1.1 200 OK", f"Content-Length: {length}", body=CONTENT)) as server:
        download(HubDouble(CONTENT).file, server.url, tmp_path / "m", pause=lambda seconds: None)
    assert (tmp_path / "m").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (said("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"zz\r\nabc"), "stays"),
        (
            said("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"FFFFF\r\n" + bytes(2**20)),
            "more of model.gguf than there is",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "SSH-2.0"),
        (b"", "without response"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 99_999, "header line"),
        (said("HTTP/1.1 204 None"), "broke"),
        (said("HTTP/1.1 999 What", "Content-Length: 0"), "status 999"),
        (said("HTTP/1.1 302 Go", "Location: http://[bad/", "Content-Length: 0"), "that is none"),
        (said("HTTP/1.1 302 Go", "Location: data:,abc", "Content-Length: 0"), "status 302"),
        (said("HTTP/1.1 302 Go", "Content-Length: 0"), "status 302"),
        (said("HTTP/1.1 302 Go", "Location: /model.gguf", "Content-Length: 0"), "status 302"),
    ],
)
def test_a_server_that_talks_nonsense_is_told_of_in_a_sentence(
    tmp_path: Path, answer: bytes, told: str
) -> None:
    with Liar(answer) as server, pytest.raises(WeightsError, match=re.escape(told)) as raised:
        download(HubDouble(CONTENT).file, server.url, tmp_path / "m", pause=lambda seconds: None)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "m").exists()


def test_a_connection_that_is_reset_is_the_networks_fault_and_not_the_disks(tmp_path: Path) -> None:
    with Liar(BEGUN, reset=True) as server, pytest.raises(WeightsError, match="What is here stays"):
        download(HubDouble(CONTENT).file, server.url, tmp_path / "m", pause=lambda seconds: None)


@pytest.mark.parametrize(
    "where", ["https://me:pass-word@127.0.0.1:9/m", "http://me:pass-word@[::1]/"]
)
def test_a_password_in_a_mirrors_address_is_neither_sent_nor_told(
    tmp_path: Path, where: str
) -> None:
    with pytest.raises(WeightsError, match="without them") as raised:
        download(HubDouble(CONTENT).file, where, tmp_path / "m")
    assert "pass-word" not in str(raised.value)


@pytest.mark.parametrize("where", ["http://[bad/", "", "https:///m", "//m"])
def test_an_address_that_is_none_is_not_fetched_from(tmp_path: Path, where: str) -> None:
    with pytest.raises(WeightsError, match=r"mirror|only https"):
        download(HubDouble(CONTENT).file, where, tmp_path / "m")


def test_a_server_that_cannot_prove_who_it_is_gets_one_try(
    hub: HubDouble, tmp_path: Path, certificate: Path
) -> None:
    pauses: list[float] = []
    with hub.behind(certificate) as url, pytest.raises(WeightsError, match="prove who it is"):
        download(hub.file, url + hub.path, tmp_path / "m", pause=pauses.append)
    assert pauses == []


@pytest.mark.parametrize("odd", [b"\xff\xfe\n", b'"a"\r\nX-More: 1', b'W/"a"', b""])
def test_an_etag_that_cannot_be_sent_back_has_it_fetched_anew(
    hub: HubDouble, tmp_path: Path, odd: bytes
) -> None:
    (tmp_path / ".m.part").write_bytes(b"something else")
    (tmp_path / ".m.etag").write_bytes(odd)
    fetch(hub, tmp_path / "m")
    assert hub.asked == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.fault
def test_whoever_is_killed_at_any_moment_leaves_what_the_next_goes_on_with(
    hub: HubDouble, tmp_path: Path
) -> None:
    """Killed on the way eight times, each a little further, and then let be."""
    target, part = tmp_path / "model.gguf", tmp_path / ".model.gguf.part"
    arguments = [hub.file_url, str(target), str(len(CONTENT))]
    for kill in range(8):
        wanted = (kill + 1) * len(CONTENT) // 9
        begun = part.stat().st_size if part.exists() else 0
        hub.troubles = [Trouble(break_after=wanted - begun, stall=True)]
        child = subprocess.Popen([sys.executable, "-c", _CHILD, *arguments])
        try:
            deadline = time.monotonic() + 60
            while not part.exists() or part.stat().st_size < wanted:
                assert time.monotonic() < deadline
                time.sleep(0.005)
        finally:
            child.kill()
            child.wait()
        assert not target.exists()
    fetch(hub, target)
    assert target.read_bytes() == CONTENT
    assert [range_ is None for range_ in hub.asked] == [True] + [False] * 8
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]
