"""What every handler of one gateway shares: the realm, who knows people, and the limits."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from tornado.httputil import HTTPServerRequest

from mtor_kernel.gateway.identity import Authenticator, credential
from mtor_kernel.gateway.metrics import Counters
from mtor_kernel.protocol.errors import Unauthenticated

if TYPE_CHECKING:
    from mtor_kernel.gateway.base import Gate
    from mtor_kernel.realm.followers import Follower
    from mtor_kernel.realm.realm import Realm

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take, and how long it may take it."""

    #: Largest blob that is taken in.
    max_blob_bytes: int = 64 * MIB
    #: Largest request of the OpenAI dialect, which carries pictures inside its JSON.
    max_openai_bytes: int = 8 * MIB
    #: Largest form with a file of the OpenAI dialect: 25 MB as there, and the fields beside it.
    max_openai_upload_bytes: int = 26 * MIB
    #: Queries that one socket follows at once.
    max_followed: int = 2_000
    #: Commands of one socket that are under way at once; more wait in its connection.
    max_commands: int = 32
    #: How long a client may leave what it was sent unread before it is cut off.
    slow_seconds: float = 30.0
    #: Between two pings of a socket, and the longest wait for its pong.
    ping_seconds: float = 20.0
    #: How long a worker may take to say hello.
    hello_seconds: float = 10.0
    #: Longest silence of an event stream: a comment is sent then.
    heartbeat_seconds: float = 15.0
    #: How long a streamed chat completion waits for its first word before it sends its headers.
    #: Until then an error has a status of its own; after it, it is an event of the stream.
    patience_seconds: float = 10.0


@dataclass(slots=True)
class Gateway:
    """What every handler shares; one for each application."""

    realm: Realm
    who: Authenticator
    #: Called once when a sysop stops the realm; ``None``: it cannot be stopped from outside.
    stop: Callable[[], None] | None = None
    #: Origins whose pages may open WebSockets besides the realm's own.
    allowed_origins: frozenset[str] = frozenset()
    #: Opens ``metrics`` and nothing else; empty: only the sysop may look.
    metrics_token: str = ""
    limits: Limits = field(default_factory=Limits)
    counters: Counters = field(default_factory=Counters)
    #: Whose answers go on: each reader and the handler that it is for. Who is asking is looked at
    #: when a connection opens, and these stay open; some may have been closed meanwhile.
    listening: WeakKeyDictionary[Follower, Gate] = field(default_factory=WeakKeyDictionary)
    #: Set when the realm is on its way down: ``health`` says so.
    stopping: bool = False

    def is_metrics_token(self, request: HTTPServerRequest) -> bool:
        """Tell whether `request` brings the token for metrics."""
        try:
            given = credential(request).encode()
        except Unauthenticated:
            return False
        expected = self.metrics_token.encode()
        return bool(expected) and hmac.compare_digest(given, expected)
