"""Waits for the end of what was interrupted: a worker has a moment to heed a cancel."""

from __future__ import annotations

import asyncio
import time

from mtor_kernel.client import Realm, RealmClient
from tests.kernel.elsewhere import RealmElsewhere


async def nothing_held(client: RealmClient) -> None:
    """Return once nothing of this person's is held."""
    while (await client.me()).held_micro:
        await asyncio.sleep(0.02)


def until_nothing_is_held(realm: Realm) -> None:
    """Wait for the same by a client that waits."""
    while realm.me().held_micro:
        time.sleep(0.02)


def until_nothing_is_held_by(realm: RealmElsewhere) -> None:
    """Wait for the same of its owner's, in the thread of a realm elsewhere."""

    async def look() -> None:
        async with realm.small.client() as client:
            await nothing_held(client)

    realm.run(look())
