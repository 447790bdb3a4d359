"""A browser's end of a widget's comm: it hears what the kernel says, and answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from comm.base_comm import BaseComm

from mtor_kernel.widgets.widget import RealmWidget

#: The longest wait for what a widget says, in seconds.
WAIT_SECONDS = 60


class Browser(BaseComm):  # type: ignore[misc]  # the package comm is not typed
    """Takes a widget's comm over, as a front end that shows the widget in one view."""

    def __init__(self, widget: RealmWidget) -> None:
        self.said: list[tuple[dict[str, Any], list[bytes]]] = []
        self.state: dict[str, Any] = widget.get_state()
        self._news = threading.Condition()
        super().__init__(comm_id="of-a-test", target_name="jupyter.widget")
        widget.comm = self
        self.on_msg(widget._handle_msg)
        self.say(kind="here")
        self.say(kind="shown", view="first")

    def publish_msg(
        self,
        msg_type: str,
        data: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        buffers: list[bytes] | None = None,
        **keys: Any,
    ) -> None:
        data = data or {}
        with self._news:
            if data.get("method") == "update":
                self.state |= data["state"]
            elif data.get("method") == "custom":
                self.said.append((data["content"], [bytes(one) for one in buffers or []]))
            self._news.notify_all()

    def say(self, *buffers: bytes, **content: Any) -> None:
        """Send a message, as a view does."""
        data = {"method": "custom", "content": content}
        self.handle_msg({"content": {"data": data}, "buffers": list(buffers)})

    def send_file(self, content: bytes, piece: int = 1000) -> None:
        """Send a file piece by piece."""
        for at in range(0, max(1, len(content)), piece):
            facts = {"name": "a", "at": at, "size": len(content)}
            self.say(content[at : at + piece], kind="taken", **facts)

    def latest(self, kind: str) -> dict[str, Any] | None:
        """Return the latest message of a kind."""
        return next((one for one, _ in reversed(self.said) if one["kind"] == kind), None)

    def await_(self, kind: str, when: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """Wait for a message of a kind; `when` tells which."""

        def found() -> dict[str, Any] | None:
            return next((one for one, _ in self.said if one["kind"] == kind and when(one)), None)

        with self._news:
            if not self._news.wait_for(found, WAIT_SECONDS):
                raise TimeoutError(f"No {kind} in {[one for one, _ in self.said]}")
            heard = found()
        assert heard is not None
        return heard
