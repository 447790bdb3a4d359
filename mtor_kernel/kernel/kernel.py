"""The kernel itself: IPython's, with MTOR in it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ipykernel.ipkernel import IPythonKernel

from mtor_kernel import __version__
from mtor_kernel.kernel.computer import address_computer


class MtorKernel(IPythonKernel):
    """An IPython kernel with ``%mtor``, ``realm`` and cells that begin ``Computer,``.

    Starting it neither waits for a realm nor starts one: the first question does.
    """

    implementation = "mtor"
    implementation_version = __version__

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        assert self.shell is not None
        self.shell.extension_manager.load_extension("mtor_kernel")
        self.shell.input_transformers_cleanup.append(address_computer)

    @property
    def banner(self) -> str:  # type: ignore[override]  # a property there too, and a trait above it
        return f"MTOR {__version__}: %mtor help\n{super().banner}"

    @contextmanager
    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> Iterator[None]:
        """Have an interrupt stop a cell that awaits, at once.

        ipykernel schedules the cancel from the signal handler with ``call_soon``, which does not
        wake an event loop that sleeps in its selector: the cell would go on until its timer ends
        (ipykernel #881, seen with 7.4). ``call_soon_threadsafe`` wakes it.
        """
        loop = asyncio.get_running_loop()

        def stop(*_: Any) -> None:
            loop.call_soon_threadsafe(future.cancel)

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
