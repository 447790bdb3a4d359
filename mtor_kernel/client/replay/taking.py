"""What a camera or a microphone has taken, played again in place of asking for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mtor_kernel.client.media import Media
from mtor_kernel.client.replay.here import current


async def played_or_taken(device: str, wait: Callable[[], Awaitable[Media]]) -> tuple[Media, str]:
    """Return what is recorded of a device's next use, or what `wait` brings, which is recorded.

    Also the name of the folder that keeps it; empty where nothing is recorded.

    Raises
    ------
    NotRecorded
        Nothing is recorded, and nobody may be waited for.
    """
    replay = current()
    if replay is None or not replay.on:
        return await wait(), ""
    turn = await asyncio.to_thread(replay.device_turn, device)
    folder = replay.book.shelf.folder.name
    if turn.found is not None:
        return turn.found, folder
    try:
        media = await wait()
    except BaseException:
        replay.not_taken(turn)
        raise
    return media, folder if await asyncio.to_thread(replay.keep_taken, turn, media) else ""
