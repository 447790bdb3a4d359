"""The door, where one frame of the realm answers several submissions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mtor_kernel.client.conversation import Conversation
from mtor_kernel.client.mapping.door import Door
from mtor_kernel.client.mapping.report import Report
from mtor_kernel.client.question import question
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.errors import InsufficientFunds
from mtor_kernel.protocol.ngram import (
    Admitted,
    ClientNGram,
    RealmNGram,
    Refused,
    Settled,
    Several,
    Started,
    Submit,
)
from mtor_kernel.protocol.query import Query

QUERY = question("Hello", "chat")


class Realm:
    """A client of a realm that answers when the test says so, and the door to it."""

    def __init__(self) -> None:
        self._conversation = Conversation(self._hear)
        self._submitted: asyncio.Queue[Submit] = asyncio.Queue()
        self.door = Door(self, Report([9], list), 9)  # type: ignore[arg-type]  # all it asks for
        self.asked: list[asyncio.Task[Running]] = []

    def _hear(self, ngram: ClientNGram) -> bool:
        if isinstance(ngram, Submit):
            self._submitted.put_nowait(ngram)
        return True

    async def submit_checked(self, query: Query, key: str | None = None) -> Running:
        return await self._conversation.submit(query, key or "")

    async def ask(self, *, brief: bool = False) -> str:
        """Have one more query admitted; return the id of its submission. `brief`: and ended."""
        self.asked.append(asyncio.create_task(self._admitted(str(len(self.asked)), brief)))
        return await self.submission()

    async def _admitted(self, key: str, brief: bool) -> Running:
        running = await self.door.admit(QUERY, key)
        if brief:
            self.door.ended(running)
        return running

    async def submission(self) -> str:
        return (await asyncio.wait_for(self._submitted.get(), 60)).id

    @property
    def was_asked(self) -> bool:
        """Whether something was submitted that it has not answered."""
        return not self._submitted.empty()

    def say(self, *ngrams: RealmNGram) -> None:
        """Say it all in one frame."""
        self._conversation.heard(Several(ngrams))

    async def end(self, running: Running) -> None:
        """End an admitted query, as its row does."""
        self.say(Started(running.id, 1), Settled(running.id, 1, "echo", Charge(1)))
        async with running:
            await asyncio.wait_for(running.answer(), 60)
        self.door.ended(running)


@asynccontextmanager
async def a_realm() -> AsyncIterator[Realm]:
    realm = Realm()
    try:
        yield realm
    finally:
        for one in realm.asked:
            one.cancel()
        await asyncio.gather(*realm.asked, return_exceptions=True)


def poor(submission: str) -> Refused:
    return Refused(InsufficientFunds("You have 1 credit free.").info(), submission)


def admitted(submission: str) -> Admitted:
    return Admitted(submission * 32, "echo", 5, submission)


@pytest.mark.asyncio
@pytest.mark.parametrize("refused", [0, 1])
async def test_one_refused_waits_for_those_admitted_in_the_same_frame(refused: int) -> None:
    async with a_realm() as realm:
        ids = [await realm.ask(), await realm.ask()]
        realm.say(*(poor(one) if one == ids[refused] else admitted(one) for one in ids))
        running = await realm.asked[1 - refused]
        assert not realm.was_asked
        await realm.end(running)
        realm.say(admitted(await realm.submission()))
        await realm.asked[refused]


@pytest.mark.asyncio
async def test_where_all_are_refused_all_end_at_once() -> None:
    async with a_realm() as realm:
        realm.say(*[poor(await realm.ask()) for _ in range(3)])
        for one in realm.asked:
            with pytest.raises(InsufficientFunds):
                await one
        assert not realm.was_asked


@pytest.mark.asyncio
async def test_one_refused_waits_no_longer_than_for_the_refusal_of_the_others() -> None:
    async with a_realm() as realm:
        first, second = await realm.ask(), await realm.ask()
        realm.say(poor(first))
        done, _ = await asyncio.wait(realm.asked, timeout=0.05)
        assert not done  # the other may be admitted
        realm.say(poor(second))
        for one in realm.asked:
            with pytest.raises(InsufficientFunds):
                await one
        assert not realm.was_asked


@pytest.mark.asyncio
async def test_a_refusal_from_before_an_end_is_not_the_last_word() -> None:
    async with a_realm() as realm:
        ids = [await realm.ask(), await realm.ask(brief=True), await realm.ask()]
        realm.say(admitted(ids[0]), poor(ids[1]), poor(ids[2]))
        await realm.end(await realm.asked[0])
        realm.say(admitted(await realm.submission()))  # has ended before the other is woken
        realm.say(admitted(await realm.submission()))
        await realm.asked[2]
