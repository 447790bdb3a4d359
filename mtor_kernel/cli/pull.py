"""``mtor pull``: the weights of a model, fetched because somebody asked."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    from dask_workers.weights import BUNDLES

    parser.add_argument("names", nargs="+", choices=sorted(BUNDLES), help="which weights")


def run(given: argparse.Namespace) -> int:
    """Fetch the weights unless they are here, and say where they are."""
    from dask_workers.weights import WeightsError, pull
    from mtor_kernel.locate import data_dir

    try:
        for name in given.names:
            print(pull(name, data_dir(), progress=lambda line: print(line, file=sys.stderr)))
    except WeightsError as error:
        print(f"mtor: {error}", file=sys.stderr)
        return 1
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
