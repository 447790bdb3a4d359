"""Whether a WebSocket, or a request by cookie, may come from where it does.

Browsers let any page open a WebSocket to anywhere, and send cookies along; they tell the server
from where. Parsed parts are compared whole: no prefixes, suffixes or patterns.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from mtor_kernel.protocol.errors import Forbidden

_DEFAULT_PORTS = {"http": 80, "https": 443}


def parts_of(origin: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an origin; ``None`` where it is none (such as ``null``).

    >>> parts_of("https://Hub.example"), parts_of("https://hub.example/path")
    (('https', 'hub.example', 443), None)
    """
    try:
        parsed = urlsplit(origin)
        port = parsed.port
    except ValueError:
        return None
    if parsed.scheme not in _DEFAULT_PORTS or not parsed.hostname:
        return None
    if parsed.path or parsed.query or parsed.fragment or "@" in parsed.netloc:
        return None
    if not (origin.isascii() and origin.isprintable()) or any(c in origin for c in " \\,?#"):
        return None
    return parsed.scheme, parsed.hostname, _DEFAULT_PORTS[parsed.scheme] if port is None else port


def check_origin(origin: str | None, host: str, allowed: Collection[str] = ()) -> None:
    """Let pass what comes from the same host and port, from an allowed origin, or from no page.

    Parameters
    ----------
    origin
        The header ``Origin``; ``None`` where there is none, as from anything but a browser.
    host
        The header ``Host``.
    allowed
        Further origins, such as ``https://hub.example``.

    Raises
    ------
    Forbidden
        It comes from another page.
    """
    if origin is None:
        return
    here = parts_of(origin)
    # The scheme is taken from the origin: behind a proxy that ends TLS, one's own is not known.
    if here is not None and here in {
        parts_of(f"{here[0]}://{host}"),
        *(parts_of(friend) for friend in allowed),
    }:
        return
    raise Forbidden("A page of another site may not open this: the realm's own pages may.")
