"""``mtor sysop``: run the place, in the words of ``%mtor sysop``."""

from __future__ import annotations

import argparse
import time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    from mtor_kernel.magics.orders import describe

    describe(parser)


def run(given: argparse.Namespace) -> int:
    """Do what was ordered, and print what there is to show; 1 where the books are broken."""
    from mtor_kernel.client import connect
    from mtor_kernel.magics.orders import carry_out
    from mtor_kernel.magics.sysop_reports import check_table
    from mtor_kernel.magics.table import Table

    with connect() as realm:
        if given.verb == "check":
            found = realm.sysop.check()
            print(check_table(found).plain())
            return int(bool(found.ledger or found.audit or found.seals))
        answer = carry_out(realm, given, time.time())
    print(answer.plain() if isinstance(answer, Table) else answer)
    return 0
