"""The clients' WebSocket to the realm, under Jupyter's authentication."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from mtor_kernel.client.connection import open_socket
from mtor_kernel.locate import Address
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import Denied, RealmError
from mtor_kernel.protocol.ngram import SUBPROTOCOL, Error
from mtor_kernel.server.seeker import Seeker, admit, refuse

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

#: Frames up to this size pass, so that it is the realm that says which are too long.
MAX_FRAME_BYTES = 1024 * 1024
#: The realm was lost; RFC 6455's registry calls it "service restart": come again.
GONE = 1012
#: It was refused, and will be; and how much a close frame says of why.
POLICY, REASON_BYTES = 1008, 120


class NGramRelay(ExtensionHandlerMixin, WebSocketMixin, WebSocketHandler, JupyterHandler):
    """One socket. Each frame is passed on before the next one is read, in both directions."""

    _upstream: WebSocketClientConnection | None = None
    _address: Address
    #: Why the realm lets nobody in who comes from here.
    _refusal: Denied | None = None
    _pumping: asyncio.Task[None] | None = None

    @property
    def max_message_size(self) -> int:
        """The longest frame that is read, in bytes."""
        return MAX_FRAME_BYTES

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Reach the realm first: only then is there something to upgrade to."""
        await admit(self, "execute")
        if not self.check_origin():
            raise HTTPError(403, "Cross origin websockets not allowed")
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if SUBPROTOCOL not in [name.strip() for name in offered.split(",")]:
            raise HTTPError(400, f"Open this as a WebSocket with the subprotocol {SUBPROTOCOL}.")
        seeker: Seeker = self.settings["mtor_seeker"]
        try:
            self._address, self._upstream = await seeker.reach(
                lambda address: open_socket(address, None)
            )
        except Denied as error:
            # Of a refused handshake browsers tell a page nothing: open it, and say why.
            self._refusal = error
            await super().get(*args, **kwargs)
            return
        except RealmError as error:
            refuse(self, error)
            return
        try:
            # Lasts as long as the socket.
            await super().get(*args, **kwargs)
        finally:
            if self._upstream is not None:
                self._upstream.close()

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Choose what the realm has chosen."""
        return SUBPROTOCOL if self._upstream is None else self._upstream.selected_subprotocol

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Begin to pass on what the realm says."""
        super().open(*args, **kwargs)
        self.set_nodelay(True)
        if self._upstream is not None:
            self._pumping = asyncio.create_task(self._pump(self._upstream))
        elif self._refusal is not None:
            self.write_message(encode(Error(self._refusal.info())))
            said = self._refusal.message.encode()[:REASON_BYTES].decode(errors="ignore")
            self.close(POLICY, said)

    async def on_message(self, message: str | bytes) -> None:
        """Pass a frame to the realm; the next one is read when it is on its way."""
        if self._upstream is None:
            return
        try:
            await self._upstream.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            self.close(GONE)

    def on_close(self) -> None:
        """Tell the realm, with the browser's own words."""
        if self._pumping is not None:
            self._pumping.cancel()
        code = self.close_code if _may_be_sent(self.close_code) else None
        if self._upstream is not None:
            self._upstream.close(code, self.close_reason if code else None)
        super().on_close()

    async def _pump(self, upstream: WebSocketClientConnection) -> None:
        try:
            while (message := await upstream.read_message()) is not None:
                await self.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            return
        code, reason = upstream.close_code, upstream.close_reason
        if _may_be_sent(code):
            self.close(code, reason)
            return
        self.settings["mtor_seeker"].lost(self._address)
        self.close(GONE, "the realm went away")


def _may_be_sent(code: int | None) -> bool:
    """Tell whether a close frame may carry `code`: some are for local use only."""
    return code is not None and (
        (1000 <= code <= 1014 and code not in {1004, 1005, 1006}) or 3000 <= code <= 4999
    )
