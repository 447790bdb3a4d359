"""What an error looks like in HTTP: its status, its headers, its sentence.

The realm's errors know nothing of HTTP; this is the one place that maps them.
"""

from __future__ import annotations

import math
from http import HTTPStatus

from tornado.web import HTTPError

from mtor_kernel.protocol.errors import (
    BadInput,
    Denied,
    ErrorInfo,
    Expired,
    InsufficientFunds,
    KeyConflict,
    Malformed,
    NotFound,
    QueryCancelled,
    QueryFailed,
    RealmError,
    Refused,
    RowsKnown,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

#: Status of each class of the error tree; a class that is not here has its parent's.
STATUS: dict[type[RealmError], int] = {
    RealmError: 500,
    BadInput: 400,
    TooLarge: 413,
    KeyConflict: 409,
    RowsKnown: 409,
    Denied: 403,
    Unauthenticated: 401,
    Refused: 429,
    InsufficientFunds: 402,
    NotFound: 404,
    Unavailable: 503,
    QueryFailed: 502,
    Expired: 504,
    # Not in the standard, and widely used for it: a client has closed the request.
    QueryCancelled: 499,
}

#: What these mean here; anything else that tornado raises is about the form of the request.
_PLAIN: dict[int, ErrorInfo] = {
    404: ErrorInfo("not_found", "There is nothing at this address."),
    405: ErrorInfo("method_not_allowed", "This address does not take that method."),
}


def status_of(error: RealmError) -> int:
    """Return the HTTP status for `error`."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def headers_of(error: RealmError) -> dict[str, str]:
    """Return the headers that tell a program when, or as whom, to try again."""
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    if error.retry_after_seconds is not None:
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_seconds)))}
    return {}


def explain(error: HTTPError) -> ErrorInfo:
    """Return what tornado found wrong with a request."""
    if error.status_code in _PLAIN:
        return _PLAIN[error.status_code]
    phrase = HTTPStatus(error.status_code).phrase
    return Malformed(f"The request is malformed ({phrase}): {error.get_message()}").info()


def fault(name: str) -> ErrorInfo:
    """Return what a user is told of a bug: a name under which the log has the rest."""
    return ErrorInfo(
        "internal",
        f"The realm has a fault of its own. Tell its sysop this number: {name}.",
        details={"fault": name},
    )
