"""``mtor scheduler``: a Dask scheduler for a realm's workers on several machines.

The realm of one machine starts its own. This saves the arguments and settings that go with one that
stands by itself: members by certificate only, no web page, no retries and no stealing of Dask's.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


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

    command = [sys.executable, "-m", "dask", "scheduler", *Certs(given.certs).check().arguments()]
    command += [f"--host=tls://{given.host}", f"--port={given.port}"]
    command += ["--no-dashboard", "--dashboard-address=127.0.0.1:0"]
    os.environ.update(SETTINGS)
    sys.stdout.flush()
    # It is this interpreter, with arguments of our own.
    return os.execv(command[0], command)  # noqa: S606
