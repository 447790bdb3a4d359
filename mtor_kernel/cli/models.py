"""``mtor models``: what the realm answers with, and what this machine could hold besides."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument(
        "--available", action="store_true", help="list what could be pulled, and whether it fits"
    )


def run(given: argparse.Namespace) -> int:
    """Print one list or the other."""
    return _available() if given.available else _served()


def _served() -> int:
    from mtor_kernel.client import Realm
    from mtor_kernel.locate import find_or_start

    address = find_or_start()
    with Realm(address.url, address.token) as realm:
        for model in realm.models():
            what = f"stands for {', '.join(model.stands_for)}" if model.stands_for else ""
            where = "ready" if model.slots else "cannot be served here now"
            print(f"{model.name:<18} {model.modality:<14} {what or where:<26} {model.description}")
    return 0


def _available() -> int:
    from dask_workers.machine import look
    from dask_workers.weights import BUNDLES, find, spec_of
    from mtor_kernel.locate import data_dir
    from mtor_kernel.realm.catalogue import load_catalogue

    folder = data_dir()
    machine = look(folder)
    print(f"This machine has {machine}.")
    built_in = {spec.settings.get("weights"): spec for spec in load_catalogue(None).models}
    for name, known in BUNDLES.items():
        spec = spec_of(name) or built_in.get(name)
        if find(name, folder):
            verdict = "is here"
        else:
            verdict = machine.lacks(known.size_bytes, spec) or "fits: mtor pull " + name
        print(f"{name:<18} {known.size_bytes / 1e6:>6,.0f} MB  {verdict:<32} {known.model}")
    return 0
