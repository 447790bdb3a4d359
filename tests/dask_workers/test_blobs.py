"""An attempt's way to the blobs: to one gateway, within limits, over when it is cancelled."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dask_workers.attempts import Attempt
from dask_workers.blobs import MAX_BLOB_BYTES, Blobs
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import (
    BadInput,
    NotFound,
    QueryCancelled,
    QuotaExceeded,
    RealmError,
    TooLarge,
    Unavailable,
)
from mtor_kernel.protocol.link import AttemptRef

TOKEN = "the-workers-token"
BLOB = b"a picture"
ID = hashlib.sha256(BLOB).hexdigest()
QUERY = "a" * 32
#: Answers a request.
Answer = Callable[["Gateway"], None]


class Gateway(BaseHTTPRequestHandler):
    """Answers as a test says, and remembers what it was asked."""

    answer: Answer
    asked: list[tuple[str, str, str | None, bytes]]

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        token = self.headers.get("Authorization")
        self.asked.append((self.command, self.path, token, body))
        type(self).answer(self)

    do_POST = do_GET  # noqa: N815 - the library's name

    def say(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def gateway(
    answer: Answer, tls: Path | None = None
) -> Iterator[tuple[Blobs, list[tuple[str, str, str | None, bytes]]]]:
    """Serve `answer`; yields the worker's side of it, and what was asked."""
    handler = type("Handler", (Gateway,), {"answer": staticmethod(answer), "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    scheme, ca = "ws", None
    if tls is not None:
        scheme, ca = "wss", tls.read_text()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        port = server.server_address[1]
        yield Blobs(f"{scheme}://127.0.0.1:{port}/realm/link", TOKEN, ca), handler.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def attempt() -> Attempt:
    return Attempt(AttemptRef(QUERY, 2, 3))


def test_it_names_its_attempt_and_shows_its_token() -> None:
    with gateway(lambda request: request.say(BLOB)) as (blobs, asked):
        assert blobs.read(attempt(), ID) == BLOB
    address = f"/realm/link/blobs/{ID}?query={QUERY}&attempt=2&epoch=3"
    assert asked == [("GET", address, f"Bearer {TOKEN}", b"")]


def test_what_is_kept_has_the_name_of_its_bytes() -> None:
    with gateway(lambda request: request.say(encode({"id": ID, "size": 9}), 201)) as (blobs, asked):
        assert blobs.write(attempt(), BLOB, "image/png") == ID
    ((method, address, _, body),) = asked
    assert (method, address.partition("?")[0], body) == ("POST", "/realm/link/blobs", BLOB)


@pytest.mark.parametrize(
    "error",
    [
        NotFound("That attempt is not under way here."),
        QuotaExceeded("You may keep no more.", rule="blob_bytes", limit=5, used=5),
        Unavailable("The disk is full."),
    ],
    ids=lambda error: error.code,
)
def test_a_refusal_is_raised_as_it_was_said(error: RealmError) -> None:
    said = encode({"error": error.info()})
    with gateway(lambda request: request.say(said, 429)) as (blobs, _):
        for ask in (lambda: blobs.read(attempt(), ID), lambda: blobs.write(attempt(), b"", "a/b")):
            with pytest.raises(type(error), match=error.message):
                ask()


def test_the_token_follows_no_redirect() -> None:
    with gateway(lambda request: request.say(BLOB)) as (other, elsewhere):
        there = f"http://127.0.0.1:{other.port}/{ID}"
        with gateway(lambda request: request.say(b"", 302, Location=there)) as (blobs, asked):
            with pytest.raises(Unavailable, match="302"):
                blobs.read(attempt(), ID)
            assert len(asked) == 1
        assert elsewhere == []


@pytest.mark.parametrize("answer", [b"<html>", b'{"error": 5}', b"\xff\xfe", b""])
@pytest.mark.parametrize("status", [200, 400, 502])
def test_what_is_no_gateway_is_said_to_be_none(answer: bytes, status: int) -> None:
    with gateway(lambda request: request.say(answer, status)) as (blobs, _):
        with pytest.raises(Unavailable):
            blobs.write(attempt(), BLOB, "image/png")
        with pytest.raises(Unavailable):
            blobs.read(attempt(), ID)


def test_damaged_bytes_are_not_taken_for_the_blob() -> None:
    with (
        gateway(lambda request: request.say(b"A picture")) as (blobs, _),
        pytest.raises(Unavailable, match="damaged"),
    ):
        blobs.read(attempt(), ID)


def test_half_an_answer_is_none() -> None:
    with (
        gateway(lambda request: request.say(BLOB, Content_Length="100")) as (blobs, _),
        pytest.raises(Unavailable),
    ):
        blobs.read(attempt(), ID)


@pytest.mark.parametrize("announced", [True, False])
def test_more_than_a_blob_may_have_is_not_read(announced: bool) -> None:
    sent = threading.Event()

    def flood(request: Gateway) -> None:
        length = {"Content-Length": str(MAX_BLOB_BYTES + 1)} if announced else {}
        request.send_response(200)
        for name, value in length.items():
            request.send_header(name, value)
        request.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(65 if not announced else 1):
                request.wfile.write(b"x" * 1024 * 1024)
            request.wfile.write(b"x")
        sent.set()

    with gateway(flood) as (blobs, _), pytest.raises(TooLarge):
        blobs.read(attempt(), ID)


def test_more_than_a_blob_may_have_is_not_sent() -> None:
    with gateway(lambda request: request.say(BLOB)) as (blobs, asked):
        with pytest.raises(TooLarge, match="ask for less"):
            blobs.write(attempt(), bytes(MAX_BLOB_BYTES + 1), "image/png")
        assert asked == []


@pytest.mark.parametrize("name", ["", "x", "../link", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with gateway(lambda request: request.say(BLOB)) as (blobs, asked):
        with pytest.raises(BadInput):
            blobs.read(attempt(), name)
        assert asked == []


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("writing", [False, True])
def test_a_cancel_ends_a_wait_for_the_gateway(
    writing: bool, encrypted: bool, certificate: Path
) -> None:
    waiting, over = threading.Event(), threading.Event()

    def hang(_: Gateway) -> None:
        waiting.set()
        over.wait(60)

    with (
        gateway(hang, certificate if encrypted else None) as (blobs, _),
        ThreadPoolExecutor(1) as pool,
    ):
        running = attempt()
        if writing:
            asking = pool.submit(blobs.write, running, BLOB, "image/png")
        else:
            asking = pool.submit(blobs.read, running, ID)
        assert waiting.wait(60)
        running.cancel()
        with pytest.raises(QueryCancelled):
            asking.result(60)
        over.set()


def test_over_tls_only_a_gateway_that_is_known_is_told_the_token(certificate: Path) -> None:
    with gateway(lambda request: request.say(BLOB), certificate) as (blobs, asked):
        assert blobs.read(attempt(), ID) == BLOB
        stranger = Blobs(f"wss://127.0.0.1:{blobs.port}/link", TOKEN)
        with pytest.raises(Unavailable, match="SSLCertVerificationError"):
            stranger.read(attempt(), ID)
        assert len(asked) == 1


def test_a_cancelled_attempt_asks_for_nothing() -> None:
    with gateway(lambda request: request.say(BLOB)) as (blobs, asked):
        running = attempt()
        running.cancel()
        with pytest.raises(QueryCancelled):
            blobs.read(running, ID)
        assert asked == []


def test_where_nobody_listens_that_is_said() -> None:
    with pytest.raises(Unavailable, match="ConnectionRefusedError"):
        Blobs("ws://127.0.0.1:1/link", TOKEN).read(attempt(), ID)


def test_without_a_link_there_are_no_blobs() -> None:
    with pytest.raises(Unavailable):
        attempt().read_blob(ID)
    with pytest.raises(Unavailable):
        attempt().write_blob(b"x", "a/b")


def test_the_token_is_in_no_error_and_no_name() -> None:
    blobs = Blobs("ws://127.0.0.1:1/link", TOKEN)
    with pytest.raises(Unavailable) as refused:
        blobs.read(attempt(), ID)
    assert TOKEN not in f"{refused.value!r} {refused.value.__cause__!r} {blobs!r}"
