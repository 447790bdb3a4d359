"""A realm of one's own: gateway, realm and a Dask cluster in one process and its children.

One a person, kept by a lock; found by its runtime file; gone by itself when nobody has used it for
a while and nothing waits. Its owner is its sysop, whose account has no floor.
"""

from __future__ import annotations

import asyncio
import getpass
import importlib
import logging
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable

from mtor_kernel.gateway.identity import PersonalToken
from mtor_kernel.locate import RuntimeFile
from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, Role, User
from mtor_kernel.realm.certs import Certs, ensure_certs
from mtor_kernel.realm.cluster import Cluster

if TYPE_CHECKING:
    from mtor_kernel.realm.realm import Realm

log = logging.getLogger(__name__)

#: How long one thread may keep the interpreter from another.
SWITCH_SECONDS = 0.0005
#: Others hold the lock for a moment when they look whether a realm lives.
LOCK_SECONDS = 1.0
#: What ends it in good order.
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class PersonalRealm(LoggingConfigurable):
    """Runs until it is stopped or idle. See :meth:`run`."""

    idle_seconds = Float(
        1800.0,
        min=0,
        config=True,
        help="How long nobody may have used it before it ends; 0: never. Default: 1800",
    )
    drain_seconds = Float(
        2.0, min=0, config=True, help="How long what runs may go on when it is stopped. Default: 2"
    )
    workers = Integer(1, min=0, config=True, help="Worker processes of its cluster. Default: 1")
    port = Integer(
        0, min=0, max=65535, config=True, help="Port on loopback; 0: any free one. Default: 0"
    )

    def __init__(self, data_dir: Path, file: RuntimeFile | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._data_dir = data_dir
        self._file = RuntimeFile() if file is None else file
        self._stopped = asyncio.Event()
        #: The realm, while it runs.
        self.realm: Realm | None = None

    def stop(self) -> None:
        """Have :meth:`run` return, in good order."""
        self._stopped.set()

    async def run(self, ready: Callable[[str], None] = lambda url: None) -> None:
        """Serve until stopped or idle; `ready` is told the URL once queries are taken.

        Raises
        ------
        Unavailable
            Another realm of this person runs already.
        """
        import filelock

        lock = filelock.FileLock(self._file.realm_lock)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except filelock.Timeout:
            raise Unavailable("Your realm runs already: see `mtor realm status`.") from None
        # The loop and the store's writer take turns; by default each holds on for 5 ms.
        sys.setswitchinterval(SWITCH_SECONDS)
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            await self._serve(ready)
        finally:
            lock.release()

    async def _serve(self, ready: Callable[[str], None]) -> None:
        certs = ensure_certs(self._data_dir / "tls")
        cluster = Cluster(self._data_dir / "dask", certs, workers=self.workers)
        # The cluster takes a second to come up; queries are taken, and wait, from the first moment.
        rising = asyncio.create_task(cluster.open(self._moved))
        try:
            # What a realm needs beside its cluster is half a second of imports: not before it.
            await asyncio.to_thread(importlib.import_module, "mtor_kernel.gateway.app")
            await self._beside(cluster, certs, rising, ready)
        finally:
            rising.cancel()
            await asyncio.gather(rising, return_exceptions=True)
            await cluster.close()

    async def _beside(
        self,
        cluster: Cluster,
        certs: Certs,
        rising: asyncio.Task[None],
        ready: Callable[[str], None],
    ) -> None:
        """Serve a realm beside a cluster that is coming up."""
        from mtor_kernel.gateway.app import make_app
        from mtor_kernel.gateway.serving import Door, serve
        from mtor_kernel.realm.realm import Realm

        realm = self.realm = await Realm.open(self._data_dir, parent=self)
        token, link_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        owner = User(getpass.getuser(), Role.SYSOP, frozenset({SCOPE_QUERY, SCOPE_SYSOP}))
        app = make_app(realm, PersonalToken(token, owner, link_token), stop=self.stop)

        async def join(port: int) -> None:
            place = f"127.0.0.1:{port}/"
            self._file.write(f"http://{place}", token)
            ready(f"http://{place}")
            await rising
            await realm.serve(
                cluster.address,
                security=certs.security(),
                link_url=f"ws://{place}link",
                link_token=link_token,
            )

        async def until() -> None:
            try:
                await self._until_done(realm)
            finally:
                self._file.remove()

        await serve(
            realm,
            app,
            [Door("127.0.0.1", self.port)],
            join=join,
            until=until,
            drain_seconds=self.drain_seconds,
        )

    async def _moved(self, address: str) -> None:
        if self.realm is not None:
            await self.realm.follow_scheduler(address)

    async def _until_done(self, realm: Realm) -> None:
        while not self._stopped.is_set():
            try:
                await asyncio.wait_for(self._stopped.wait(), 1.0)
            except TimeoutError:
                # Somebody may have cleaned up there, and nobody would find the realm any more.
                self._file.keep()
                idle = realm.idle_seconds()
                if self.idle_seconds and idle > self.idle_seconds:
                    log.info("nobody has used the realm for %.0f s: it ends", idle)
                    return
