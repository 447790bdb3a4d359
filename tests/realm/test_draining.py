"""A worker is drained in any moment, and no query waits for what it was about to begin there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.ngram import Requeued
from mtor_kernel.protocol.query import Query
from tests.realms import OWNER, small_realm

pytestmark = pytest.mark.asyncio


async def reasons(client: RealmClient, words: str) -> set[str]:
    """Ask, and return why attempts were void on the way to the answer."""
    running = await client.submit(Query.ask(words, "echo"))
    return {event.reason async for event in running.events() if isinstance(event, Requeued)}


async def test_what_was_about_to_begin_on_a_drained_worker_is_on_the_line_at_once(
    tmp_path: Path,
) -> None:
    async with small_realm(tmp_path) as small, small.client() as client:
        voided: set[str] = set()
        for turn in range(10):
            # More than there are slots: some are picked while the worker is drained.
            asking = [
                asyncio.create_task(reasons(client, f"{turn} {number}")) for number in range(24)
            ]
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            await small.realm.sysop.drain(OWNER, "worker-0", True)
            await small.realm.sysop.drain(OWNER, "worker-0", False)
            voided = voided.union(*await asyncio.gather(*asking))
        assert not {reason for reason in voided if "lease" in reason}
        assert await small.realm.sysop.check_books() == []
