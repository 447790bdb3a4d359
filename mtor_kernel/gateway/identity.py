"""Who is asking: the seam between the gateway and whoever knows people.

Credentials come in a header, never in an address: addresses end up in logs and histories.
"""

from __future__ import annotations

import hmac
from typing import Protocol

from tornado.httputil import HTTPServerRequest

from mtor_kernel.protocol.errors import BadInput, Unauthenticated
from mtor_kernel.protocol.identity import SCOPE_LINK, User

#: Names under which careless clients put a credential into an address.
_TOKEN_ARGUMENTS = frozenset({"token", "access_token", "api_key", "apikey", "auth_token"})


class Asked(Protocol):
    """Whatever answers a request: a handler."""

    request: HTTPServerRequest


class Authenticator(Protocol):
    """Knows people by the credential that they bring."""

    async def identify(self, asked: Asked) -> User:
        """Return who sent the request that `asked` answers.

        Raises
        ------
        Unauthenticated
            There is no credential, or one that is not known.
        """


class PersonalToken:
    """A realm of one person: one token for them, one for their workers."""

    def __init__(self, token: str, user: User, link_token: str = "") -> None:
        """Know `user` by `token`, and the workers by `link_token`; an empty one opens nothing."""
        self._known = [
            (secret.encode(), who)
            for secret, who in (
                (token, user),
                (link_token, User("worker", scopes=frozenset({SCOPE_LINK}))),
            )
            if secret
        ]

    async def identify(self, asked: Asked) -> User:
        """Return the person or the worker whose token came in the request's header."""
        given = credential(asked.request).encode()
        for secret, who in self._known:
            if hmac.compare_digest(secret, given):
                return who
        raise Unauthenticated("This token opens nothing here: use the one that the realm gave you.")


def credential(request: HTTPServerRequest) -> str:
    """Return the token in the header ``Authorization: Bearer …`` (or ``token …``, as in Jupyter).

    Raises
    ------
    Unauthenticated
        There is none.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() in ("bearer", "token") and token.strip():
        return token.strip()
    raise Unauthenticated("Say who you are: send the header 'Authorization: Bearer <token>'.")


def refuse_token_in_address(request: HTTPServerRequest) -> None:
    """Raise :class:`BadInput` where a credential stands in the address."""
    if request.query and not _TOKEN_ARGUMENTS.isdisjoint(
        name.lower() for name in request.query_arguments
    ):
        raise BadInput(
            "A token must not stand in an address, where logs would keep it: "
            "send it in the header 'Authorization: Bearer <token>', and ask for a new one."
        )
