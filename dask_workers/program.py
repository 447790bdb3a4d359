"""Other people's programs: run as children, told what to do by arguments that no user writes."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mtor_kernel.protocol.backend import Context
from mtor_kernel.protocol.errors import BackendFailed

log = logging.getLogger(__name__)

#: What a child sees of the worker's environment: the keys of services are none of its business.
_PASSED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")


class Program:
    """Runs a program again and again for one query. A cancel kills the child that runs."""

    def __init__(self, context: Context, timeout_seconds: float) -> None:
        self._context = context
        self._timeout = timeout_seconds
        self._child: subprocess.Popen[bytes] | None = None
        context.on_cancel(self._kill)

    def run(self, arguments: Sequence[str], said: bytes) -> bytes:
        """Return what the program writes when it reads `said`; nothing after a cancel.

        Raises
        ------
        BackendFailed
            It ended with an error, or not in time.
        """
        name = Path(arguments[0]).name
        with subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: os.environ[name] for name in _PASSED if name in os.environ},
        ) as child:
            self._child = child
            if self._context.cancelled:  # before there was a child to kill
                child.kill()
            try:
                written, complaint = child.communicate(said, self._timeout)
            except subprocess.TimeoutExpired:
                raise BackendFailed(
                    f"The program {name} did not end within {self._timeout:g} seconds: "
                    "ask again, or for less."
                ) from None
            finally:
                child.kill()  # harmless for one that has ended
        if child.returncode and not self._context.cancelled:
            log.error("%s ended with %s: %r", arguments, child.returncode, complaint[-2000:])
            raise BackendFailed(
                f"The program {name} failed: ask the sysop to look into the worker's log."
            )
        return b"" if self._context.cancelled else written

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
