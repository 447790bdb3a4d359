"""``mtor worker``: a Dask worker with as many threads as its models have slots.

Any ``dask worker`` that joins the scheduler becomes a worker of the realm by the plugin that the
realm registers; this command saves the arguments that go with it: no nanny (a supervisor starts it
again), no memory limit (weights are mapped files), no web page.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("scheduler", help="address of the Dask scheduler: tls://host:8786")
    parser.add_argument("--name", help="unique among the workers (default: Dask's choice)")
    parser.add_argument("--threads", type=int, default=64, help="attempts at once (default: 64)")
    parser.add_argument(
        "--memory-mb", type=int, help="RAM for models (default: most of what there is)"
    )
    parser.add_argument("--vram-mb", type=int, help="the same of the GPU's memory")
    parser.add_argument("--certs", type=Path, help="folder of its certificates, by `mtor certs`")
    parser.add_argument("--tls-ca-file", help="the authority of the cluster, PEM")
    parser.add_argument("--tls-cert", help="this member's certificate, PEM")
    parser.add_argument("--tls-key", help="its key, PEM")
    parser.add_argument("--host", help="address to listen on")


def run(given: argparse.Namespace) -> int:
    """Become ``dask worker``."""
    from mtor_kernel.realm.certs import Certs, check_files, recognise

    if given.certs is not None:
        certs = Certs(given.certs).check()
        given.tls_ca_file, given.tls_cert = str(certs.authority), str(certs.certificate)
        given.tls_key = str(certs.key)
    if given.scheduler.startswith("tls://") and not (given.tls_cert and given.tls_key):
        print(
            "mtor: a tls:// scheduler takes members only: give --certs, or "
            "--tls-ca-file, --tls-cert and --tls-key.",
            file=sys.stderr,
        )
        return 2
    if given.tls_ca_file and given.tls_cert and given.tls_key:
        files = [Path(each) for each in (given.tls_ca_file, given.tls_cert, given.tls_key)]
        check_files(*files)
        recognise(given.scheduler, *files)
    command = [sys.executable, "-m", "dask", "worker", given.scheduler]
    command += [f"--nthreads={given.threads}", "--no-nanny", "--memory-limit=0", "--no-dashboard"]
    for option in ("name", "tls_ca_file", "tls_cert", "tls_key", "host"):
        value = getattr(given, option)
        if value:
            command.append(f"--{option.replace('_', '-')}={value}")
    for option in ("memory_mb", "vram_mb"):
        value = getattr(given, option)
        if value is not None:
            os.environ[f"MTOR_{option.upper()}"] = str(value)
    sys.stdout.flush()
    # It is this interpreter, with arguments of our own.
    return os.execv(command[0], command)  # noqa: S606
