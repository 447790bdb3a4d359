"""A Dask preload: this process lives no longer than the one that started it.

``--preload dask_workers.lifeline`` on a scheduler or a worker whose standard input is a pipe that
the parent holds open and never writes to. However the parent ends, even by SIGKILL, the kernel
closes the pipe, and that is what is waited for here. (With ``/dev/null`` it ends at once.)
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import Any

log = logging.getLogger(__name__)

#: What a node gets to say goodbye.
CLOSE_SECONDS = 0.5


def dask_setup(node: Any) -> None:
    """Watch over `node`, a scheduler or a worker, from a thread of its own."""
    threading.Thread(target=_watch, args=(node,), name="mtor-lifeline", daemon=True).start()


def _watch(node: Any) -> None:
    with contextlib.suppress(OSError):  # closed here already: as good as gone
        while os.read(0, 4096):
            pass
    log.info("whoever started this process is gone: ending")
    closed = threading.Event()

    async def close() -> None:
        try:
            await node.close()
        finally:
            closed.set()

    node.loop.add_callback(close)
    closed.wait(CLOSE_SECONDS)
    # Threads that compute, and locks they hold, must not keep the process alive.
    os._exit(0)
