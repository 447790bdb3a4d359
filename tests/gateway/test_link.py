"""The workers' WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable

import pytest
from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClientConnection

from mtor_kernel.gateway.link import MAX_MALFORMED, MAX_UNREAD
from mtor_kernel.gateway.shared import Limits
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode, encode
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.link import (
    Beat,
    Bye,
    Drain,
    LinkNGram,
    Load,
    Unload,
    WorkerChunk,
    WorkerHello,
    WorkerNGram,
    WorkerOutcome,
)
from mtor_kernel.protocol.views import WorkerInfo
from mtor_kernel.realm.attempts import Attempt, Lost
from tests.gateway.helpers import ANN, BAD, SOON, Door, asking, dial, open_door
from tests.plugins import HeldBackend
from tests.realms import LINK_TOKEN, OWNER, TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

_names = (f"worker-of-test-{number}" for number in itertools.count())
#: Bytes of memory that no heartbeat has told before.
_figures = itertools.count(1_000_000)


class Worker:
    """A worker that does what a test tells it."""

    def __init__(self, door: Door, connection: WebSocketClientConnection, name: str) -> None:
        self._door = door
        self.connection = connection
        self.name = name

    @property
    def info(self) -> WorkerInfo | None:
        """What the realm thinks of it; ``None`` where it knows nothing."""
        infos = self._door.small.realm.workers.infos()
        return next((info for info in infos if info.name == self.name), None)

    @property
    def gone(self) -> bool:
        return self.info is None or self.info.state == "lost"

    async def say(self, ngram: WorkerNGram) -> None:
        await self.connection.write_message(encode(ngram))

    async def beats(self, memory: int) -> None:
        """Beat, and wait until that was heard."""
        await self.say(Beat(memory_bytes=memory))
        await until(lambda: self.info is not None and self.info.memory_bytes == memory)

    async def closed(self) -> int | None:
        """Wait until the other end closes; return the code."""
        async with asyncio.timeout(SOON):
            while await self.connection.read_message() is not None:
                pass
        return self.connection.close_code

    async def leave(self) -> None:
        self.connection.close()
        await until(lambda: self.gone)


async def link(door: Door, hello: WorkerNGram | None = None) -> Worker:
    """Open a link and say hello; the realm knows the worker when this returns."""
    name = next(_names)
    worker = Worker(door, await dial(door.ws + "link", LINK_TOKEN), name)
    await worker.say(hello or WorkerHello(name))
    if hello is None:
        await until(lambda: not worker.gone)
    return worker


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not true():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("token", "status"), [("", 401), (BAD, 401), (ANN, 403), (TOKEN, 403)])
async def test_only_workers_may_open_it(door: Door, token: str, status: int) -> None:
    with pytest.raises(HTTPClientError) as refused:
        await dial(door.ws + "link", token)
    assert refused.value.code == status


async def test_a_worker_comes_beats_and_goes(door: Door) -> None:
    worker = await link(door)
    assert worker.info is not None
    assert worker.info.state == "well"
    await worker.beats(12345)
    await worker.say(Bye("enough"))
    await until(lambda: worker.info is None)
    worker.connection.close()


async def test_a_lost_connection_is_noticed_at_once(door: Door) -> None:
    worker = await link(door)
    await worker.leave()


async def test_workers_have_no_account(door: Door) -> None:
    worker = await link(door)
    people = await door.small.realm.sysop.people(OWNER)
    assert "worker" not in {person.name for person in people}
    await worker.leave()


async def test_orders_reach_the_worker(door: Door) -> None:
    worker = await link(door)
    sysop = door.small.realm.sysop
    await sysop.drain(OWNER, worker.name, True)
    await sysop.load(OWNER, worker.name, "echo")
    await sysop.unload(OWNER, worker.name, "echo")
    heard = [
        decode(str(await worker.connection.read_message()), LinkNGram)  # type: ignore[arg-type]
        for _ in range(3)
    ]
    assert heard == [Drain(), Load("echo"), Unload("echo")]
    await worker.leave()


async def test_one_that_was_drained_is_drained_when_it_comes_back(door: Door) -> None:
    worker = await link(door)
    workers, sysop = door.small.realm.workers, door.small.realm.sysop
    await sysop.drain(OWNER, worker.name, True)
    workers.leave(workers.named(worker.name), "it was away for long")
    again = Worker(door, await dial(door.ws + "link", LINK_TOKEN), worker.name)
    await again.say(WorkerHello(worker.name))
    assert decode(await again.connection.read_message() or "", LinkNGram) == Drain(True)  # type: ignore[arg-type]
    assert again.info is not None
    assert again.info.state == "draining"
    await sysop.drain(OWNER, worker.name, False)
    assert again.info.state == "well"
    await again.leave()


async def test_one_that_was_removed_is_sent_away_and_turned_away(door: Door) -> None:
    worker = await link(door)
    sysop = door.small.realm.sysop
    await sysop.remove(OWNER, worker.name, "a test")
    assert worker.info is not None
    assert worker.info.state == "draining"
    assert await worker.closed() == 1008
    assert worker.info.state == "removed"
    again = Worker(door, await dial(door.ws + "link", LINK_TOKEN), worker.name)
    await again.say(WorkerHello(worker.name))
    assert await again.closed() == 1008
    assert "has removed" in (again.connection.close_reason or "")
    await sysop.drain(OWNER, worker.name, False)
    assert again.info is None
    welcome = Worker(door, await dial(door.ws + "link", LINK_TOKEN), worker.name)
    await welcome.say(WorkerHello(worker.name))
    await until(lambda: welcome.info is not None)
    await welcome.leave()


async def test_an_order_to_one_that_is_gone_is_no_fault(door: Door) -> None:
    worker = await link(door)
    await worker.leave()
    with contextlib.suppress(NotFound):
        await door.small.realm.sysop.load(OWNER, worker.name, "echo")


async def test_without_hello_it_is_closed(door: Door) -> None:
    limits = Limits(hello_seconds=0.05)
    async with open_door(door.small, limits=limits) as hasty:
        worker = Worker(hasty, await dial(hasty.ws + "link", LINK_TOKEN), "silent")
        assert await worker.closed() == 1008


@pytest.mark.parametrize("first", [Beat(), Bye(), WorkerChunk("0" * 32, 1, 1, 0, "x")])
async def test_something_else_than_hello_closes_it(door: Door, first: WorkerNGram) -> None:
    worker = await link(door, first)
    assert await worker.closed() == 1008


async def test_a_few_frames_without_sense_are_borne_and_then_no_more(door: Door) -> None:
    worker = await link(door)
    frames = ["nonsense", '{"op": "warp"}', '{"op": "submit"}', '{"op": "beat", "cost": 1}']
    assert len(frames) < MAX_MALFORMED
    for frame in frames:
        await worker.connection.write_message(frame)
    await worker.beats(777)
    await worker.connection.write_message(b"binary", binary=True)
    assert await worker.closed() == 1008


async def test_a_frame_that_is_too_large_closes_it(door: Door) -> None:
    worker = await link(door)
    await worker.connection.write_message(" " * (MAX_FRAME_BYTES + 1))
    assert await worker.closed() == 1009


async def test_chunks_of_an_attempt_that_it_does_not_run_change_nothing(door: Door) -> None:
    worker = await link(door)
    epoch = door.small.realm.epoch
    async with door.http() as http:
        body = asking("hello there", "slow")
        query = (await http.post("api/queries", json=body)).json()["query"]
        for attempt, of in ((1, epoch - 1), (2, epoch), (1, epoch + 1)):
            await worker.say(WorkerChunk(query, attempt, of, 0, "lies"))
        assert "lies" not in (await http.get(f"api/queries/{query}/events")).text
    await worker.leave()


@pytest.mark.usefixtures("held")
async def test_outcomes_of_an_attempt_that_it_does_not_run_change_nothing(door: Door) -> None:
    """One that nobody runs, one that a worker of the realm's own runs, and one that has ended."""
    worker = await link(door)
    epoch = door.small.realm.epoch
    async with door.http() as http, asyncio.timeout(SOON):
        body = asking("hello there", "held")
        query = (await http.post("api/queries", json=body)).json()["query"]
        while not (attempt := door.small.realm._dispatcher.current(query)) or not attempt.worker:
            await asyncio.sleep(0.005)
        length = attempt.stream.length
        for number, of in ((1, epoch - 1), (2, epoch), (1, epoch + 1), (1, epoch)):
            await worker.say(WorkerOutcome(query, number, of, length))
        await worker.beats(next(_figures))
        assert attempt.verdict is None
        HeldBackend.let()
        answered = (await http.get(f"api/queries/{query}/events")).text
        assert answered.count("event: settled") == 1
        for _ in range(2):
            await worker.say(WorkerOutcome(query, 1, epoch, length, cancelled=True))
        await worker.beats(4321)
        assert (await http.get(f"api/queries/{query}")).json()["stage"] == "settled"
    await worker.leave()


