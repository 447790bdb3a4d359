"""A small realm, real in every part: store, realm, gateway, and a Dask cluster in this process.

The scheduler and the workers live on the test's own event loop (no TLS, no child processes), the
workers link over a real WebSocket, and the echo backend stands for a model.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Scheduler, Worker
from tornado.netutil import bind_sockets

from mtor_kernel.client import RealmClient
from mtor_kernel.gateway.app import make_app, make_server
from mtor_kernel.gateway.identity import PersonalToken
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, Role, User
from mtor_kernel.realm.realm import Realm

#: The tokens of the small realm's people.
TOKEN, LINK_TOKEN = "token-of-the-owner", "token-of-the-workers"
OWNER = User("owner", Role.SYSOP, frozenset({SCOPE_QUERY, SCOPE_SYSOP}))

#: Models for tests: one that answers at once, one that takes its time, one that never ends.
CATALOGUE = """
[aliases]
chat = ["echo"]

[[models]]
name = "echo"
modality = "chat"
backend = "echo"
slots = 8
max_output_tokens = 100000
rates = { query_micro = 10, input_token_micro = 1, output_token_micro = 2 }

[[models]]
name = "slow"
modality = "chat"
backend = "echo"
slots = 2
max_output_tokens = 100000
rates = { output_token_micro = 5 }
settings = { chunks = 20, rate = 50.0 }

[[models]]
name = "stuck"
modality = "chat"
backend = "echo"
slots = 1
rates = { output_token_micro = 5 }
settings = { hang = true }
"""


@dataclass
class SmallRealm:
    """A realm that serves at `url`, and its parts."""

    realm: Realm
    url: str
    scheduler: Scheduler
    workers: list[Worker]

    def client(self, token: str = TOKEN) -> RealmClient:
        """Return a client; close it, or use it as a context."""
        return RealmClient(self.url, token)

    def worker(self, name: str = "late") -> Worker:
        """Return one more worker; as a context it runs."""
        return _worker(self.scheduler, Path(self.realm.data_dir), name)

    async def ready(self) -> None:
        """Wait until every worker is linked."""
        async with asyncio.timeout(60):
            while len(self.realm.workers.infos()) < len(self.workers):
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def small_realm(
    folder: Path,
    *,
    catalogue: str = CATALOGUE,
    people: Sequence[tuple[str, User]] = (),
    workers: int = 1,
    who: Any = None,
    **traits: Any,
) -> AsyncIterator[SmallRealm]:
    """Open a realm in `folder`, serve it, give it a cluster, and close everything in the end.

    Parameters
    ----------
    catalogue
        TOML.
    people
        More persons than the owner, with their tokens.
    who
        An authenticator in place of the tokens.
    traits
        Of the realm, such as ``config``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "catalogue.toml"
    path.write_text(catalogue)
    async with contextlib.AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(
            Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0")
        )
        crew = [
            await stack.enter_async_context(_worker(scheduler, folder, f"worker-{number}"))
            for number in range(workers)
        ]
        realm = await Realm.open(folder / "data", catalogue_path=str(path), **traits)
        stack.push_async_callback(realm.close)
        app = make_app(realm, who or _Tokens(people))
        server = make_server(app)
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        stack.callback(server.stop)
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"
        link = url.replace("http", "ws", 1) + "link"
        await realm.serve(scheduler.address, link_url=link, link_token=LINK_TOKEN)
        small = SmallRealm(realm, url, scheduler, crew)
        await small.ready()
        yield small


def _worker(scheduler: Scheduler, folder: Path, name: str) -> Worker:
    return Worker(
        scheduler.address,
        name=name,
        nthreads=64,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        local_directory=str(folder / "dask"),
    )


class _Tokens:
    """The owner, the workers, and whoever else a test names."""

    def __init__(self, people: Sequence[tuple[str, User]]) -> None:
        self._seams = [PersonalToken(TOKEN, OWNER, LINK_TOKEN)]
        self._seams += [PersonalToken(token, user) for token, user in people]

    async def identify(self, asked: Any) -> User:
        for seam in self._seams[:-1]:
            with contextlib.suppress(Exception):
                return await seam.identify(asked)
        return await self._seams[-1].identify(asked)
