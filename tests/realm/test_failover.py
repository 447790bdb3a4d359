"""What one model of a chain fails, the next one answers, and who asked is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from traitlets.config import Config

from mtor_kernel.client import RealmClient
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.errors import BackendFailed, BadInput, Forbidden, InsufficientFunds
from mtor_kernel.protocol.identity import Role, User
from mtor_kernel.protocol.link import Served, WorkerHello
from mtor_kernel.protocol.ngram import Cancelled, Chunk, Failed, Queued, Requeued, Settled, Started
from mtor_kernel.protocol.query import Query
from tests.plugins import BusyBackend, DiceBackend, register
from tests.realms import SmallRealm, small_realm

PEOPLE = [
    ("token-of-ann", User("ann")),
    ("token-of-gus", User("gus", Role.GUEST)),
]
CONFIG = Config({"People": {"grant_credits": {"user": 0.1, "guest": 0.1}}})


def model(name: str, *lines: str, rates: str = "query_micro = 10", settings: str = "") -> str:
    fields = "\n".join(lines)
    return f"""
[[models]]
name = "{name}"
modality = "chat"
backend = "echo"
{fields}
rates = {{ {rates} }}
settings = {{ {settings} }}
"""


CATALOGUE = """
[aliases]
chat = ["cheap", "good"]
dear-chat = ["cheap", "dear"]
long-chat = ["cheap", "flaky", "good"]
club-chat = ["cheap", "club"]
waits = ["held", "good"]
away = ["solo", "good"]
dice = ["dice-1", "dice-2", "dice-3"]
""" + "".join(
    [
        model("cheap", settings="fail = true, chunks = 3, fail_after = 1"),
        model("flaky", settings="fail = true"),
        model("good", "slots = 8", rates="query_micro = 30"),
        model("dear", rates="query_micro = 90_000"),
        model("club", 'roles = ["user"]'),
        model("held", "slots = 1", settings="hang = true"),
        model("solo", settings="missing = 'it lives elsewhere'"),
        model("busy").replace('"echo"', '"busy"'),
        *(
            model(f"dice-{n}", "slots = 4", rates=f"output_token_micro = {n}").replace(
                '"echo"', '"dice"'
            )
            for n in (1, 2, 3)
        ),
    ]
)


@pytest_asyncio.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallRealm]:
    register(tmp_path / "plugins", monkeypatch, busy=BusyBackend, dice=DiceBackend)
    async with small_realm(
        tmp_path, catalogue=CATALOGUE, people=PEOPLE, config=CONFIG, max_attempts=2
    ) as small:
        yield small
        assert await small.realm.sysop.check_books() == []


@pytest_asyncio.fixture
async def ann(small: SmallRealm) -> AsyncIterator[RealmClient]:
    async with small.client("token-of-ann") as client:
        yield client


async def story(running: Running) -> list[Any]:
    async with asyncio.timeout(60):
        return [event async for event in running.events()]


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)


def break_(small: SmallRealm, name: str) -> None:
    """Have a model's breaker open, as its failures would."""
    for _ in range(5):
        small.realm.lanes[name].record(False)


