"""A widget that looks at the realm again and again, for as long as somebody looks at it."""

from __future__ import annotations

import threading
from abc import abstractmethod
from typing import Any, ClassVar

from mtor_kernel.client import Realm
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.widgets.widget import Content, RealmWidget


class Looking(RealmWidget):
    """Looks while a page with it is visible: a realm that nobody uses may end by itself."""

    hears_in_cells = True
    #: Between two looks, in seconds; after one that failed, so many times as long.
    pace_seconds: ClassVar[float] = 2.0
    patience: ClassVar[int] = 5

    def __init__(self, realm: Realm | None = None, *, label: str) -> None:
        self._wake = threading.Event()
        self._looker: threading.Thread | None = None
        #: What the latest look that failed has shown; other troubles are not a look's to clear.
        self._failed: Content | None = None
        super().__init__(realm, label=label)
        self.realm  # noqa: B018 - found here, in the notebook's thread

    def look(self) -> None:
        """Look now."""
        self._wake.set()

    def close(self) -> None:
        """Stop looking, and take the widget out of the page."""
        self._views.clear()
        self._wake.set()
        super().close()

    def _seen(self) -> None:
        if self._looker is None or not self._looker.is_alive():
            self._looker = threading.Thread(target=self._run, name="mtor-looking", daemon=True)
            self._looker.start()

    def _run(self) -> None:
        while self._looked_at:
            self._wake.clear()
            wait = self.pace_seconds
            try:
                kind, content = self._found()
                self._tell(kind, **content)
                if self._failed is not None:
                    self._clear(only=self._failed)
                    self._failed = None
            except RuntimeError:
                return  # the realm's face was closed: nobody looks any more
            except RealmError as error:
                self._failed = self._trouble(error)
                wait *= self.patience
            self._wake.wait(wait)

    @abstractmethod
    def _found(self) -> tuple[str, dict[str, Any]]:
        """Look, and return what to tell: its kind and its content."""
