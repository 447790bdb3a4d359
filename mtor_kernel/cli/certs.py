"""``mtor certs``: who may be a member of a cluster of several machines."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("folder", type=Path, help="where the authority and its members are kept")
    parser.add_argument("member", help="the new member, such as realm or gpu1")
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="names and addresses under which it is reached"
    )


def run(given: argparse.Namespace) -> int:
    """Sign one member, and say where what goes."""
    from mtor_kernel.realm.certs import sign_member

    certs = sign_member(given.folder, given.member, tuple(given.names))
    print(f"{certs.certificate.parent}: copy this folder to {given.member}, for its account only.")
    print(f"{given.folder / 'authority-key.pem'}: keep this off all of them. It makes members.")
    return 0