@pytest.mark.asyncio
async def test_the_next_of_the_chain_answers_and_that_is_told(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ann.submit(Query.ask("hello there"))
    assert running.model == "cheap"
    events = await story(running)
    started = [event.model for event in events if isinstance(event, Started)]
    assert started == ["cheap", "good"]
    (requeued,) = [event for event in events if isinstance(event, Requeued)]
    assert requeued.reason.startswith("cheap failed, so good answers. ")
    assert requeued.attempt == 2
    settled = events[-1]
    assert isinstance(settled, Settled)
    assert (settled.model, settled.attempt) == ("good", 2)
    reply = await running.answer()
    # The words of the attempt that failed are gone, and it cost nothing.
    assert (reply.text, reply.charge.amount_micro) == ("hello there", 30)
    info = await ann.info(running.id)
    assert (info.asked, info.model) == ("chat", "good")
    me = await ann.me()
    assert (me.balance_micro, me.held_micro) == (100_000 - 30, 0)


@pytest.mark.asyncio
async def test_one_hold_covers_the_whole_chain(small: SmallRealm, ann: RealmClient) -> None:
    assert (await ann.quote(Query.ask("hello"))).hold_micro == 30
    assert (await ann.quote(Query.ask("hello", "cheap"))).hold_micro == 10
    assert (await ann.submit(Query.ask("hello", "dear-chat"))).hold_micro == 90_000


@pytest.mark.asyncio
async def test_who_has_not_the_funds_for_the_whole_chain_has_its_first_model(
    small: SmallRealm, ann: RealmClient
) -> None:
    asked = Query.ask("hello", "dear-chat")
    first = await ann.submit(asked)
    second = await ann.submit(asked)
    assert (first.hold_micro, second.hold_micro) == (90_000, 10)
    assert (await first.answer()).model == "dear"
    with pytest.raises(BackendFailed, match=r"dear could answer and may cost 0.09 credits, of"):
        await second.answer()
    with pytest.raises(InsufficientFunds):
        await ann.ask("hello", "dear")


@pytest.mark.asyncio
async def test_a_chain_is_followed_to_its_end_whatever_the_attempts(
    small: SmallRealm, ann: RealmClient
) -> None:
    reply = await ann.ask("hello", "long-chat")
    assert (reply.model, reply.attempts) == ("good", 3)


@pytest.mark.asyncio
async def test_who_names_a_model_is_answered_by_that_or_by_none(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ann.submit(Query.ask("hello", "cheap"))
    with pytest.raises(BackendFailed):
        await running.answer()
    assert {event.model for event in await story(running) if isinstance(event, Started)} == {
        "cheap"
    }


@pytest.mark.asyncio
async def test_a_model_that_is_not_for_ones_role_is_left_out(small: SmallRealm) -> None:
    async with small.client("token-of-gus") as gus:
        with pytest.raises(Forbidden, match="club is for user here, and you are guest"):
            await gus.ask("hello", "club")
        with pytest.raises(BackendFailed):
            await gus.ask("hello", "club-chat")
    async with small.client("token-of-ann") as ann:
        assert (await ann.ask("hello", "club-chat")).model == "club"


@pytest.mark.asyncio
async def test_who_waits_for_a_model_that_fails_is_moved_to_the_next(
    small: SmallRealm, ann: RealmClient
) -> None:
    blocking = await ann.submit(Query.ask("first", "held"))
    await until(lambda: small.realm.lanes["held"].attempts)
    waiting = await ann.submit(Query.ask("hello", "waits"))
    assert waiting.model == "held"
    break_(small, "held")
    reply = await waiting.answer()
    assert (reply.model, reply.text, reply.attempts) == ("good", "hello", 1)
    assert (await ann.info(waiting.id)).model == "good"
    await blocking.cancel(confirm_seconds=60)


@pytest.mark.asyncio
async def test_who_is_cancelled_while_moved_ends_once(small: SmallRealm, ann: RealmClient) -> None:
    blocking = await ann.submit(Query.ask("first", "held"))
    await until(lambda: small.realm.lanes["held"].attempts)
    waiting = [await ann.submit(Query.ask(f"hello {at}", "waits")) for at in range(20)]
    break_(small, "held")
    await asyncio.gather(*(one.cancel(confirm_seconds=60) for one in waiting))
    ends = [(await story(one))[-1] for one in waiting]
    assert len(ends) == 20
    await blocking.cancel(confirm_seconds=60)
    await until(lambda: not small.realm.lanes.places)
    assert (await ann.me()).held_micro == 0


@pytest.mark.asyncio
@pytest.mark.slow
async def test_who_waits_for_a_model_that_fails_is_told_so(
    small: SmallRealm, ann: RealmClient
) -> None:
    break_(small, "good")
    waiting = await ann.submit(Query.ask("hello", "good"))
    async with asyncio.timeout(60):
        async for event in waiting.events():
            if isinstance(event, Queued) and event.reason:
                lane = next(lane for lane in (await ann.queue()).lanes if lane.model == "good")
                if lane.trouble == event.reason:  # the seconds of both are of the same moment
                    break
    assert event.model == "good"
    assert event.reason.startswith("good fails just now; it is tried again within")
    assert lane.breaker == "open"
    # Its probe goes well after a rest, and that closes the breaker.
    async with asyncio.timeout(60):
        assert (await waiting.answer()).text == "hello"
    lane = next(lane for lane in (await ann.queue()).lanes if lane.model == "good")
    assert (lane.breaker, lane.trouble) == ("closed", "")


@pytest.mark.asyncio
async def test_a_users_own_mistake_is_no_reason_to_go_on(
    small: SmallRealm, ann: RealmClient
) -> None:
    with pytest.raises(BadInput):
        await ann.ask("hello", max_tokens=5000)


@pytest.mark.asyncio
async def test_a_service_that_is_busy_is_asked_again_when_it_said(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ann.submit(Query.ask("hello", "busy"))
    events = await story(running)
    reasons = [event.reason for event in events if isinstance(event, Queued)]
    assert any(reason.startswith("busy fails just now") for reason in reasons)
    reply = await running.answer()
    assert (reply.text, reply.attempts) == ("at last", 2)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_whatever_fails_and_is_cancelled_each_query_ends_once_and_pays_its_answer_only(
    small: SmallRealm, ann: RealmClient
) -> None:
    dice = random.Random(5)
    running = [await ann.submit(Query.ask(f"word{n}", "dice")) for n in range(60)]

    async def follow(one: Running, number: int) -> tuple[list[Any], str]:
        text = ""
        told = []
        if dice.random() < 0.2:
            asyncio.get_running_loop().call_later(dice.random(), one.stop)
        async for event in one.events():
            told.append(event)
            if isinstance(event, Requeued):
                text = ""
            elif isinstance(event, Chunk):
                text += event.text
        return told, text

    async with asyncio.timeout(120):
        stories = await asyncio.gather(*(follow(one, n) for n, one in enumerate(running)))
    spent = 0
    for number, (told, text) in enumerate(stories):
        ends = [event for event in told if isinstance(event, Settled | Cancelled | Failed)]
        assert len(ends) == 1
        info = await ann.info(running[number].id)
        spent += info.charge.amount_micro if info.charge is not None else 0
        assert info.charge is None or info.charge.amount_micro <= info.hold_micro
        if isinstance(ends[0], Settled):
            assert text == f"word{number} " * 4
            assert info.answer is not None
            assert info.answer.text == text
            price = int(ends[0].model[-1])
            assert ends[0].charge.amount_micro == 4 * price
            assert info.model == ends[0].model
    me = await ann.me()
    assert (me.balance_micro, me.held_micro) == (100_000 - spent, 0)
    assert not small.realm.lanes.places


@pytest.mark.slow
@pytest.mark.asyncio
async def test_what_only_a_worker_that_is_gone_could_answer_goes_on_elsewhere(
    small: SmallRealm, ann: RealmClient
) -> None:
    workers = small.realm.workers
    link = workers.join(WorkerHello("elsewhere", served=(Served("solo", 1),)), lambda ngram: None)
    running = await ann.submit(Query.ask("first", "away"))
    await until(lambda: small.realm.lanes["solo"].attempts)
    waiting = await ann.submit(Query.ask("second", "away"))
    assert (running.model, waiting.model) == ("solo", "solo")
    link.left()
    # The one that waits is moved once nobody has served its lane for a while; the other one when
    # its lease has lapsed.
    events = await story(waiting)
    waits = {event.reason for event in events if isinstance(event, Queued)}
    assert "no worker serves solo just now" in waits
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.reason == "solo is served by nobody just now, so good answers"
    assert (await waiting.answer()).attempts == 1
    events = await story(running)
    (requeued,) = [event for event in events if isinstance(event, Requeued)]
    assert requeued.reason.startswith("solo failed, so good answers.")
    assert (await running.answer()).text == "first"
