"""One picture or recording for a magic: the widget is there while the cell waits, and no longer."""

from __future__ import annotations

from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from mtor_kernel.client import Media
from mtor_kernel.client.replay import played_or_taken
from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.widgets.camera import Camera
from mtor_kernel.widgets.device import Device
from mtor_kernel.widgets.microphone import Microphone
from mtor_kernel.widgets.taken import Taken

DEVICES: dict[str, type[Device]] = {"camera": Camera, "microphone": Microphone}


async def take(device: str) -> Taken:
    """Show ``camera`` or ``microphone``, wait for what it takes, leave a line of text, return it.

    What is recorded is played in its place, with the same line.

    Raises
    ------
    Unavailable
        No browser shows it, or there is no notebook.
    NotRecorded
        Only what is recorded may be used, and there is nothing.
    """
    line = _Line()

    async def wait() -> Media:
        if getattr(get_ipython(), "kernel", None) is None:
            raise Unavailable(f"A terminal has no {device}: run it in a notebook, or name a file.")
        widget = DEVICES[device]()
        line.shown = display(widget, display_id=True)
        try:
            return await widget.waited()
        except BaseException:
            line.say("nothing was taken")
            raise
        finally:
            widget.close()

    media, folder = await played_or_taken(device, wait)
    size = max(1, round(len(media.content) / 1024))
    kept = f"kept in {folder} for replay" if folder else "which the notebook does not keep"
    line.say(f"a {DEVICES[device].names[1]} from the {device}, {size:,} KB, {kept}")
    return Taken(media.content, media.mime)


class _Line:
    """What the cell keeps: in place of the widget, where one was shown."""

    def __init__(self) -> None:
        self.shown: Any = None

    def say(self, words: str) -> None:
        """Show these."""
        if self.shown is None:
            display({"text/plain": words}, raw=True)
        else:
            self.shown.update({"text/plain": words}, raw=True)