async def claimed(door: Door, worker: Worker, words: str) -> tuple[str, Attempt]:
    """Ask, and have `worker` be the first to speak of the attempt, before the one that runs it."""
    async with door.http() as http, asyncio.timeout(SOON):
        while True:
            query = (await http.post("api/queries", json=asking("x", "stuck"))).json()["query"]
            while not (attempt := door.small.realm._dispatcher.current(query)):
                await asyncio.sleep(0.005)
            await worker.say(WorkerChunk(query, 1, door.small.realm.epoch, 0, words))
            await worker.beats(next(_figures))
            if attempt.worker is not None and attempt.worker.name == worker.name:
                return query, attempt
            await http.delete(f"api/queries/{query}")


async def test_an_outcome_counts_once_the_whole_answer_is_there(door: Door) -> None:
    worker = await link(door)
    epoch, end = door.small.realm.epoch, len("the whole answer")
    query, attempt = await claimed(door, worker, "the whole")
    async with door.http() as http, asyncio.timeout(SOON):
        await worker.say(WorkerOutcome(query, 1, epoch, end))
        await worker.beats(next(_figures))
        assert attempt.verdict is None
        await worker.say(WorkerChunk(query, 1, epoch, 9, " answer"))
        await worker.say(WorkerOutcome(query, 1, epoch, end, Usage(output_tokens=3)))
        await worker.say(WorkerOutcome(query, 1, epoch, end, cancelled=True))
        told = (await http.get(f"api/queries/{query}/events")).text
        assert "event: settled" in told
        info = (await http.get(f"api/queries/{query}")).json()
    assert info["answer"]["parts"] == [{"type": "text", "text": "the whole answer"}]
    assert info["charge"]["usage"] == {"output_tokens": 3}
    await worker.leave()


