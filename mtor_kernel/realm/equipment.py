"""What the workers of a realm are equipped with: its catalogue, and where they dial in."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from mtor_kernel.protocol.errors import BadInput, RealmError
from mtor_kernel.realm.catalogue import CatalogueFile
from mtor_kernel.realm.dispatch import Dispatcher
from mtor_kernel.realm.lanes import Lanes
from mtor_kernel.realm.tasks import make_plugin
from mtor_kernel.realm.workers import Workers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """Where workers dial in, and what they show there."""

    url: str
    token: str
    #: PEM of the authority that signed the certificate there, where that is a private one.
    ca: str | None
    #: The gateway's epoch where several share a store; else empty.
    gateway: str


class Equipment:
    """Has lanes and workers follow the catalogue's file."""

    #: Set before the workers are equipped for the first time.
    link: LinkAddress

    def __init__(
        self, catalogue_file: CatalogueFile, lanes: Lanes, workers: Workers, dispatcher: Dispatcher
    ) -> None:
        self.catalogue_file = catalogue_file
        self._lanes = lanes
        self._workers = workers
        self._dispatcher = dispatcher
        #: Held while the catalogue is read and the workers are told.
        self._reloading = asyncio.Lock()

    def plugin(self) -> Any:
        """Return what makes a Dask worker a worker of this realm."""
        link = self.link
        return make_plugin(
            link.url, link.token, self._lanes.specs, ca=link.ca, gateway=link.gateway
        )

    async def reload(self) -> None:
        """Read the catalogue again and have the workers look anew at what they can serve.

        Raises
        ------
        BadInput, OSError
            What the file says cannot be in force; what was so far still is.
        """
        async with self._reloading:
            catalogue = await asyncio.to_thread(self.catalogue_file.load)
            try:
                self._lanes.take(catalogue)
            except BadInput as error:
                self.catalogue_file.fault = error.message
                raise
            await self._equip()

    async def watch(self) -> None:
        """Take over a catalogue whose file was changed; a fault in it changes nothing."""
        if not await asyncio.to_thread(self.catalogue_file.has_changed):
            return
        try:
            await self.reload()
            log.info("the catalogue was changed, and is in force")
        except (RealmError, OSError) as error:
            log.warning("the changed catalogue is not in force: %s", error)

    async def end_retired(self) -> None:
        """End the lanes of models that were taken out, once they are empty."""
        async with self._reloading:
            if self._lanes.end_retired(time.monotonic()):
                await self._equip()

    async def _equip(self) -> None:
        """Have the workers serve what the lanes are for."""
        if self._dispatcher.tasks is not None:
            self._workers.expect(spec.name for spec in self._lanes.specs)
            await self._dispatcher.tasks.equip(self.plugin())
