"""Who is asking, as JupyterHub knows them: its users by their tokens, or by their sign-in."""

from __future__ import annotations

import hmac
from typing import Annotated, Any, cast

import msgspec
from jupyterhub.services.auth import HubOAuth
from tornado.web import RequestHandler
from traitlets import Dict, Float, Unicode
from traitlets.config import LoggingConfigurable

from mtor_kernel.gateway.identity import Asked, credential
from mtor_kernel.gateway.origin import check_origin
from mtor_kernel.hub.known import Known, Model
from mtor_kernel.hub.scopes import GROUPS, check_roles, user_of
from mtor_kernel.protocol.errors import Unauthenticated
from mtor_kernel.protocol.identity import SCOPE_LINK, SCOPE_SYSOP, User

_WORKER = User("worker", scopes=frozenset({SCOPE_LINK}))


class _Said(msgspec.Struct):
    """What of the Hub's answer counts here."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    kind: str = "user"
    admin: bool = False
    groups: list[str] = []
    scopes: list[str] = []


class SignIn(HubOAuth):
    """The Hub's own library, which asks about tokens by way of :class:`Known`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known: Known

    def user_for_token(
        self, token: str, use_cache: bool = True, session_id: str = "", *, sync: bool = True
    ) -> Any:
        """Return who a token belongs to; only ever asynchronously, as the loop must not stop."""
        if sync:
            raise RuntimeError("the Hub is asked asynchronously only")
        return self.known.model(token)

    async def ask(self, token: str) -> Model:
        """Ask the Hub itself; what says nothing of a person does not come from it, and raises."""
        found: Model = await super().user_for_token(token, use_cache=False, sync=False)
        if found is not None:
            msgspec.convert(found, _Said)
        return found


class HubPeople(LoggingConfigurable):
    """The people of a Hub, and the realm's own workers."""

    role_of_group = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        default_value=GROUPS,
        config=True,
        help="The role of each of the Hub's groups. Default: mtor-guests, mtor-users, …",
    )
    fresh_seconds = Float(
        15.0,
        min=0.0,
        max=20.0,
        config=True,
        help="How long the Hub's answer about a token holds. Default: 15",
    )
    stale_seconds = Float(
        86_400.0,
        min=0.0,
        config=True,
        help="How long who is known goes on while the Hub does not answer. Default: 86400",
    )
    patience_seconds = Float(
        5.0, min=0.1, config=True, help="How long the Hub may take to answer. Default: 5"
    )

    def __init__(self, sign_in: SignIn, link_token: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_roles("HubPeople.role_of_group", self.role_of_group)
        self._sign_in = sign_in
        self._link_token = link_token.encode()
        self.known = sign_in.known = Known(
            sign_in.ask,
            fresh_seconds=self.fresh_seconds,
            stale_seconds=self.stale_seconds,
            patience_seconds=self.patience_seconds,
        )

    async def identify(self, asked: Asked) -> User:
        """Return who it is by the token in the header, or by the cookie of the sign-in."""
        if self._is_worker(asked):
            return _WORKER
        if asked.request.headers.get("Upgrade"):
            # Not by cookie: browsers let any page open a WebSocket, and send the cookie along. The
            # panel comes through its own server, with a token.
            credential(asked.request)
        if _by_cookie(asked):
            # Which a browser also sends for another site's page, or for another person's server at
            # this Hub, where a page may have read the token against forgery.
            check_origin(asked.request.headers.get("Origin"), asked.request.host)
        handler = cast(RequestHandler, asked)
        return self._user(asked, await self._sign_in.get_user(handler, sync=False))

    async def again(self, asked: Asked) -> User:
        """Return who sent a request of some time ago, as the Hub knows them now."""
        if self._is_worker(asked):
            return _WORKER
        token = self._sign_in.get_token(cast(RequestHandler, asked))
        return self._user(asked, await self.known.model(token))

    def _is_worker(self, asked: Asked) -> bool:
        try:
            given = credential(asked.request).encode()
        except Unauthenticated:
            return False
        return bool(self._link_token) and hmac.compare_digest(given, self._link_token)

    def _user(self, asked: Asked, model: Model) -> User:
        if model is None:
            raise Unauthenticated(
                "JupyterHub knows nobody by this: send a token of yours (the Hub's page 'Token' "
                "makes one) in the header 'Authorization: Bearer <token>', or sign in."
            )
        user = user_of(model, self.role_of_group)
        if _by_cookie(asked):
            # Where everybody's server has the Hub's own name, a page of one that a sysop looks into
            # can do whatever their cookie can.
            user = msgspec.structs.replace(user, scopes=user.scopes - {SCOPE_SYSOP})
        return user


def _by_cookie(asked: Asked) -> bool:
    """Tell whether no token of ours is in the header: the Hub's library looks for a cookie then."""
    try:
        credential(asked.request)
    except Unauthenticated:
        return True
    return False