async def test_what_is_sent_again_after_a_lost_connection_is_taken_once(door: Door) -> None:
    worker = await link(door)
    epoch, end = door.small.realm.epoch, len("the whole answer")
    query, _ = await claimed(door, worker, "the whole")
    async with door.http() as http, asyncio.timeout(SOON):
        for seq, words in ((0, "the"), (0, "the whole"), (4, "whole answer"), (10, "answer")):
            await worker.say(WorkerChunk(query, 1, epoch, seq, words))
        await worker.say(WorkerOutcome(query, 1, epoch, end))
        assert "event: settled" in (await http.get(f"api/queries/{query}/events")).text
        info = (await http.get(f"api/queries/{query}")).json()
    assert info["answer"]["parts"] == [{"type": "text", "text": "the whole answer"}]
    await worker.leave()


async def test_an_attempt_that_its_worker_names_no_more_is_lost_with_its_lease(door: Door) -> None:
    worker = await link(door)
    query, attempt = await claimed(door, worker, "some words")
    attempt.lease_until = before = attempt.lease_until - 5.0
    await worker.say(Beat((attempt.ref,)))
    await until(lambda: attempt.lease_until > before)
    attempt.lease_until = 0.0  # as when it has lapsed, while the worker beats
    await worker.beats(next(_figures))
    await until(lambda: attempt.verdict is not None)
    assert isinstance(attempt.verdict, Lost)
    async with door.http() as http:
        await http.delete(f"api/queries/{query}")
    await worker.leave()


async def test_one_that_does_not_read_is_cut_off(door: Door) -> None:
    worker = await link(door)
    send = door.small.realm.workers.named(worker.name).send
    for _ in range(MAX_UNREAD + 1):
        send(Load("echo"))
    assert await worker.closed() == 1008
