"""Every error of the tree has its status, and says what to do in headers too."""

from collections.abc import Iterator

import pytest
from tornado.web import HTTPError

from mtor_kernel.gateway import failures
from mtor_kernel.gateway.openai_forms import error_form
from mtor_kernel.protocol import errors
from mtor_kernel.protocol.errors import RealmError

STATUSES = {
    "bad_input": 400,
    "malformed": 400,
    "too_large": 413,
    "unknown_model": 400,
    "unknown_option": 400,
    "key_conflict": 409,
    "rows_known": 409,
    "denied": 403,
    "unauthenticated": 401,
    "forbidden": 403,
    "banned": 403,
    "refused": 429,
    "quota_exceeded": 429,
    "insufficient_funds": 402,
    "admission_paused": 429,
    "not_found": 404,
    "unavailable": 503,
    "no_model": 503,
    "storage_full": 503,
    "realm_stopping": 503,
    "realm_unreachable": 503,
    "not_recorded": 503,
    "replay_damaged": 503,
    "query_failed": 502,
    "backend_failed": 502,
    "resource_exhausted": 502,
    "worker_lost": 502,
    "expired": 504,
    "cancelled": 499,
    "realm_error": 500,
}


def tree(root: type[RealmError] = RealmError) -> Iterator[type[RealmError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.code)
def test_every_error_has_a_status(kind: type[RealmError]) -> None:
    assert failures.status_of(kind("Sorry.")) == STATUSES[kind.code]


def test_who_must_say_who_they_are_is_told_how() -> None:
    assert failures.headers_of(errors.Unauthenticated("?")) == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize(("seconds", "said"), [(0.0, "1"), (0.2, "1"), (3.01, "4"), (60.0, "60")])
def test_when_to_try_again_is_rounded_up(seconds: float, said: str) -> None:
    error = errors.QuotaExceeded("Wait.", retry_after_seconds=seconds)
    assert failures.headers_of(error) == {"Retry-After": said}


def test_where_waiting_does_not_help_no_time_is_named() -> None:
    assert failures.headers_of(errors.InsufficientFunds("Too dear.")) == {}


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (405, "method_not_allowed")])
def test_what_tornado_finds_is_said_in_our_form(status: int, code: str) -> None:
    assert failures.explain(HTTPError(status)).code == code


def test_a_malformed_request_is_malformed() -> None:
    assert failures.explain(HTTPError(400, "Invalid unicode")).code == "malformed"


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.code)
def test_every_error_has_a_form_in_openais_dialect(kind: type[RealmError]) -> None:
    error = kind("Sorry.")
    status, body, _ = error_form(failures.status_of(error), error.info())
    assert 400 <= status < 600
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"] == "Sorry."


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (errors.UnknownModel, 404, "model_not_found"),
        (errors.Unauthenticated, 401, "invalid_api_key"),
        (errors.QuotaExceeded, 429, "rate_limit_exceeded"),
        (errors.InsufficientFunds, 429, "insufficient_quota"),
        (errors.TooLarge, 400, "context_length_exceeded"),
        (errors.UnknownOption, 400, "unknown_option"),
    ],
)
def test_openais_clients_know_these_by_their_own_words(
    kind: type[RealmError], status: int, code: str
) -> None:
    error = kind("Sorry.")
    got, body, _ = error_form(failures.status_of(error), error.info())
    assert (got, body["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("kind", "again"),
    [(errors.InsufficientFunds, False), (errors.QuotaExceeded, True), (errors.KeyConflict, False)],
)
def test_what_cannot_pass_is_not_sent_again(kind: type[RealmError], again: bool) -> None:
    error = kind("Sorry.")
    assert error_form(failures.status_of(error), error.info())[2] is again
