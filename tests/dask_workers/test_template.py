"""A URL's places: whatever a user writes stays within them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_workers.template import Parameter, Template, is_path, pick, say, show
from mtor_kernel.protocol.errors import BadInput

PATHS = Template("https://api.example:8443/v1/{city}/days/{day}.json?units=metric")
QUERIES = Template("http://api.example/search?q={q}&lang={lang}&key=fixed")

#: What people write who want another URL.
HOSTILE = [
    "..",
    ".",
    "../admin",
    "..%2fadmin",
    "%2e%2e",
    "a/b",
    "a\\b",
    "x?key=stolen",
    "x#y",
    "x;y",
    "",
]


@given(st.text())
def test_a_value_in_the_query_is_that_value_and_nothing_else(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        with pytest.raises(BadInput):
            QUERIES.fill({"q": value})
        return
    target = QUERIES.fill({"q": value, "lang": "en"})
    assert target.isascii()
    assert target.isprintable()
    parts = urlsplit(f"http://api.example{target}")
    assert (parts.netloc, parts.path, parts.fragment) == ("api.example", "/search", "")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    assert pairs == [("q", value), ("lang", "en"), ("key", "fixed")]


@given(st.text(), st.text(min_size=1))
def test_a_value_in_the_path_is_one_part_of_it_or_refused(city: str, day: str) -> None:
    try:
        target = PATHS.fill({"city": city, "day": day})
    except BadInput:
        return
    assert target.isascii()
    assert target.isprintable()
    assert "%2f" not in target.lower()
    assert "%5c" not in target.lower()
    assert "%25" not in target
    path, _, query = target.partition("?")
    assert query == "units=metric"
    parts = path.split("/")
    assert [parts[1], unquote(parts[2]), parts[3], unquote(parts[4])] == [
        "v1",
        city,
        "days",
        f"{day}.json",
    ]
    assert len(parts) == 5
    assert parts[2] not in ("", ".", "..")


@pytest.mark.parametrize("value", HOSTILE)
def test_what_would_reach_out_of_the_path_is_refused(value: str) -> None:
    with pytest.raises(BadInput):
        PATHS.fill({"city": value, "day": "1"})


@pytest.mark.parametrize("value", ["x\r\nHost: evil", "x\ny", "x\0y", "\x7f", "\u202e", "\ud800"])
def test_a_character_that_nobody_can_see_is_refused(value: str) -> None:
    with pytest.raises(BadInput, match="nobody can see"):
        Parameter().take("city", value)


def test_an_at_sign_is_only_a_character() -> None:
    assert PATHS.fill({"city": "a@evil.example", "day": "1"}).startswith("/v1/a%40evil.example/")


def test_a_value_that_is_left_out_takes_its_name_with_it() -> None:
    assert QUERIES.fill({"q": "bees"}) == "/search?q=bees&key=fixed"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (Parameter(pattern=r"-?\d+"), "12; drop"),
        (Parameter(pattern=r"\d+"), "12\n"),
        (Parameter(choices=("a", "b")), "c"),
        (Parameter(max_length=3), "abcd"),
        (Parameter(required=True), None),
    ],
)
def test_a_value_that_the_operator_does_not_allow_is_refused(
    parameter: Parameter, value: str | None
) -> None:
    with pytest.raises(BadInput, match="'city'"):
        parameter.take("city", value)


def test_the_operators_value_stands_behind_the_users() -> None:
    assert Parameter(default="en").take("lang", None) == "en"
    assert Parameter(default="en").take("lang", "de") == "de"
    assert Parameter().take("lang", None) is None


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("ftp://api.example/", "begins with neither"),
        ("{host}/x", "begins with neither"),
        ("https://{host}.example/", "host is yours"),
        ("https://api.example{x}/", "host is yours"),
        ("https://user:pass@api.example/", "holds a user"),
        ("https://api.example/#{x}", "fragment"),
        ("https://api.example/?{name}=1", "name of its query"),
        ("https://api.example/{a b}", "brace or a blank"),
        ("https://api.example:port/", "begins with neither"),
    ],
)
def test_a_url_that_is_not_the_operators_alone_is_told(url: str, fault: str) -> None:
    assert fault in Template(url).fault()


def test_a_right_url_has_no_fault() -> None:
    assert PATHS.fault() == QUERIES.fault() == ""
    assert (PATHS.host, PATHS.port, PATHS.secure) == ("api.example", 8443, True)
    assert PATHS.path_places == {"city", "day"}


VALUE = {"results": [{"name": "Bern", "at": {"lat": 46.9}}], "ok": True}


@pytest.mark.parametrize(
    ("path", "found"),
    [("", VALUE), ("ok", True), ("results[0].name", "Bern"), ("results[-1].at.lat", 46.9)],
)
def test_a_path_leads_to_its_value(path: str, found: Any) -> None:
    assert is_path(path)
    assert pick(VALUE, path) == found


@pytest.mark.parametrize(
    "path", ["name", "results[1].name", "results.name", "ok.x", "results[0][0]"]
)
def test_a_path_that_leads_nowhere_is_told(path: str) -> None:
    with pytest.raises(LookupError):
        pick(VALUE, path)


@pytest.mark.parametrize("path", [".ok", "a..b", "a[b]", "a[", "a]"])
def test_what_is_no_path_is_known(path: str) -> None:
    assert not is_path(path)


def test_an_answer_is_said_in_a_sentence() -> None:
    assert say("{results[0].name} lies at {results[0].at.lat}°.", VALUE) == "Bern lies at 46.9°."
    assert show("plain") == "plain"
    assert show({"a": 1}) == '{\n  "a": 1\n}'
