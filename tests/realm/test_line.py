"""The whole line, in one process: submit, run, settle, follow, cancel."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtor_kernel.protocol.query import Query
from tests.realms import OWNER, small_realm


@pytest.mark.asyncio
async def test_an_answer_comes_back_and_is_settled(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small, small.client() as client:
        reply = await client.ask("hello there realm", model="echo")
        assert reply.text == "hello there realm"
        assert reply.charge.amount_micro > 0
        me = await client.me()
        assert me.balance_micro == -reply.charge.amount_micro
        assert me.held_micro == 0
        assert await small.realm.sysop.check_books() == []
