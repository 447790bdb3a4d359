"""A gateway process of several, to be killed.

``python -m tests.gateways FOLDER DATABASE SCHEDULER`` says where it is once it serves.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tornado.netutil import bind_sockets

from mtor_kernel.gateway.app import make_app, make_server
from mtor_kernel.gateway.identity import PersonalToken
from mtor_kernel.realm.realm import Realm
from tests.realms import LINK_TOKEN, OWNER, TOKEN


@asynccontextmanager
async def gateway(
    folder: Path, database: str, scheduler: str, **more: Any
) -> AsyncIterator[tuple[Realm, str]]:
    """One gateway of several: a realm that shares `database`, and its URL."""
    realm = await Realm.open(
        folder / "data",
        catalogue_path=str(folder / "catalogue.toml"),
        database_url=database,
        shared=True,
        **more,
    )
    try:
        server = make_server(make_app(realm, PersonalToken(TOKEN, OWNER, LINK_TOKEN)))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"
        link = url.replace("http", "ws", 1) + "link"
        await realm.serve(scheduler, link_url=link, link_token=LINK_TOKEN)
        yield realm, url
        server.stop()
    finally:
        await realm.close()


async def main(folder: Path, database: str, scheduler: str) -> None:
    """Serve until killed."""
    async with gateway(folder, database, scheduler) as (realm, url):
        while not realm.workers.infos():
            await asyncio.sleep(0.05)
        print(url, realm.epoch, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
