"""A realm beside a JupyterHub: gateway and realm in one process, its people the Hub's.

Started by the Hub (``command`` of the service) or by a supervisor of its own; either way its
environment says where the Hub is, as JupyterHub's services are told. Whoever runs it is no sysop of
it: the Hub says who is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import signal
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from traitlets import Float, Integer, Unicode
from traitlets.config import LoggingConfigurable

from mtor_kernel.gateway.app import make_app
from mtor_kernel.gateway.serving import Door, serve
from mtor_kernel.hub.pages import PAGES
from mtor_kernel.hub.people import HubPeople, SignIn
from mtor_kernel.hub.secret import kept_secret
from mtor_kernel.hub.vigil import Vigil
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.realm.certs import Certs, ensure_certs
from mtor_kernel.realm.cluster import Cluster
from mtor_kernel.realm.realm import Realm

log = logging.getLogger(__name__)

#: How long one thread may keep the interpreter from another.
SWITCH_SECONDS = 0.0005
#: Between two looks for a scheduler that is not there yet.
LOOK_SECONDS = 2.0
#: Between two times that the same is said of it.
TELL_SECONDS = 60.0
#: A scheduler that takes members by certificate only.
_TLS = re.compile(r"tls://[^/\s]+:\d+")
_DOOR = re.compile(r"[^/\s]+:\d+")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: What JupyterHub tells its services, and cannot be done without.
_NEEDED = ("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_URL")


class HubRealm(LoggingConfigurable):
    """Runs until it is stopped. See :meth:`run`."""

    workers = Integer(1, min=0, config=True, help="Worker processes of its own cluster. Default: 1")
    scheduler = Unicode(
        "",
        config=True,
        help=(
            "Address of a Dask scheduler of the operator's, such as tls://10.0.0.1:8786; empty: "
            "the realm starts one on loopback, with its workers. Default: empty"
        ),
    )
    certs = Unicode(
        "",
        config=True,
        help="Folder of the cluster's certificates; empty: its own, made at once. Default: empty",
    )
    link_bind = Unicode(
        "",
        config=True,
        help=(
            "HOST:PORT of a listener over TLS where workers of other machines dial in; empty: they "
            "dial in where the Hub's proxy does. Default: empty"
        ),
    )
    link_url = Unicode(
        "",
        config=True,
        help="Where workers dial in, wss://…/link; empty: on this machine. Default: empty",
    )
    bind = Unicode(
        "",
        config=True,
        help="Address to listen on; empty: the host of the service's URL. Default: empty",
    )
    vigil_seconds = Float(
        8.0,
        min=0.1,
        max=10.0,
        config=True,
        help="Between two looks whether who is connected still may be. Default: 8",
    )
    drain_seconds = Float(
        5.0, config=True, help="How long what runs may go on when it is stopped. Default: 5"
    )

    def __init__(self, data_dir: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._data_dir = data_dir
        self._stopped = asyncio.Event()
        #: Where the scheduler was started anew; empty while it is where it was at first.
        self._moved_to = ""
        #: The realm, while it runs.
        self.realm: Realm | None = None

    def stop(self) -> None:
        """Have :meth:`run` return, in good order."""
        self._stopped.set()

    async def run(self, ready: Callable[[str], None] = lambda url: None) -> None:
        """Serve until stopped; `ready` is told the URL once queries are taken.

        Raises
        ------
        BadInput
            The environment does not say where the Hub is.
        """
        missing = [name for name in _NEEDED if not os.environ.get(name)]
        if missing:
            raise BadInput(
                f"Set {', '.join(missing)}: the Hub does so for a service that it starts, and "
                "docs/operator/hub.md tells what to set for one that it does not."
            )
        sys.setswitchinterval(SWITCH_SECONDS)
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)
        await self._serve(ready)

    async def _serve(self, ready: Callable[[str], None]) -> None:
        self._check_addresses()
        certs = self._certificates()
        cluster = None if self.scheduler else self._cluster(certs)
        rising = asyncio.create_task(self._rise(cluster))
        try:
            await self._beside(certs, rising, ready)
        finally:
            rising.cancel()
            await asyncio.gather(rising, return_exceptions=True)
            if cluster is not None:
                await cluster.close()

    async def _beside(
        self, certs: Certs, rising: asyncio.Task[str], ready: Callable[[str], None]
    ) -> None:
        """Serve a realm beside a cluster that is coming up."""
        link_token = secrets.token_urlsafe(32)
        realm = self.realm = await Realm.open(self._data_dir, parent=self)
        place = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
        prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/services/mtor/")
        host = self.bind or place.hostname or "127.0.0.1"
        people = HubPeople(SignIn.instance(parent=self), link_token, parent=self)
        app = make_app(
            realm,
            people,
            prefix,
            metrics_token=os.environ.get("MTOR_METRICS_TOKEN", ""),
            pages=PAGES,
            cookie_secret=kept_secret(self._data_dir / "cookie-secret"),
        )
        vigil = Vigil(app.settings["gateway"], people.again, self.vigil_seconds)

        async def join(port: int) -> None:
            ready(f"http://{host}:{port}{prefix}")
            await self._join(
                realm,
                rising,
                security=certs.security(),
                link_url=self.link_url or f"ws://{_near(host)}:{port}{prefix}link",
                link_token=link_token,
                link_ca=certs.authority.read_text() if self.link_url else None,
            )

        await serve(
            realm,
            app,
            [Door(host, place.port or 80), *self._links(certs)],
            join=join,
            until=lambda: self._until_done(realm),
            drain_seconds=self.drain_seconds,
            beside=[vigil.keep()],
        )

    async def _until_done(self, realm: Realm) -> None:
        """Return when it is stopped, or another gateway has taken over what it carried."""
        ways = [
            asyncio.ensure_future(self._stopped.wait()),
            asyncio.ensure_future(realm.until_ended()),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()

    def _check_addresses(self) -> None:
        if self.scheduler and not _TLS.fullmatch(self.scheduler):
            raise BadInput(
                f"HubRealm.scheduler is {self.scheduler!r}: name one by tls://HOST:PORT. A cluster "
                "without TLS takes orders from whoever reaches it."
            )
        if self.link_bind and not _DOOR.fullmatch(self.link_bind):
            raise BadInput(
                f"HubRealm.link_bind is {self.link_bind!r}: say HOST:PORT, such as 10.0.0.1:8104."
            )

    def _certificates(self) -> Certs:
        if not self.certs:
            return ensure_certs(self._data_dir / "tls")
        return Certs(Path(self.certs)).check()

    def _cluster(self, certs: Certs) -> Cluster:
        return Cluster(self._data_dir / "dask", certs, workers=self.workers)

    async def _rise(self, cluster: Cluster | None) -> str:
        """Return the scheduler's address, once there is one."""
        if cluster is None:
            return self.scheduler
        await cluster.open(self._moved)
        return cluster.address

    async def _moved(self, address: str) -> None:
        self._moved_to = address  # also for a realm that has not joined yet
        if self.realm is not None:
            await self.realm.follow_scheduler(address)

    async def _join(self, realm: Realm, rising: asyncio.Task[str], **equipment: Any) -> None:
        """Give the realm its cluster; queries are taken, and wait, until it is there."""
        risen = await rising
        told, told_at = "", 0.0
        while True:
            address = self._moved_to or risen
            try:
                await realm.serve(address, **equipment)
            except OSError as error:
                if str(error) != told or time.monotonic() - told_at > TELL_SECONDS:
                    told, told_at = str(error), time.monotonic()
                    log.warning("no scheduler at %s yet, looking again: %s", address, error)
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return

    def _links(self, certs: Certs) -> list[Door]:
        """Return where workers of other machines dial in, over the cluster's own TLS."""
        if not self.link_bind:
            return []
        host, _, port = self.link_bind.rpartition(":")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certs.certificate, certs.key)
        return [Door(host, int(port), context)]


def _near(host: str) -> str:
    """Return where this machine itself reaches what listens on `host`."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 compared only
