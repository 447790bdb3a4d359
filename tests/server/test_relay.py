"""HTTP through the relay: who may, what passes, and what never does."""

import asyncio
import contextlib
import json

import pytest
from tornado.httpclient import HTTPClientError
from tornado.iostream import IOStream
from tornado.tcpclient import TCPClient

from tests.server.upstream import FLOOD_PIECES, Upstream

NOBODY = {"Authorization": ""}


async def test_a_request_passes_with_the_realms_credential(jp_fetch, upstream: Upstream) -> None:
    response = await jp_fetch("mtor", "api", "me", params={"days": "3", "q": "a b"})
    assert (response.code, response.body) == (202, b"nothing")
    assert response.headers["X-Realm"] == "yes"
    (request,) = upstream.requests
    assert request.uri == "/realm/api/me?days=3&q=a+b"
    assert request.headers["Authorization"] == f"Bearer {upstream.token}"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_passes_with_its_body(jp_fetch, upstream: Upstream, method: str) -> None:
    response = await jp_fetch(
        "mtor", "api", "queries", method=method, body=b"{}", allow_nonstandard_methods=True
    )
    assert response.body == b"{}"
    assert upstream.requests[0].method == method


async def test_a_form_with_a_file_passes_as_it_is_and_so_do_bytes(
    jp_fetch, upstream: Upstream
) -> None:
    kind = "multipart/form-data; boundary=xyz"
    head = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = head + bytes(range(256)) * 4096 + b"\r\n--xyz--\r\n"
    response = await jp_fetch(
        "mtor", "v1", "audio", "transcriptions",
        method="POST", body=body, headers={"Content-Type": kind},
    )  # fmt: skip
    assert response.body == body
    assert upstream.requests[0].headers["Content-Type"] == kind


async def test_a_head_passes(jp_fetch, upstream: Upstream) -> None:
    response = await jp_fetch("mtor", "api", "me", method="HEAD")
    assert (response.code, response.body) == (202, b"")


async def test_what_is_jupyters_own_stays_behind(
    jp_fetch, jp_serverapp, upstream: Upstream
) -> None:
    secret = jp_serverapp.identity_provider.token
    await jp_fetch(
        "mtor",
        "api",
        "me",
        params={"token": secret, "_xsrf": "x", "keep": "1"},
        headers={
            "Cookie": "secret=1",
            "X-XSRFToken": "x",
            "Origin": f"http://localhost:{jp_serverapp.port}",
            "Connection": "keep-alive, X-Mine",
            "X-Mine": "1",
            "X-Theirs": "2",
        },
    )
    (request,) = upstream.requests
    assert request.uri == "/realm/api/me?keep=1"
    sent = str(request.headers)
    assert secret not in sent
    names = {name.lower() for name in request.headers}
    assert not names & {"cookie", "x-xsrftoken", "origin", "referer", "x-mine"}
    assert "x-theirs" in names


async def test_what_is_the_realms_own_stays_behind(jp_fetch, upstream: Upstream) -> None:
    response = await jp_fetch("mtor", "api", "me")
    assert "upstream=1" not in str(response.headers)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "*" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Location"].endswith("/mtor/api/queries/1")
    assert "/realm/" not in response.headers["Location"]
    assert upstream.token not in str(response.headers) + response.body.decode()


async def test_nobody_gets_in_without_jupyters_credential(jp_fetch, upstream: Upstream) -> None:
    for method, body in (("GET", None), ("POST", b"{}"), ("DELETE", None)):
        error = await refused(
            jp_fetch(
                "mtor",
                "api",
                "me",
                method=method,
                body=body,
                headers=dict(NOBODY),
                allow_nonstandard_methods=True,
            )
        )
        assert error.code == 403
    assert upstream.requests == []


async def test_a_cookie_acts_only_with_the_header_against_forged_requests(
    jp_fetch, jp_serverapp, upstream: Upstream
) -> None:
    # A browser's way in: the token once, in the address, and cookies from then on.
    token = jp_serverapp.identity_provider.token
    entry = await jp_fetch("api", "me", params={"token": token}, headers=dict(NOBODY))
    login = await jp_fetch("login", headers=dict(NOBODY))
    cookies = [
        cookie.partition(";")[0]
        for answer in (entry, login)
        for cookie in answer.headers.get_list("Set-Cookie")
    ]
    (xsrf,) = [cookie.partition("=")[2] for cookie in cookies if cookie.startswith("_xsrf=")]
    browser = {**NOBODY, "Cookie": "; ".join(cookies)}
    assert (await jp_fetch("mtor", "api", "me", headers=dict(browser))).code == 202
    asking = {"method": "POST", "body": b"{}"}
    error = await refused(jp_fetch("mtor", "api", "queries", headers=dict(browser), **asking))
    assert error.code == 403
    assert "_xsrf" in error.response.body.decode()
    assert len(upstream.requests) == 1
    browser["X-XSRFToken"] = xsrf
    assert (await jp_fetch("mtor", "api", "queries", headers=browser, **asking)).code == 202


