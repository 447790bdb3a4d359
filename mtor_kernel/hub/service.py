"""Run the realm of a Hub in this process."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from mtor_kernel.locate import data_dir
from mtor_kernel.protocol.errors import BadInput, RealmError

#: The exit status of a realm whose configuration cannot be followed.
MISCONFIGURED = 78


def serve(path: Path | None = None) -> int:
    """Run it until it is stopped; return the exit status, which stands in docs/operator/hub.md.

    Parameters
    ----------
    path
        Its traitlets configuration file; ``None``: the one in the data folder, if there is one.
    """
    from traitlets import TraitError

    from mtor_kernel.hub.realm import HubRealm
    from mtor_kernel.realm.configfile import file_of, read_config

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    # The Hub's library logs each sign-in there; of requests it is the paths that count, elsewhere.
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    try:
        config = read_config(path, data_dir())

        async def run() -> None:
            try:
                realm = HubRealm(data_dir(), config=config)
                await realm.run(lambda url: print(f"The realm is at {url}", flush=True))
            except TraitError as error:
                file = file_of(path, data_dir())
                raise BadInput(f"{file} cannot be followed: {error}") from None

        asyncio.run(run())
    except RealmError as error:
        print(f"mtor: {error.message}", file=sys.stderr, flush=True)
        # Only its operator can mend a fault of the configuration: a supervisor need not try again.
        return MISCONFIGURED if isinstance(error, BadInput) else 1
    return 0
