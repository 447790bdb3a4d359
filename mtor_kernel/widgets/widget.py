"""What all widgets are: a model in the kernel, views in browsers, messages between them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import traitlets
from anywidget import AnyWidget
from IPython.core.getipython import get_ipython

from mtor_kernel.client import Realm
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.telling.markdown import readable
from mtor_kernel.widgets.script import style

log = logging.getLogger(__name__)

#: A view that was not heard of for so long is taken to be gone, in seconds: its page died.
SILENT_SECONDS = 90.0
#: What a browser sends along: plain values.
Content = dict[str, Any]
Buffers = Sequence[bytes | memoryview]


class RealmWidget(AnyWidget):
    """A widget of the realm.

    Promises: its state holds settings and no content, so what a notebook saves of it says nothing;
    what it shows is told in messages, the latest of each kind again to a view that comes later;
    what goes wrong is shown in the widget, never lost; messages may come from any thread, and no
    older one is posted after a newer one.
    """

    _css = style()

    #: Whether its buttons act while a cell runs. What they start must not touch the notebook's
    #: variables then: it may run in another thread than the cell.
    hears_in_cells: ClassVar[bool] = False

    #: Said above it, and by those who read screens aloud.
    label = traitlets.Unicode("").tag(sync=True)

    def __init__(self, realm: Realm | None = None, **traits: Any) -> None:
        self._realm = realm
        #: Held while messages are kept and posted, so that both happen in the same order.
        self._telling = threading.RLock()
        #: The latest message of each kind.
        self._told: dict[str, tuple[Content, list[bytes]]] = {}
        #: Whether a browser has the model, and when each view was last heard of.
        self._answered = threading.Event()
        self._views: dict[str, float] = {}
        #: Whether it was given to a front end to be shown, and no view of it went since.
        self._given = False
        super().__init__(**traits)
        self.on_msg(self._hear)

    def open(self) -> None:
        """Open the way to the browser."""
        super().open()
        # Where JupyterLab has a shell of its own for widgets, their messages come while a cell
        # runs; ipykernel 7.4 hands them to the shell that last spoke to the widget, the cell's.
        if self.hears_in_cells and hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = lambda _data, chosen: chosen

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: a browser shows it>"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self._given = True
        return super()._repr_mimebundle_(**kwargs)

    @property
    def realm(self) -> Realm:
        """The realm it asks: the one it was given, else the notebook's, else one of its own."""
        if self._realm is None:
            shell = get_ipython()
            found = shell.user_ns.get("realm") if shell is not None else None
            self._realm = found if isinstance(found, Realm) else Realm()
        return self._realm

    # To the browser.

    def _tell(self, kind: str, *, buffers: Sequence[bytes] = (), **content: Any) -> Content:
        """Say something to all views, now and when one comes later; return the message."""
        message = {"kind": kind, **content}
        with self._telling:
            self._told[kind] = message, list(buffers)
            self._post(message, buffers)
        return message

    def _untell(self, *kinds: str) -> None:
        """Say some kinds of things no more to later views."""
        with self._telling:
            for kind in kinds:
                self._told.pop(kind, None)

    def _trouble(self, error: Exception) -> Content:
        """Show what went wrong; return the message."""
        if not isinstance(error, RealmError):
            log.warning("A widget's work failed", exc_info=error)
        words = error.message if isinstance(error, RealmError) else _described(error)
        return self._tell("trouble", words=readable(words))

    def _clear(self, only: Content | None = None) -> None:
        """Show no more what went wrong; with `only`, not if something else has since."""
        with self._telling:
            shown, _ = self._told.get("trouble", (None, []))
            if shown is not None and (only is None or shown is only):
                del self._told["trouble"]
                self._post({"kind": "trouble", "words": ""})

    def _post(self, message: Content, buffers: Sequence[bytes] = ()) -> None:
        if self.comm is not None:
            self.send(message, list(buffers))

    # From the browser.

    def _hear(self, _: Any, content: Any, buffers: Buffers) -> None:
        """Take a message; whatever it is, nothing is raised into the kernel's own loop."""
        if not isinstance(content, dict):
            return
        if "number" in content:
            self._post({"kind": "heard", "number": content["number"]})
        try:
            match content.get("kind"):
                case "here":
                    self._answered.set()
                case "shown":
                    self._answered.set()
                    self._views[str(content.get("view"))] = time.monotonic()
                    with self._telling:
                        for message, held in list(self._told.values()):
                            self._post(message, held)
                    self._seen()
                case "still":
                    self._views[str(content.get("view"))] = time.monotonic()
                    self._seen()
                case "gone":
                    self._views.pop(str(content.get("view")), None)
                    self._given = self._looked_at
                case _:
                    self._clear()
                    self._take(content, buffers)
        except Exception as error:  # noqa: BLE001 - shown in the widget; a handler's error is lost
            self._trouble(error)

    @property
    def _looked_at(self) -> bool:
        """Whether somebody looks at a view of it."""
        since = time.monotonic() - SILENT_SECONDS
        return any(at > since for at in list(self._views.values()))

    def _seen(self) -> None:
        """A view is there."""

    def _take(self, content: Content, buffers: Buffers) -> None:
        """Do what a message asks for."""


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
