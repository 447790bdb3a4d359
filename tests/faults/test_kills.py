"""The promises of DESIGN 3, each with something killed."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.ngram import Chunk, Requeued, Settled
from mtor_kernel.protocol.query import Query
from mtor_kernel.storage import ledger
from tests.faults.processes import RealmProcess, realm_process

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(180)]

PROMPT = " ".join(f"word{number}" for number in range(30))
#: What the paced echo answers: each of its chunks is a word and the blank after it.
ANSWER = "".join(f"word{number} " for number in range(20))


def books_of(realm: RealmProcess) -> tuple[list[str], Counter[str]]:
    """Return what is wrong with a stopped realm's ledger, and its transfers by kind."""
    engine = sa.create_engine(f"sqlite:///{realm.data / 'realm.sqlite'}")
    with engine.connect() as connection:
        kinds = Counter(connection.execute(sa.text("SELECT kind FROM transfer")).scalars())
        problems = ledger.check(connection)
    engine.dispose()
    return problems, kinds


async def linked(client: RealmClient, workers: int = 1) -> None:
    """Wait until that many workers serve."""
    async with asyncio.timeout(40):
        while sum(w.state == "well" for w in (await client.queue()).workers) < workers:
            await asyncio.sleep(0.1)


@pytest.mark.asyncio
async def test_a_killed_worker_costs_an_attempt_and_not_the_answer(tmp_path: Path) -> None:
    with realm_process(tmp_path) as realm:
        async with realm.client() as client:
            await linked(client)
            running = await client.submit(Query.ask(PROMPT, "slow"))
            text, attempts, killed = "", 1, False
            async for event in running.events():
                match event:
                    case Chunk():
                        assert event.attempt == attempts
                        text += event.text
                    case Requeued():
                        text, attempts = "", event.attempt
                    case Settled():
                        charge = event.charge
                if len(text) > 20 and not killed:
                    killed = True
                    realm.child("worker").send_signal(signal.SIGKILL)
            assert killed
            assert attempts == 2
            reply = await running.answer()
            assert text == reply.text == ANSWER
            me = await client.me()
            assert me.balance_micro == -charge.amount_micro
            assert me.held_micro == 0
        realm.stop()
        problems, kinds = books_of(realm)
        assert problems == []
        assert kinds["settle"] == 1


@pytest.mark.asyncio
async def test_a_killed_realm_forgets_no_query_and_runs_none_twice(tmp_path: Path) -> None:
    with realm_process(tmp_path) as realm:
        async with realm.client() as client:
            await linked(client)
            admitted = [
                (await client.submit(Query.ask(f"{number} {PROMPT}", "slow"), key=f"k{number}")).id
                for number in range(22)
            ]
            async with asyncio.timeout(20):
                while (await client.queue()).lanes[1].running < 2:
                    await asyncio.sleep(0.02)
            realm.kill()
        realm.start()
        async with realm.client() as client:
            for number, query in enumerate(admitted):
                again = await client.submit(
                    Query.ask(f"{number} {PROMPT}", "slow"), key=f"k{number}"
                )
                assert again.id == query
                reply = await again.answer()
                assert reply.text.startswith(f"{number} word0")
            history = await client.history(limit=100)
            assert sorted(info.id for info in history) == sorted(admitted)
            assert {info.stage for info in history} == {"settled"}
        realm.stop()
        problems, kinds = books_of(realm)
        assert problems == []
        assert kinds["hold"] == kinds["settle"] == 22


@pytest.mark.asyncio
async def test_a_client_resumes_across_a_restart_without_mixing_attempts(tmp_path: Path) -> None:
    with realm_process(tmp_path) as realm:
        async with realm.client() as client:
            await linked(client)
            running = await client.submit(Query.ask(PROMPT, "slow"), key="once")
            async for event in running.events():
                if isinstance(event, Chunk):
                    break
            realm.kill()
        realm.start()
        async with realm.client() as client:
            again = await client.submit(Query.ask(PROMPT, "slow"), key="once")
            assert again.id == running.id
            reply = await again.answer()
            assert reply.text == ANSWER
            assert reply.attempts <= 2


@pytest.mark.asyncio
async def test_a_killed_scheduler_comes_back_with_its_workers(tmp_path: Path) -> None:
    with realm_process(tmp_path) as realm:
        async with realm.client() as client:
            await linked(client)
            running = await client.submit(Query.ask(PROMPT, "slow"))
            async for event in running.events():
                if isinstance(event, Chunk):
                    break
            realm.child("scheduler").send_signal(signal.SIGKILL)
            async with asyncio.timeout(60):
                reply = await running.answer()
            assert reply.text == ANSWER
            assert (await client.me()).held_micro == 0


@pytest.mark.asyncio
async def test_a_frozen_worker_loses_its_lease_and_its_late_words_count_for_nothing(
    tmp_path: Path,
) -> None:
    with realm_process(tmp_path, workers=2) as realm:
        async with realm.client() as client:
            await linked(client, 2)
            running = await client.submit(Query.ask(PROMPT, "slow"))
            frozen = None
            text = ""
            async for event in running.events():
                if isinstance(event, Requeued):
                    text = ""
                    assert frozen is not None
                    frozen.send_signal(signal.SIGCONT)
                if isinstance(event, Chunk):
                    text += event.text
                    if frozen is None:
                        frozen = await busy_worker(client, realm)
                        frozen.send_signal(signal.SIGSTOP)
            reply = await running.answer()
            assert reply.attempts == 2
            assert text == reply.text == ANSWER
        realm.stop()
        problems, kinds = books_of(realm)
        assert problems == []
        assert kinds["settle"] == 1


async def busy_worker(client: RealmClient, realm: RealmProcess):
    """Return the process of the worker that runs something."""
    state = await client.queue()
    name = next(w.name for w in state.workers if any(model.running for model in w.served))
    return next(
        child
        for child in (realm.child("worker", 0), realm.child("worker", 1))
        if f"--name={name}" in child.cmdline()
    )
