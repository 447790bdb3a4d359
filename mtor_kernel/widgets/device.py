"""A camera or a microphone in whoever's browser shows the widget, and cells that wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar

import traitlets
from IPython.display import display

from mtor_kernel.client import Media, as_media
from mtor_kernel.client.media import Kind
from mtor_kernel.client.replay import played_or_taken
from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.widgets.parcel import Parcel
from mtor_kernel.widgets.taken import Taken
from mtor_kernel.widgets.widget import Buffers, Content, RealmWidget

#: How long a browser may take to have a widget that a cell waits for, in seconds.
PATIENCE_SECONDS = 30.0
#: The longest wait in one piece, in seconds: a stock kernel's interrupt waits for a loop to wake.
SLICE_SECONDS = 0.2


class Device(RealmWidget):
    """Takes something where the person is.

    Promises: the device is off until the person presses a button, and off again when something
    was taken, when the cell that waited is interrupted and when the widget goes; what was taken
    is in this object and nowhere else; where there is no device, a file does.
    """

    kind: ClassVar[Kind]
    #: What it is called in a sentence, and what it takes.
    names: ClassVar[tuple[str, str]]

    #: Whether a cell waits.
    wanted = traitlets.Bool(False).tag(sync=True)
    #: The largest file that is taken.
    most_bytes = traitlets.Int(0).tag(sync=True)

    #: After so many seconds without a browser, a cell that waits ends with an error.
    patience_seconds = traitlets.Float(PATIENCE_SECONDS)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._parcel = Parcel(self.most_bytes)
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[Taken]]] = []
        self._followers: list[Callable[[Taken], object]] = []
        #: What was taken last.
        self.last: Taken | None = None

    def on_taken(self, follower: Callable[[Taken], object]) -> None:
        """Have `follower` called with whatever is taken, in the kernel's thread.

        This is for pages where no cell can wait, such as those of Voilà.
        """
        self._followers.append(follower)

    def stop(self) -> None:
        """Switch it off in every browser."""
        self._post({"kind": "stop"})

    async def taken(self, seconds: float | None = None) -> Taken:
        """Return what is taken next, or what is recorded of it. See :meth:`Camera.frame`."""

        async def wait() -> Media:
            return await self.waited(seconds)

        media, _ = await played_or_taken(self.names[0], wait)
        self.last = taken = Taken(media.content, media.mime)
        return taken

    async def waited(self, seconds: float | None = None) -> Taken:
        """Return what is taken next, whether or not something is recorded."""
        loop = asyncio.get_running_loop()
        waited: tuple[asyncio.AbstractEventLoop, asyncio.Future[Taken]]
        waited = loop, loop.create_future()
        self._waiting.append(waited)
        self.wanted = True
        if not self._given:
            display(self)
        try:
            return await self._when_taken(waited[1], seconds)
        finally:
            self._waiting.remove(waited)
            if not self._waiting:
                self.wanted = False
                self.stop()

    async def _when_taken(self, taken: asyncio.Future[Taken], seconds: float | None) -> Taken:
        began = time.monotonic()
        device, thing = self.names
        while not taken.done():
            await asyncio.wait([taken], timeout=SLICE_SECONDS)
            waited = time.monotonic() - began
            if waited > self.patience_seconds and not self._answered.is_set():
                raise Unavailable(
                    f"No browser shows this {device}: run the cell in a notebook that is open in "
                    "a browser, with anywidget installed beside it and ipykernel 7.4 or later in "
                    f"the kernel. Without one, give the {thing} as a file."
                )
            if seconds is not None and waited > seconds and not taken.done():
                raise TimeoutError(f"No {thing} was taken within {seconds:g} s.")
        return taken.result()

    def _take(self, content: Content, buffers: Buffers) -> None:
        if content.get("kind") != "taken":
            return
        whole = self._parcel.take(content, buffers)
        if whole is None:
            return
        media = as_media(whole, self.kind)
        self.last = taken = Taken(media.content, media.mime)
        self._tell("took", bytes=len(whole))
        for loop, future in self._waiting:
            loop.call_soon_threadsafe(_give, future, taken)
        for follower in self._followers:
            follower(taken)


def _give(future: asyncio.Future[Taken], taken: Taken) -> None:
    if not future.done():
        future.set_result(taken)
