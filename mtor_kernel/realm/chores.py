"""What a realm does now and then, by itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtor_kernel.realm.realm import Realm

log = logging.getLogger(__name__)

#: The seconds between two times, and the doing.
Chore = tuple[float, Callable[[], Coroutine[Any, Any, None]]]

#: Between two checks of the ledger, each of which adds up every transfer.
CHECK_SECONDS = 900.0
#: Between two seals under what is new in the ledger.
SEAL_SECONDS = 60.0
#: Between two times that blobs are forgotten which nobody names.
COLLECT_SECONDS = 600.0
#: Between two looks at the catalogue's file.
WATCH_SECONDS = 1.0


def chores(realm: Realm) -> list[Chore]:
    """Return the chores of a realm."""

    async def check_books() -> None:
        problems = await realm.sysop.check_books()
        if problems:
            realm.admission_open = False
            log.critical("admission is closed, the ledger does not add up: %s", problems)

    async def collect_blobs() -> None:
        await realm.blobs.collect(time.time())

    return [
        (CHECK_SECONDS, check_books),
        (SEAL_SECONDS, realm.sysop.seal),
        (COLLECT_SECONDS, collect_blobs),
        (WATCH_SECONDS, realm.equipment.watch),
        (WATCH_SECONDS, realm.equipment.end_retired),
    ]
