"""``mtor hub``: the realm of a JupyterHub, for a supervisor of its own.

The Hub itself starts one by ``python -m mtor_kernel.hub``, which is the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    running = verbs.add_parser("run", help="run the realm of the Hub that the environment names")
    running.add_argument("--config", type=Path, help="a traitlets configuration file")


def run(given: argparse.Namespace) -> int:
    """Do what the verb says."""
    from mtor_kernel.hub.service import serve

    return serve(given.config)
