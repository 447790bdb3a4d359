"""``mtor demo``: the first notebook, run in the terminal."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("notebook", nargs="?", help="another notebook than the first")


def run(given: argparse.Namespace) -> int:
    """Run the notebook on the MTOR kernel; 0 if every cell ran."""
    from mtor_kernel.demo import main

    return main([given.notebook] if given.notebook else [])
