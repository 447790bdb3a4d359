"""What a user is told of a service that fails: the right error, without anybody's secrets.

Whatever goes wrong at a service is a :class:`BackendFailed`: it counts against the model, and the
next of a chain may answer. Only what the service calls a bad request is the user's to change.
No message holds a key, an address or a path, whatever the service said.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import msgspec

from mtor_kernel.protocol.errors import BackendFailed, BadInput, RealmError, TooLarge

#: The longest wait that is believed of a service.
MAX_RETRY_SECONDS = 86_400.0
#: What is shown of a service's own words, and what is looked at: the search for secrets takes
#: time by the square of it, and a hostile service could send megabytes.
SHOWN_CHARACTERS = 300
_SEEN_CHARACTERS = 4_000

_TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum context|too (long|many tokens)|exceed_context", re.I
)
#: What may be secret in a sentence of somebody else: keys, URLs, paths, addresses.
_SECRETS = re.compile(
    r"(?i:bearer|basic)\s+\S+"
    r"|\b(?:sk|hf|pk|key|token)[-_][\w-]{6,}\S*"
    r"|\b[a-zA-Z][\w+.-]*://\S+"
    r"|(?<![\w/])(?:~|[A-Za-z]:)?[/\\][\w.@~-]+(?:[/\\][\w.@~%-]+)*"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?"
)
_BAD_REQUESTS = frozenset({400, 409, 415, 422})
_DENIALS = frozenset({401, 402, 403})
_BUSY = frozenset({429, 503, 529})


def refusal(
    name: str, status: int, headers: Any, body: bytes, secrets: tuple[str, ...]
) -> RealmError:
    """Return the error for a status that is no answer."""
    said = _said(body, secrets)
    if status == 413 or (status in _BAD_REQUESTS and _TOO_LONG.search(said)):
        return TooLarge(f"This is too long for {name}: shorten it, or begin anew. It says: {said}.")
    if status in _BAD_REQUESTS:
        return BadInput(f"The service of {name} cannot take this query: {said}.")
    if status in _DENIALS:
        return BackendFailed(
            f"The service of {name} refuses the realm's key (status {status}): tell the sysop.",
            status=status,
        )
    wait = _loads_in(body) if retry_after(headers) is None else retry_after(headers)
    if status in _BUSY:
        when = f"in {wait:.0f} s" if wait else "later"
        return BackendFailed(
            f"The service of {name} has no room just now (status {status}): ask again {when}.",
            retry_after_seconds=wait,
            status=status,
        )
    if 300 <= status < 400:
        return BackendFailed(
            f"The service of {name} has moved (status {status}): the sysop must correct its URL.",
            status=status,
        )
    if status == 404:
        return BackendFailed(
            f"The service of {name} does not have it (status 404): the sysop must look at the "
            f"model's URL and name. It says: {said}.",
            status=status,
        )
    return BackendFailed(
        f"The service of {name} failed (status {status}): try again, or tell the sysop.",
        retry_after_seconds=wait,
        status=status,
    )


def unreachable(name: str) -> BackendFailed:
    """Return the error for a service that does not answer the door."""
    return BackendFailed(
        f"The worker cannot reach the service of {name}: try again, or tell the sysop."
    )


def silent(name: str, seconds: float) -> BackendFailed:
    """Return the error for a service that says nothing for too long."""
    return BackendFailed(
        f"The service of {name} said nothing for {seconds:g} s: try again, or tell the sysop."
    )


def broken(name: str) -> BackendFailed:
    """Return the error for an answer that stops before its end."""
    return BackendFailed(f"The service of {name} broke off in its answer: ask again.")


def failed(name: str, said: str) -> BackendFailed:
    """Return the error for a failure that the service tells in the middle of its answer."""
    return BackendFailed(f"The service of {name} failed in its answer: {said}. Ask again.")


def garbled(name: str, why: str) -> BackendFailed:
    """Return the error for an answer that makes no sense."""
    return BackendFailed(
        f"The service of {name} answered what nobody can read ({why}): try again, or tell the "
        "sysop."
    )


def retry_after(headers: Any) -> float | None:
    """Return the seconds that a service asks for; ``None`` where it says nothing of use."""
    said = str(headers.get("retry-after") or "").strip()
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, min(seconds, MAX_RETRY_SECONDS)) if seconds == seconds else None


def _loads_in(body: bytes) -> float | None:
    """Return the seconds that Hugging Face takes to load a model, where it says them."""
    with suppress(ValueError, RecursionError):
        told = msgspec.json.decode(body)
        if isinstance(told, dict):
            return retry_after({"retry-after": told.get("estimated_time")})
    return None


def hide(text: str, *secrets: str) -> str:
    """Return a text without these, in whatever form a service may have written them."""
    for secret in filter(None, secrets):
        quoted = json.dumps(secret)[1:-1]
        for form in (secret, quoted, quoted.replace("/", "\\/"), quote(secret, safe="")):
            text = text.replace(form, "…")
    return text


def scrub(text: str, *secrets: str) -> str:
    """Return somebody else's sentence without what may be secret in it, and not too long."""
    clean = _SECRETS.sub("…", hide(text, *secrets)[:_SEEN_CHARACTERS])
    return " ".join(clean.split())[:SHOWN_CHARACTERS].rstrip(". ")


def _said(body: bytes, secrets: tuple[str, ...]) -> str:
    """Return the sentence in an error's body, clean."""
    try:
        told = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        told = body[:20_000].decode("utf-8", "replace")
    return sentence(told, secrets)


def sentence(told: Any, secrets: tuple[str, ...]) -> str:
    """Return the sentence in what a service tells of an error, clean."""
    for name in ("error", "detail", "message", "reason"):
        while isinstance(told, dict) and isinstance(told.get(name), dict | str):
            told = told[name]
    return scrub(str(told), *secrets) or "it does not say why"
