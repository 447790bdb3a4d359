"""Find a realm, or start the personal one.

Who needs a realm looks in this order: ``MTOR_URL`` and ``MTOR_TOKEN``; the Hub's service; a running
personal realm; a new personal realm. Nothing here is asynchronous: a caller with an event loop runs
it in a thread.
"""

from __future__ import annotations

import os
import time

import msgspec

from mtor_kernel.locate.runtime import (
    Runtime,
    RuntimeFile,
    data_dir,
    is_well,
    lives,
    unusable,
)
from mtor_kernel.locate.start import START_SECONDS, start
from mtor_kernel.protocol.errors import RealmUnreachable

__all__ = [
    "Address", "Runtime", "RuntimeFile", "data_dir", "find", "find_or_start", "is_well", "lives",
]  # fmt: skip


class Address(msgspec.Struct, frozen=True):
    """Where a realm is, and the credential that opens it."""

    #: The realm's root, ``http://…/`` or ``https://…/``; ends with a slash.
    url: str
    token: str

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


def find() -> Address | None:
    """Return where a realm is that runs already, or ``None``.

    Raises
    ------
    RealmUnreachable
        What the environment or the runtime file says cannot be used; says why.
    """
    return _named() or _of_hub() or _personal()


def find_or_start(timeout: float = START_SECONDS) -> Address:
    """Return where a realm is; start the personal one if none runs.

    However many ask at once, in one process or in many, one realm is started.

    Raises
    ------
    RealmUnreachable
        It didn't start within `timeout` seconds; shows the end of its log.
    """
    found = find()
    if found is not None:
        return found
    # Imported only here: a kernel that needs no realm shall not pay for it.
    import filelock

    file = RuntimeFile()
    deadline = time.monotonic() + timeout
    lock = filelock.FileLock(file.starting_lock, timeout=timeout)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise RealmUnreachable(
            f"Another program has been starting your realm for {timeout:.0f} seconds. Try again, "
            "or see what it does with `mtor realm status`."
        ) from None
    except OSError as error:
        raise unusable(
            file.path.parent, error, "Jupyter's runtime directory", "JUPYTER_RUNTIME_DIR"
        ) from None
    try:
        return find() or _address(start(file, deadline))
    finally:
        lock.release()


def _named() -> Address | None:
    """Return the realm that the environment names."""
    url = os.environ.get("MTOR_URL", "")
    if not url:
        return None
    token = os.environ.get("MTOR_TOKEN", "")
    if not token:
        raise RealmUnreachable("MTOR_URL is set but MTOR_TOKEN is not: set both, or neither.")
    if not url.startswith(("http://", "https://")):
        raise RealmUnreachable("MTOR_URL must begin with http:// or https://.")
    return Address(url.rstrip("/") + "/", token)


def _of_hub() -> Address | None:
    """Return the Hub's realm, where the Hub's operator names it in ``MTOR_HUB_SERVICE``.

    Its value is the service's URL as notebook servers reach it; the credential is the server's own
    Hub token.
    """
    url = os.environ.get("MTOR_HUB_SERVICE", "")
    token = os.environ.get("JUPYTERHUB_API_TOKEN", "")
    return Address(url.rstrip("/") + "/", token) if url and token else None


def _personal() -> Address | None:
    """Return the personal realm that runs."""
    runtime = RuntimeFile().read()
    if runtime is None or not is_well(runtime):
        return None
    return _address(runtime)


def _address(runtime: Runtime) -> Address:
    runtime.check_version()
    return Address(runtime.url, runtime.token)
