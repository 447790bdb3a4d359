"""One picture or recording for a magic: the widget is there while the cell waits, and no longer."""

from __future__ import annotations

from IPython.core.getipython import get_ipython
from IPython.display import display

from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.widgets.camera import Camera
from mtor_kernel.widgets.device import Device
from mtor_kernel.widgets.microphone import Microphone
from mtor_kernel.widgets.taken import Taken

DEVICES: dict[str, type[Device]] = {"camera": Camera, "microphone": Microphone}


async def take(device: str) -> Taken:
    """Show ``camera`` or ``microphone``, wait for what it takes, leave a line of text, return it.

    Raises
    ------
    Unavailable
        No browser shows it, or there is no notebook.
    """
    if getattr(get_ipython(), "kernel", None) is None:
        raise Unavailable(f"A terminal has no {device}: run it in a notebook, or name a file.")
    widget = DEVICES[device]()
    shown = display(widget, display_id=True)
    line = "nothing was taken"
    try:
        taken = await widget.taken()
        size = max(1, round(len(taken.content) / 1024))
        line = (
            f"a {widget.names[1]} from the {device}, {size:,} KB, which the notebook does not keep"
        )
    finally:
        widget.close()
        if shown is not None:
            shown.update({"text/plain": line}, raw=True)
    return taken
