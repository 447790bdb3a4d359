"""``mtor scheduler``: a Dask scheduler for a realm's workers on several machines.

The realm of one machine starts its own. This saves the arguments and settings that go with one that
stands by itself: members by certificate only, no web page, no retries and no stealing of Dask's.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from mtor_kernel.protocol.errors import Unavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument(
        "--certs", type=Path, required=True, help="folder of its certificates, by `mtor certs`"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: loopback)"
    )
    parser.add_argument("--port", type=int, default=8786, help="port (default: 8786)")


def run(given: argparse.Namespace) -> int:
    """Become ``dask scheduler``."""
    from mtor_kernel.realm.certs import Certs
    from mtor_kernel.realm.cluster import SETTINGS

    _check_free(given.host, given.port)
    command = [sys.executable, "-m", "dask", "scheduler", *Certs(given.certs).check().arguments()]
    command += [f"--host=tls://{given.host}", f"--port={given.port}"]
    command += ["--no-dashboard", "--dashboard-address=127.0.0.1:0"]
    os.environ.update(SETTINGS)
    sys.stdout.flush()
    # It is this interpreter, with arguments of our own.
    return os.execv(command[0], command)  # noqa: S606


def _check_free(host: str, port: int) -> None:
    """Say in a sentence what Dask would say in a page."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise Unavailable(
            f"The scheduler cannot listen on port {port} of {host} ({why}): end what does, or "
            "name another by --port and --host."
        ) from None
