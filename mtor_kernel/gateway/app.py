"""The gateway's map: every address, and the application that serves them."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from mtor_kernel.gateway import (
    blobs,
    conversations,
    linkblobs,
    me,
    models,
    openai,
    openai_images,
    openai_speech,
    openai_transcripts,
    openai_vectors,
    queries,
    sysop,
)
from mtor_kernel.gateway.base import Gate, Nowhere
from mtor_kernel.gateway.events import Events
from mtor_kernel.gateway.identity import Authenticator
from mtor_kernel.gateway.link import WorkerSocket
from mtor_kernel.gateway.shared import Gateway, Limits
from mtor_kernel.gateway.socket import ClientSocket
from mtor_kernel.gateway.upgrade import MAX_READ_BYTES
from mtor_kernel.protocol.identity import SCOPE_LINK, SCOPE_PUBLIC, SCOPE_QUERY, SCOPE_SYSOP

if TYPE_CHECKING:
    from mtor_kernel.realm.realm import Realm

log = logging.getLogger(__name__)

#: Every address, below the prefix, as the OpenAPI document writes it.
ROUTES: tuple[tuple[str, type[Gate]], ...] = (
    ("ngram", ClientSocket),
    ("link", WorkerSocket),
    ("link/blobs", linkblobs.AttemptUpload),
    ("link/blobs/{id}", linkblobs.AttemptDownload),
    ("api/queries", queries.Queries),
    ("api/queries/{id}", queries.OneQuery),
    ("api/queries/{id}/events", Events),
    ("api/quote", queries.Quotes),
    ("api/conversations", conversations.Conversations),
    ("api/conversations/{id}", conversations.OneConversation),
    ("v1/chat/completions", openai.ChatCompletions),
    ("v1/embeddings", openai_vectors.Embeddings),
    ("v1/images/generations", openai_images.ImageGenerations),
    ("v1/images/edits", openai_images.ImageEdits),
    ("v1/audio/transcriptions", openai_transcripts.Transcriptions),
    ("v1/audio/speech", openai_speech.Speech),
    ("v1/models", openai.V1Models),
    ("v1/models/{model}", openai.V1Model),
    ("api/blobs", blobs.Upload),
    ("api/blobs/{id}", blobs.Download),
    ("api/me", me.Myself),
    ("api/usage", me.MyUsage),
    ("api/models", models.Models),
    ("api/workers", models.WorkerList),
    ("api/lanes", models.Lanes),
    ("api/schema", models.Schema),
    ("api/openapi.yml", models.OpenApi),
    ("api/sysop/pause", sysop.Pause),
    ("api/sysop/reload", sysop.Reload),
    ("api/sysop/catalogue", sysop.Catalogue),
    ("api/sysop/people", sysop.People),
    ("api/sysop/ban", sysop.Ban),
    ("api/sysop/unban", sysop.Unban),
    ("api/sysop/grant", sysop.Grant),
    ("api/sysop/quota", sysop.Quota),
    ("api/sysop/queries", sysop.Queries),
    ("api/sysop/check", sysop.Check),
    ("api/sysop/stop-queries", sysop.StopQueries),
    ("api/sysop/workers/{name}/{order}", sysop.WorkerOrder),
    ("api/sysop/pull", sysop.Pull),
    ("api/sysop/pulls", sysop.Pulls),
    ("api/sysop/notice", sysop.Notify),
    ("api/sysop/audit", sysop.Audit),
    ("api/sysop/stop", sysop.Stop),
    ("health", models.Health),
    ("metrics", models.Metrics),
)

_SCOPES = frozenset({SCOPE_PUBLIC, SCOPE_QUERY, SCOPE_SYSOP, SCOPE_LINK})
#: What a part of an address in braces matches, where it is more than one step: models' names have
#: slashes.
_WIDE = {"model": "(.+)"}
#: The longest headers of a request. A Hub's cookies make them long.
MAX_HEADER_BYTES = 64 * 1024
#: How long a kept connection may be idle, and how long a body may take to arrive, in seconds.
IDLE_SECONDS = 300.0
BODY_SECONDS = 900.0


def make_app(
    realm: Realm,
    who: Authenticator,
    prefix: str = "/",
    *,
    stop: Callable[[], None] | None = None,
    allowed_origins: frozenset[str] = frozenset(),
    metrics_token: str = "",
    limits: Limits | None = None,
    pages: Sequence[tuple[str, type[RequestHandler]]] = (),
    cookie_secret: bytes | None = None,
) -> Application:
    """Return the application that serves `realm`.

    Parameters
    ----------
    realm
        What is served.
    who
        Knows people by their credentials.
    prefix
        Where it is served; begins and ends with a slash.
    stop
        Called when a sysop stops the realm; without it nobody can from outside.
    allowed_origins
        Origins whose pages may open WebSockets, besides the gateway's own.
    metrics_token
        Opens ``metrics`` and nothing else.
    limits
        What one client may take.
    pages
        What a home of the realm serves beside these addresses, below the prefix: its sign-in.
    cookie_secret
        Signs the cookies of those pages.

    Raises
    ------
    TypeError
        A handler does not say who may use it.
    """
    gateway = Gateway(realm, who, stop, allowed_origins, metrics_token, limits or Limits())
    gateway.counters.watch(realm.state)
    base = re.escape(prefix)
    rules = [(base + pattern(path), guarded(handler)) for path, handler in ROUTES]
    rules.append((base + "v1/.*", guarded(openai.V1Nowhere)))
    beside = [(base + re.escape(path), handler) for path, handler in pages]
    return Application(
        [*rules, *beside],
        default_handler_class=guarded(Nowhere),
        gateway=gateway,
        cookie_secret=cookie_secret,
        log_function=_log,
        websocket_max_message_size=MAX_READ_BYTES,
        websocket_ping_interval=gateway.limits.ping_seconds,
        websocket_ping_timeout=gateway.limits.ping_seconds,
    )


def make_server(app: Application, ssl_options: ssl.SSLContext | None = None) -> HTTPServer:
    """Return the server for `app`, with the limits that stand before its handlers."""
    gateway: Gateway = app.settings["gateway"]
    limits = gateway.limits
    openai_most = (limits.max_openai_bytes, limits.max_openai_upload_bytes)
    return HTTPServer(
        app,
        ssl_options=ssl_options,
        # Every handler has a limit of its own; this one is for what none of them reads.
        max_body_size=2 * max(limits.max_blob_bytes, *openai_most),
        max_header_size=MAX_HEADER_BYTES,
        idle_connection_timeout=IDLE_SECONDS,
        body_timeout=BODY_SECONDS,
    )


def guarded(handler: type[RequestHandler]) -> type[Gate]:
    """Return `handler` if it says who may use it; otherwise it is not served at all."""
    if not issubclass(handler, Gate) or getattr(handler, "scope", None) not in _SCOPES:
        raise TypeError(f"{handler.__name__} declares no scope: default is deny")
    return handler


def pattern(path: str) -> str:
    """Return the regular expression for an address with parts in braces.

    >>> pattern("api/queries/{id}/events"), pattern("v1/models/{model}")
    ('api/queries/([^/]+)/events', 'v1/models/(.+)')
    """
    steps = re.split(r"\{(\w+)\}", path)
    return "".join(
        _WIDE.get(step, "([^/]+)") if at % 2 else re.escape(step) for at, step in enumerate(steps)
    )


def _log(handler: RequestHandler) -> None:
    """Log a request by its path alone: what stands after the question mark may be secret."""
    request: Any = handler.request
    log.debug(
        "%d %s %s %.1f ms",
        handler.get_status(),
        request.method,
        request.path,
        1000 * request.request_time(),
    )
