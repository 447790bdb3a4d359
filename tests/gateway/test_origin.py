"""Which pages may open a WebSocket."""

import pytest

from mtor_kernel.gateway.origin import check_origin, parts_of
from mtor_kernel.protocol.errors import Forbidden

HOST = "hub.example:8000"
FRIENDS = frozenset({"https://lab.example"})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, HOST),
        ("http://hub.example:8000", HOST),
        ("https://hub.example:8000", HOST),
        ("https://HUB.example:8000", HOST),
        ("https://hub.example", "hub.example"),
        ("https://hub.example", "hub.example:443"),
        ("https://hub.example:443", "hub.example"),
        ("http://[::1]:8888", "[::1]:8888"),
        ("https://lab.example", HOST),
        ("https://lab.example:443", HOST),
    ],
)
def test_ones_own_pages_friends_and_programs_may(origin: str | None, host: str) -> None:
    check_origin(origin, host, FRIENDS)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://evil.example",
        "http://hub.example",
        "http://hub.example:80",
        "http://hub.example:80000",
        "http://hub.example:8000.evil.example",
        "http://hub.example.evil.example:8000",
        "http://evilhub.example:8000",
        "http://evil.example/hub.example:8000",
        "http://evil.example?hub.example:8000",
        "http://evil.example#hub.example:8000",
        "http://evil.example\\@hub.example:8000",
        "http://hub.example:8000@evil.example",
        "http://evil.example@hub.example:8000",
        "http://hub.example:8000/",
        "http://hub.example:8000, http://evil.example",
        "http://hub.exaмple:8000",
        "http://hub.example:8000\u0000",
        "http://hub.example.:8000",
        "http:///hub.example:8000",
        "http://",
        "//hub.example:8000",
        "hub.example:8000",
        "file://hub.example:8000",
        "chrome-extension://hub.example:8000",
        "http://[::1",
        "http://lab.example",
        "https://lab.example.evil.example",
    ],
)
def test_other_pages_may_not(origin: str) -> None:
    with pytest.raises(Forbidden):
        check_origin(origin, HOST, FRIENDS)


@pytest.mark.parametrize("host", ["", "evil@hub.example:8000", "[", "hub.example:port"])
def test_a_strange_host_makes_no_page_ones_own(host: str) -> None:
    with pytest.raises(Forbidden):
        check_origin("http://hub.example:8000", host)


def test_an_origin_is_taken_apart() -> None:
    assert parts_of("https://Hub.example") == ("https", "hub.example", 443)
    assert parts_of("http://hub.example:8000") == ("http", "hub.example", 8000)
    assert parts_of("null") is None
