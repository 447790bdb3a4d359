"""Run the realm of a Hub in this process."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from mtor_kernel.locate import data_dir
from mtor_kernel.protocol.errors import BadInput, RealmError

#: The configuration file that is read from the data folder where none is named.
CONFIG_NAME = "realm_config.py"


def serve(path: Path | None = None) -> int:
    """Run it until it is stopped; return the exit status.

    Parameters
    ----------
    path
        Its traitlets configuration file; ``None``: the one in the data folder, if there is one.
    """
    from traitlets.config import Config
    from traitlets.config.loader import PyFileConfigLoader

    from mtor_kernel.hub.realm import HubRealm

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    # The Hub's library logs each sign-in there; of requests it is the paths that count, elsewhere.
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    config = Config()
    found = path or data_dir() / CONFIG_NAME
    try:
        if path is not None and not path.is_file():
            raise BadInput(f"There is no configuration file {path}.")
        if found.is_file():
            config = PyFileConfigLoader(found.name, path=str(found.parent)).load_config()

        async def run() -> None:
            realm = HubRealm(data_dir(), config=config)
            await realm.run(lambda url: print(f"The realm is at {url}", flush=True))

        asyncio.run(run())
    except RealmError as error:
        print(f"mtor: {error.message}", file=sys.stderr)
        return 1
    return 0
