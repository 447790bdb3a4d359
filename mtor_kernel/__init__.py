"""MTOR: an AI realm inside Jupyter.

Importing this is cheap. What it names is loaded when it is first asked for, so that a kernel or
a Jupyter server that merely has MTOR installed pays nothing.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtor_kernel._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mtor_kernel.client import Media, RealmClient, connect
    from mtor_kernel.client.mapping import Estimate
    from mtor_kernel.client.showing import MapShow

__all__ = ["RealmClient", "__version__", "connect", "load_ipython_extension"]

_LAZY = {"RealmClient": "mtor_kernel.client", "connect": "mtor_kernel.client"}


def __getattr__(name: str) -> Any:
    """The public names that live in heavier modules (PEP 562)."""
    if name in _LAZY:
        found = getattr(import_module(_LAZY[name]), name)
        _offer_widgets()
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _offer_widgets() -> None:
    """Have maps shown by a widget in a kernel. Widgets and client do not know each other."""
    if "ipykernel" in sys.modules:
        from mtor_kernel.client import showing

        showing.offer(_map_widget)


def _map_widget(total: int, price: "Estimate") -> "MapShow | None":
    """Return the widget of a map; ``None`` where widgets are not installed or not to be shown."""
    try:
        from mtor_kernel.widgets import progress
    except ImportError:
        return None
    return progress.make(total, price)


async def _take(device: str) -> "Media":
    """Return what a device of the person's browser takes. Magics and widgets are strangers too."""
    try:
        from mtor_kernel.widgets import taking
    except ImportError as error:
        from mtor_kernel.protocol.errors import Unavailable

        raise Unavailable(f"The {device} needs widgets, or name a file. {error}") from None
    return await taking.take(device)


def load_ipython_extension(ip: "InteractiveShell") -> None:
    """``%load_ext mtor_kernel``: bring ``%mtor`` and ``%%mtor`` into this shell."""
    from mtor_kernel.magics import magics

    magics.load(ip, _take)
    _offer_widgets()


def unload_ipython_extension(ip: "InteractiveShell") -> None:
    """``%unload_ext mtor_kernel``: take them out again."""
    from mtor_kernel.magics import magics

    magics.unload(ip)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server where the relay is."""
    from mtor_kernel.server.app import MtorExtension

    return [{"module": "mtor_kernel", "app": MtorExtension}]
