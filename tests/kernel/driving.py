"""Drive a kernel as a front end does: send cells, hear what they show, interrupt them."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

#: The kernel's description as this tree has it.
KERNELS = Path(__file__).parent.parent.parent / "kernelspec"

Message = dict[str, Any]


@dataclass
class Ran:
    """What became of one cell."""

    messages: list[Message] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return str(self.reply["status"])

    def contents(self, *kinds: str) -> list[dict[str, Any]]:
        return [sent["content"] for sent in self.messages if sent["msg_type"] in kinds]

    @property
    def displays(self) -> list[dict[str, Any]]:
        """Every display and every update of one, in order."""
        return self.contents("display_data", "update_display_data")

    @property
    def display_ids(self) -> set[str]:
        return {shown.get("transient", {}).get("display_id", "") for shown in self.displays}

    @property
    def plain(self) -> str:
        """The plain text of the last display."""
        return str(self.displays[-1]["data"]["text/plain"])

    @property
    def printed(self) -> str:
        return "".join(stream["text"] for stream in self.contents("stream"))

    @property
    def traceback(self) -> str:
        return "\n".join(line for error in self.contents("error") for line in error["traceback"])


class Kernel:
    """A running kernel."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(
        self,
        code: str,
        *,
        seconds: float = 100,
        seen: Callable[[Message], bool] | None = None,
        cell: str = "",
    ) -> Ran:
        """Run a cell to its end. `seen` is told every message; true interrupts the kernel.

        `cell` is its id, which JupyterLab tells and nbclient does not.
        """
        sent = self._execute(code, cell) if cell else self.client.execute(code, store_history=True)
        ran = Ran()
        for message in self._of(sent, seconds):
            ran.messages.append(message)
            if seen is not None and seen(message):
                self.manager.interrupt_kernel()
                seen = None
        ran.reply = self._reply(sent, seconds)
        return ran

    def value(self, expression: str) -> str:
        """Return the repr of an expression."""
        sent = self.client.execute("", user_expressions={"value": expression}, silent=True)
        value = self._reply(sent, 100)["user_expressions"]["value"]
        return str(value["data"]["text/plain"])

    def _execute(self, code: str, cell: str) -> str:
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell})
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def _of(self, sent: str, seconds: float) -> Iterator[Message]:
        """Yield what a cell shows until the kernel is idle again."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.client.get_iopub_msg(timeout=deadline - time.monotonic())
            if message["parent_header"].get("msg_id") != sent:
                continue
            if message["content"].get("execution_state") == "idle":
                return
            yield message

    def _reply(self, sent: str, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            message = self.client.get_shell_msg(timeout=deadline - time.monotonic())
            if message["parent_header"].get("msg_id") == sent:
                content: dict[str, Any] = message["content"]
                return content


@contextlib.contextmanager
def offer_kernels(folder: Path) -> Iterator[None]:
    """Let Jupyter find the kernel of this tree, installed or not, here and in child processes."""
    (folder / "kernels").symlink_to(KERNELS)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JUPYTER_PATH", os.fspath(folder))
        yield


@contextlib.contextmanager
def kernel(name: str, **environment: str) -> Iterator[Kernel]:
    """Start the kernel `name` with more environment variables, and end it afterwards."""
    # Not by ports: they are chosen here, and before the kernel is up somebody may have taken one.
    # The path of a socket must be short: the test's own folder is too far down.
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        manager = KernelManager(
            kernel_name=name,
            transport="ipc",
            transport_encryption="auto",
            connection_file=f"{folder}/kernel.json",
        )
        manager.start_kernel(env={**os.environ, **environment})
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=100)
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
