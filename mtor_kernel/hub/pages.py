"""What a browser sees of the realm itself: one page, behind the Hub's sign-in.

The panel is in everybody's own server; this page only says where one is and how programs get in.
"""

from __future__ import annotations

import secrets
from html import escape

from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated
from jupyterhub.utils import get_browser_protocol
from tornado.web import RequestHandler

from mtor_kernel.gateway.failures import status_of
from mtor_kernel.gateway.shared import Gateway
from mtor_kernel.protocol.errors import RealmError

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>MTOR</title><style nonce="{nonce}">
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto }}
code {{ background: #8883; padding: .1em .3em; border-radius: .2em }}
</style></head><body><h1>The realm</h1>{body}</body></html>
"""


class Front(HubOAuthenticated, RequestHandler):
    """The realm's page for people."""

    async def get(self) -> None:
        """Say who one is here; whoever has not signed in goes to do so first."""
        nonce = secrets.token_urlsafe(16)
        self.set_header(
            "Content-Security-Policy",
            f"default-src 'none'; style-src 'nonce-{nonce}'; frame-ancestors 'none'; "
            "form-action 'none'; base-uri 'none'",
        )
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")
        gateway: Gateway = self.settings["gateway"]
        try:
            if await self.hub_auth.get_user(self, sync=False) is None:
                self.redirect(self.get_login_url())
                return
            user = await gateway.who.identify(self)
            user = await gateway.realm.arrive(user)
        except RealmError as error:
            self.set_status(status_of(error))
            self.finish(_PAGE.format(nonce=nonce, body=f"<p>{escape(error.message)}</p>"))
            return
        # As the browser sees it: an address without TLS would have tokens sent in the open.
        protocol = get_browser_protocol(self.request)
        root = f"{protocol}://{self.request.host}{self.hub_auth.base_url}"
        hub = self.hub_auth.hub_host + self.hub_auth.hub_prefix
        body = (
            f"<p>You are <b>{escape(user.name)}</b> ({user.role}).</p>"
            "<p>Ask in a notebook with the kernel <b>MTOR</b>, or in the panel <b>MTOR</b> of "
            f'<a href="{escape(hub)}home">your own JupyterLab</a>.</p>'
            "<p>Programs that speak OpenAI's dialect take "
            f"<code>{escape(root)}v1</code> as their base URL and "
            f'<a href="{escape(hub)}token">a token of yours</a> as their key.</p>'
        )
        self.finish(_PAGE.format(nonce=nonce, body=body))


#: Below the prefix.
PAGES: tuple[tuple[str, type[RequestHandler]], ...] = (
    ("", Front),
    ("oauth_callback", HubOAuthCallbackHandler),
)
