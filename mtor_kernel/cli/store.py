"""``mtor store``: what the realm remembers, moved into another database."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    copying = verbs.add_parser(
        "copy",
        help="copy a store into an empty database, such as SQLite's into PostgreSQL",
        description="All or nothing, and the copy is checked. Stop the realm first.",
    )
    copying.add_argument(
        "--from",
        dest="source",
        metavar="URL",
        default="",
        help="the store's URL (default: realm.sqlite in the data folder)",
    )
    copying.add_argument(
        "--to",
        dest="target",
        metavar="URL",
        required=True,
        help="the empty database, such as postgresql://mtor@db.example/mtor",
    )


def run(given: argparse.Namespace) -> int:
    """Copy, and say what came over."""
    from mtor_kernel.locate import data_dir
    from mtor_kernel.storage.moving import copy

    moved = copy(given.source or f"sqlite:///{data_dir() / 'realm.sqlite'}", given.target)
    for table, count in moved.rows.items():
        print(f"{table:<20}{count:>12,}")
    print("The ledger sums to zero; audit log and seals hold.")
    print(f"The audit log's newest hash is {moved.audit_head}.")
    print(
        "Blobs are files and stay in the data folder. Set Realm.database_url, and start the realm."
    )
    return 0
