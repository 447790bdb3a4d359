"""A small realm of two people inside this kernel, for the notebook on fair shares.

Everything in it is MTOR's own: gateway, realm, store, a Dask scheduler and a worker. Only the model
is played: it counts words at a fixed pace. Who asks is known by a token, as a person of a Hub is by
theirs.
"""

import asyncio
import contextlib
import logging
import secrets
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from distributed import Scheduler, Worker
from tornado.netutil import bind_sockets

from mtor_kernel.gateway.app import make_app, make_server
from mtor_kernel.gateway.identity import PersonalToken
from mtor_kernel.protocol.errors import Unauthenticated
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, Role, User
from mtor_kernel.realm.realm import Realm

#: One slot; ten words of an answer take a fifth of a second.
CATALOGUE = """
[[models]]
name = "counter"
modality = "chat"
backend = "echo"
slots = 1
rates = { output_token_micro = 1 }
settings = { chunks = 10, rate = 50.0 }
"""

SYSOP = User("sysop", Role.SYSOP, frozenset({SCOPE_QUERY, SCOPE_SYSOP}))


class Tokens:
    """Knows each person, the sysop and the worker, by a token."""

    def __init__(self, *people: str) -> None:
        self.of = {person: secrets.token_urlsafe() for person in people}
        self.link = secrets.token_urlsafe()
        self._known = [PersonalToken(token, User(name)) for name, token in self.of.items()]
        self.of["sysop"] = secrets.token_urlsafe()
        self._known.append(PersonalToken(self.of["sysop"], SYSOP))
        self._known.append(PersonalToken("", User("worker"), self.link))

    async def identify(self, request: Any) -> User:
        """Return who sent a request."""
        for one in self._known:
            with contextlib.suppress(Unauthenticated):
                return await one.identify(request)
        raise Unauthenticated("This token opens nothing here.")


@contextlib.contextmanager
def realm_of(*people: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Run a realm in a thread; yield its URL and each person's token, the sysop's too."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
    tokens, loop = Tokens(*people), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()
    with tempfile.TemporaryDirectory() as folder:
        try:
            entered = stack.enter_async_context(serving(Path(folder), tokens))
            yield asyncio.run_coroutine_threadsafe(entered, loop).result(60), tokens.of
        finally:
            asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(60)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


@contextlib.asynccontextmanager
async def serving(folder: Path, tokens: Tokens) -> AsyncIterator[str]:
    """Open a realm with one worker, and yield where it serves."""
    catalogue = folder / "catalogue.toml"
    catalogue.write_text(CATALOGUE)
    how: dict[str, Any] = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    async with contextlib.AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(Scheduler(host="127.0.0.1", port=0, **how))
        worker = Worker(scheduler.address, nthreads=4, local_directory=str(folder / "dask"), **how)
        await stack.enter_async_context(worker)
        realm = await Realm.open(folder / "data", catalogue_path=str(catalogue))
        stack.push_async_callback(realm.close)
        server = make_server(make_app(realm, tokens))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        stack.callback(server.stop)
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"
        link = url.replace("http", "ws", 1) + "link"
        await realm.serve(scheduler.address, link_url=link, link_token=tokens.link)
        while not realm.workers.infos():  # noqa: ASYNC110 a worker that links has no event
            await asyncio.sleep(0.05)
        yield url
