"""A child process: started, listened to, ended. It never outlives the worker."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dask_workers.child.frames import FROM_CHILD, Begin, Channel, ToChild, ToWorker, packed
from mtor_kernel.protocol.backend import ModelSpec

#: Where a program complains.
_STDERR = 2

log = logging.getLogger(__name__)

#: A child is told to die with the thread that started it: this one lives as long as the worker.
_starter = ThreadPoolExecutor(1, "mtor-child-starter")

#: Called with each frame, in the order in which they come; at last with the reason of the end.
Hear = Callable[[ToWorker, bytes], None]
Ended = Callable[[str], None]


class Child:
    """One process that is one backend.

    What it starts itself is in its group, and ends with it. Its standard output and errors go
    where the worker's errors go: into the worker's log.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.name, self._spec = spec.name, spec
        self._why = ""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _starter.submit(_start, theirs).result()
            except OSError:
                ours.close()
                raise
        self._channel: Channel[ToWorker] = Channel(ours, FROM_CHILD)
        #: Frames, packed, and what is attached to each: a query an attempt, a blob a want.
        self._to_say: queue.SimpleQueue[tuple[bytes, bytes] | None] = queue.SimpleQueue()
        log.info("%s runs in process %d", spec.name, self._process.pid)

    def open(self, place: str, hear: Hear, ended: Ended) -> None:
        """Have it be the backend at `place`, and hear what it says from now on."""
        name = f"mtor-child-{self.name}"
        threading.Thread(target=self._listen, args=(hear, ended), name=name, daemon=True).start()
        threading.Thread(target=self._see_end, name=f"{name}-end", daemon=True).start()
        threading.Thread(target=self._say, name=f"{name}-voice", daemon=True).start()
        self.send(Begin(self._spec, place))

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def send(self, frame: ToChild, attached: bytes = b"") -> None:
        """Say something to it, after what was said before; never waits until it is heard.

        One that is gone does not hear it, and is known to be gone soon.
        """
        self._to_say.put((packed(frame, attached), attached))

    def kill(self, why: str) -> None:
        """End it now, whatever it does. `why` is what those who wait for it are told."""
        self._why = self._why or why
        self._kill()

    def wait(self, seconds: float) -> bool:
        """Wait until it has let go of all that it held; tell whether it has."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _say(self) -> None:
        """Say things in turn: one that hangs takes nothing, and nobody else waits for that."""
        try:
            while (said := self._to_say.get()) is not None:
                self._channel.write(*said)
        except OSError:
            self._kill()  # whoever hears nothing more is of no use
        except Exception:
            log.exception("%s cannot be spoken to", self.name)
            self.kill("it could not be spoken to")

    def _listen(self, hear: Hear, ended: Ended) -> None:
        try:
            while (heard := self._channel.receive()) is not None:
                hear(*heard)
        except Exception:
            log.exception("what %s says makes no sense", self.name)
            self.kill("it said something that makes no sense")
        self._kill()  # whoever closes the channel has nothing more to say
        status = self._process.wait()
        self._channel.close()
        self._to_say.put(None)
        ended(self._why or _meaning(status))

    def _see_end(self) -> None:
        """Have whoever listens know of its end, also where another holds the socket open."""
        self._process.wait()
        self._kill_group()
        self._channel.end()

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._kill_group()
        self._process.kill()

    def _kill_group(self) -> None:
        # The group has its number for as long as anybody is in it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _start(theirs: socket.socket) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dask_workers.child", str(theirs.fileno()), str(os.getpid())]
    return subprocess.Popen(
        command,
        pass_fds=(theirs.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=_STDERR,
        process_group=0,
    )


def _meaning(status: int) -> str:
    """Return what an exit status says."""
    if status >= 0:
        return f"it ended with status {status}"
    if -status == signal.SIGKILL:
        return "it was killed, perhaps because the machine ran out of memory"
    return f"it crashed ({signal.Signals(-status).name})"