async def test_another_sites_page_is_refused(jp_fetch, upstream: Upstream) -> None:
    error = await refused(
        jp_fetch("mtor", "api", "me", headers={"Origin": "https://evil.example", **NOBODY})
    )
    assert error.code == 403
    assert upstream.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "api/../../secret",
        "api/%2e%2e/secret",
        "api/%252e%252e/x",
        "a%2fb",
        "a//b",
        "/secret",
        "a%5cb",
        "a%00b",
    ],
)
async def test_no_path_leaves_the_realm(
    jp_serverapp, jp_base_url, jp_http_port, http_server, jp_auth_header, upstream, path: str
) -> None:
    stream = await TCPClient().connect("localhost", jp_http_port)
    lines = [f"GET {jp_base_url}mtor/{path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in jp_auth_header.items()]
    await stream.write("\r\n".join([*lines, "", ""]).encode())
    answer = await stream.read_until_close()
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert upstream.requests == []


async def test_events_pass_as_they_come(
    jp_serverapp, jp_base_url, jp_http_port, http_server, jp_auth_header, upstream: Upstream
) -> None:
    stream = await listening(jp_base_url, jp_http_port, jp_auth_header)
    for event in ("one", "two"):
        upstream.events.put_nowait(event)
        # Before the next one is even made.
        assert event.encode() in await asyncio.wait_for(stream.read_until(b"\n\n"), 60)
    upstream.events.put_nowait(None)
    await stream.read_until_close()


async def test_a_browser_that_reads_slowly_has_nothing_piled_up_for_it(
    jp_serverapp, jp_base_url, jp_http_port, http_server, jp_auth_header, upstream: Upstream
) -> None:
    stream = await TCPClient().connect("localhost", jp_http_port, max_buffer_size=2**20)
    lines = [f"GET {jp_base_url}mtor/api/flood HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in jp_auth_header.items()]
    await stream.write("\r\n".join([*lines, "", ""]).encode())
    await stream.read_until(b"\r\n\r\n")
    taken = 0
    while not taken or taken != upstream.flooded:
        # Until nothing moves any more: what was taken by then lies in the sockets' own buffers.
        taken = upstream.flooded
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(upstream.left.wait(), 0.3)
    assert 0 < taken < FLOOD_PIECES / 2
    stream.close()


async def test_the_realm_learns_that_a_listener_has_left(
    jp_serverapp, jp_base_url, jp_http_port, http_server, jp_auth_header, upstream: Upstream
) -> None:
    stream = await listening(jp_base_url, jp_http_port, jp_auth_header)
    upstream.events.put_nowait("one")
    await stream.read_until(b"\n\n")
    stream.close()
    await asyncio.wait_for(upstream.left.wait(), 60)


async def test_a_body_is_passed_on_before_all_of_it_has_come(
    jp_serverapp, jp_base_url, jp_http_port, http_server, jp_auth_header, upstream: Upstream
) -> None:
    stream = await TCPClient().connect("localhost", jp_http_port)
    lines = [f"POST {jp_base_url}mtor/api/blobs HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in jp_auth_header.items()]
    await stream.write("\r\n".join([*lines, "Content-Length: 2000000", "", ""]).encode())
    await stream.write(b"x" * 1_000_000)
    await asyncio.wait_for(upstream.receiving.wait(), 60)
    await stream.write(b"x" * 1_000_000)
    answer = await asyncio.wait_for(stream.read_until_close(), 60)
    assert b'"size": 2000000' in answer


async def test_a_body_beyond_the_limit_is_refused_with_the_figure(
    jp_fetch, upstream: Upstream
) -> None:
    error = await refused(
        jp_fetch("mtor", "api", "blobs", method="POST", body=b"x" * (3 * 1024 * 1024 + 1))
    )
    assert error.code == 413
    assert said(error)["code"] == "too_large"
    assert upstream.requests == []


async def test_a_broken_answer_does_not_look_whole(jp_fetch, upstream: Upstream) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("mtor", "api", "broken")
    assert caught.value.code == 599


async def test_a_redirect_is_not_followed(jp_fetch, upstream: Upstream) -> None:
    error = await refused(jp_fetch("mtor", "api", "elsewhere", follow_redirects=False))
    assert error.code == 503
    assert "169.254" not in str(error.response.headers) + error.response.body.decode()


async def test_a_realm_that_is_down_is_said_in_a_sentence_and_looked_for_again(
    jp_fetch, upstream: Upstream
) -> None:
    assert (await jp_fetch("mtor", "api", "me")).code == 202
    await upstream.stop()
    error = await refused(jp_fetch("mtor", "api", "me"))
    assert error.code == 503
    assert said(error)["code"] == "realm_unreachable"
    assert upstream.token not in error.response.body.decode()
    await upstream.start()
    assert (await jp_fetch("mtor", "api", "me")).code == 202


async def test_a_realm_with_a_new_token_is_looked_for(
    jp_fetch, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await jp_fetch("mtor", "api", "me")).code == 202
    upstream.token = "another"
    error = await refused(jp_fetch("mtor", "api", "me"))
    assert error.code == 503
    assert "WWW-Authenticate" not in error.response.headers
    monkeypatch.setenv("MTOR_TOKEN", "another")
    assert (await jp_fetch("mtor", "api", "me")).code == 202


async def test_nothing_is_looked_for_before_the_first_request(jp_fetch, jp_serverapp) -> None:
    # There is no realm to be found, and none is missed.
    assert (await jp_fetch("api", "status")).code == 200


def said(error: HTTPClientError) -> dict[str, str]:
    """The error in an answer, in the realm's own form."""
    return json.loads(error.response.body)["error"]


async def refused(asking) -> HTTPClientError:
    with pytest.raises(HTTPClientError) as caught:
        await asking
    assert caught.value.response is not None
    return caught.value


async def listening(base_url: str, port: int, auth: dict[str, str]) -> IOStream:
    """A stream on which the head of the answer has been read."""
    stream = await TCPClient().connect("localhost", port)
    lines = [f"GET {base_url}mtor/api/events HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in auth.items()]
    await stream.write("\r\n".join([*lines, "", ""]).encode())
    head = await asyncio.wait_for(stream.read_until(b"\r\n\r\n"), 60)
    assert b"text/event-stream" in head
    return stream
