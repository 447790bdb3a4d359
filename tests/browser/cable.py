"""The cable between a page and the realm, which a test can cut and mend."""

import re
from collections.abc import Callable

from playwright.async_api import Page, WebSocketRoute

#: The relay's address of the realm's socket.
NGRAM = re.compile("/mtor/ngram")
#: The connection was lost without a word (RFC 6455, section 7.4).
LOST = 1011


class Cable:
    """Carries n-grams; lay it before the page goes anywhere."""

    def __init__(self) -> None:
        self._whole = True
        self._open: list[WebSocketRoute] = []
        #: Cuts the cable after a frame of the realm, where it says so.
        self.snaps: Callable[[str], bool] = lambda frame: False
        #: How often it was cut.
        self.cuts = 0

    @classmethod
    async def lay(cls, page: Page) -> "Cable":
        """Have all that a page says to the realm go over a new cable."""
        cable = cls()
        await page.route_web_socket(NGRAM, cable._carry)
        return cable

    async def cut(self) -> None:
        """Lose the connection, and every new one, until it is mended."""
        self._whole = False
        while self._open:
            await self._open.pop().close(code=LOST)

    def mend(self) -> None:
        """Let the next connection through."""
        self._whole = True

    async def _carry(self, route: WebSocketRoute) -> None:
        if not self._whole:
            await route.close(code=LOST)
            return
        self._open.append(route)
        realm = route.connect_to_server()

        async def pass_on(frame: str | bytes) -> None:
            route.send(frame)
            if self.snaps(str(frame)):
                self.cuts += 1
                await route.close(code=LOST)

        realm.on_message(pass_on)
