"""``mtor pull``: the weights of a model, fetched because somebody asked."""

from __future__ import annotations

import argparse
import sys

from mtor_kernel.cli.bar import Bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    from dask_workers.weights import BUNDLES

    parser.add_argument(
        "names",
        nargs="+",
        choices=sorted(BUNDLES),
        metavar="NAME",
        help=f"which weights: {', '.join(BUNDLES)}",
    )
    parser.add_argument(
        "--mirror",
        default="",
        help="a host with the layout of huggingface.co, https only (default: $HF_ENDPOINT)",
    )


def run(given: argparse.Namespace) -> int:
    """Fetch the weights unless they are here, say where they are, and have the realm serve them."""
    from dask_workers.weights import WeightsError, enter, pull
    from mtor_kernel.locate import data_dir

    try:
        for name in given.names:
            bar = Bar(sys.stderr)
            print(pull(name, data_dir(), bar.say, bar.measure, given.mirror))
            enter(name, data_dir())
    except WeightsError as error:
        print(f"mtor: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nmtor: stopped. Ask for {name} again, and it goes on from here.", file=sys.stderr)
        return 130
    _tell_realm()
    return 0


def _tell_realm() -> None:
    """Have a running realm of one's own look anew at what it can serve."""
    from mtor_kernel.client import Realm
    from mtor_kernel.locate import RuntimeFile, is_well

    runtime = RuntimeFile().read()
    if runtime is not None and is_well(runtime):
        with Realm(runtime.url, runtime.token) as realm:
            realm.sysop("reload")
