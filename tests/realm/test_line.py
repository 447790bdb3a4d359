"""The whole line in one process: what a query, a cancel, a deadline and a restart lead to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from traitlets.config import Config

from mtor_kernel.client import RealmClient
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.account import MICRO
from mtor_kernel.protocol.errors import (
    AdmissionPaused,
    BackendFailed,
    BadInput,
    Banned,
    Expired,
    Forbidden,
    InsufficientFunds,
    KeyConflict,
    NoModel,
    NotFound,
    QueryCancelled,
    QuotaExceeded,
    Unavailable,
    UnknownModel,
    UnknownOption,
)
from mtor_kernel.protocol.identity import SCOPE_QUERY, User
from mtor_kernel.protocol.ngram import Chunk, Queued, Started
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.quota import Quotas
from tests.realms import CATALOGUE, OWNER, SmallRealm, small_realm

PEOPLE = [
    ("token-of-ann", User("ann")),
    ("token-of-ben", User("ben")),
    ("token-of-eve", User("eve", scopes=frozenset({f"{SCOPE_QUERY}:image"}))),
]
#: Ann and Ben are users; each begins with a credit.
CONFIG = Config({"People": {"grant_credits": {"user": 1.0}}})
BROKEN = """
[[models]]
name = "broken"
modality = "chat"
backend = "echo"
rates = { output_token_micro = 5 }
settings = { fail = true }

[[models]]
name = "shaky"
modality = "chat"
backend = "echo"
rates = { output_token_micro = 5 }
settings = { chunks = 4, fail = true, fail_after = 2, fail_first = 1 }

[[models]]
name = "silent"
modality = "chat"
backend = "echo"
slots = 2
rates = { output_token_micro = 5 }
settings = { chunks = 8, hang = true, fail_after = 3 }

[[models]]
name = "absent"
modality = "chat"
backend = "echo"
rates = { output_token_micro = 5 }
settings = { missing = "its weights are not here: mtor pull absent" }
"""


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallRealm]:
    """A realm with Ann and Ben, and models that fail."""
    async with small_realm(
        tmp_path, people=PEOPLE, catalogue=CATALOGUE + BROKEN, config=CONFIG
    ) as small:
        yield small
        assert await small.realm.sysop.check_books() == []


@pytest_asyncio.fixture
async def ann(small: SmallRealm) -> AsyncIterator[RealmClient]:
    """A user's client."""
    async with small.client("token-of-ann") as client:
        yield client


@pytest_asyncio.fixture
async def owner(small: SmallRealm) -> AsyncIterator[RealmClient]:
    """The sysop's client."""
    async with small.client() as client:
        yield client


async def until(running: Running, kind: type[Any]) -> Any:
    """Wait for the first event of a kind."""
    async with asyncio.timeout(60):
        async for event in running.events():
            if isinstance(event, kind):
                return event
    raise AssertionError(f"it ended without {kind.__name__}")


@pytest.mark.asyncio
async def test_an_answer_comes_back_and_is_settled(ann: RealmClient) -> None:
    reply = await ann.ask("hello there realm", model="echo")
    assert reply.text == "hello there realm"
    # 10 for the query, and 1 and 2 a token; the echo counts words.
    usage = reply.charge.usage
    price = 10 + usage.input_tokens + 2 * usage.output_tokens
    assert reply.charge.amount_micro == price
    me = await ann.me()
    assert (me.balance_micro, me.held_micro) == (MICRO - price, 0)


@pytest.mark.asyncio
async def test_an_alias_leads_to_a_model(ann: RealmClient) -> None:
    assert (await ann.ask("hello", model="chat")).model == "echo"


@pytest.mark.asyncio
async def test_a_running_query_is_cancelled_and_what_was_published_is_charged(
    ann: RealmClient,
) -> None:
    running = await ann.submit(Query.ask("one two three four five six seven eight", "silent"))
    await until(running, Chunk)
    assert (await ann.me()).held_micro > 0
    async with asyncio.timeout(60):
        await running.cancel()
        with pytest.raises(QueryCancelled):
            await running.answer()
    me = await ann.me()
    assert me.held_micro == 0
    assert 0 < MICRO - me.balance_micro <= 8 * 5
    info = await ann.info(running.id)
    assert info.stage == "cancelled"
    assert info.answer is not None
    assert info.answer.text.startswith("one")


@pytest.mark.asyncio
async def test_dask_is_asked_to_try_nothing_again(small: SmallRealm, ann: RealmClient) -> None:
    running = await ann.submit(Query.ask("go", "stuck"))
    await until(running, Started)
    async with asyncio.timeout(60):
        while not (tasks := list(small.scheduler.tasks.values())):
            await asyncio.sleep(0.01)
    assert [task.retries for task in tasks] == [0]
    await running.cancel()


@pytest.mark.asyncio
async def test_a_waiting_query_is_cancelled_for_nothing(ann: RealmClient) -> None:
    first = await ann.submit(Query.ask("hold the only slot", "stuck"))
    await until(first, Started)
    second = await ann.submit(Query.ask("wait behind it", "stuck"))
    assert (await until(second, Queued)).position == 0
    await second.cancel()
    with pytest.raises(QueryCancelled):
        await second.answer()
    await first.cancel()
    me = await ann.me()
    assert (me.balance_micro, me.held_micro) == (MICRO, 0)


@pytest.mark.asyncio
async def test_a_cancelled_query_stays_cancelled_however_often_one_says_so(
    ann: RealmClient,
) -> None:
    running = await ann.submit(Query.ask("again and again", "silent"))
    await asyncio.gather(*(ann.cancel(running.id) for _ in range(5)))
    with pytest.raises(QueryCancelled):
        await running.answer()
    await ann.cancel(running.id)
    assert (await ann.info(running.id)).stage == "cancelled"


@pytest.mark.asyncio
async def test_an_attempt_whose_link_was_cut_ends_by_the_result_of_its_task(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ann.submit(Query.ask("one two three", "slow"))
    await until(running, Chunk)
    small.workers[0].mtor.disconnect(None)  # type: ignore[attr-defined]
    reply = await running.answer()
    assert (reply.attempts, reply.finish_reason) == (1, "stop")
    assert reply.text.split()[:3] == ["one", "two", "three"]


@pytest.mark.asyncio
async def test_a_query_expires_while_it_runs(ann: RealmClient) -> None:
    with pytest.raises(Expired):
        await ann.ask("for ever", model="stuck", ttl_seconds=1)
    me = await ann.me()
    assert (me.balance_micro, me.held_micro) == (MICRO, 0)


@pytest.mark.asyncio
async def test_a_query_expires_while_it_waits(ann: RealmClient) -> None:
    first = await ann.submit(Query.ask("hold the only slot", "stuck"))
    with pytest.raises(Expired):
        await ann.ask("wait", model="stuck", ttl_seconds=1)
    await first.cancel()


@pytest.mark.asyncio
async def test_a_backend_that_fails_every_time_fails_the_query_and_costs_nothing(
    ann: RealmClient,
) -> None:
    with pytest.raises(BackendFailed):
        await ann.ask("try", model="broken")
    info = (await ann.history())[0]
    assert (info.stage, info.attempt) == ("failed", 3)
    assert (await ann.me()).balance_micro == MICRO


@pytest.mark.asyncio
async def test_a_backend_that_fails_once_is_tried_again(ann: RealmClient) -> None:
    reply = await ann.ask("one two three four", model="shaky")
    assert reply.attempts == 2
    assert reply.text.split() == ["one", "two", "three", "four"]


@pytest.mark.asyncio
async def test_what_nobody_can_serve_is_refused_with_the_command_that_mends_it(
    ann: RealmClient,
) -> None:
    with pytest.raises(NoModel, match="mtor pull absent"):
        await ann.ask("hello", model="absent")


@pytest.mark.asyncio
async def test_what_waited_for_a_worker_fails_once_the_worker_says_that_it_cannot(
    tmp_path: Path,
) -> None:
    async with (
        small_realm(tmp_path, catalogue=CATALOGUE + BROKEN, workers=0) as small,
        small.client() as client,
    ):
        running = await client.submit(Query.ask("hello", "absent"))
        other = await client.submit(Query.ask("hello", "echo"))
        async with small.worker():
            with pytest.raises(NoModel, match="mtor pull absent"):
                await running.answer()
            assert (await other.answer()).text == "hello"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "how"),
    [
        (UnknownModel, {"model": "ecco"}),
        (UnknownOption, {"model": "echo", "steps": 4}),
        (UnknownOption, {"model": "echo", "max_tokens": 900_000}),
    ],
)
async def test_a_question_that_is_wrong_is_refused_and_leaves_nothing(
    ann: RealmClient, error: type[Exception], how: dict[str, Any]
) -> None:
    with pytest.raises(error):
        await ann.ask("hello", **how)
    assert await ann.history() == []
    assert (await ann.me()).held_micro == 0


@pytest.mark.asyncio
async def test_the_same_key_is_the_same_query_and_another_body_a_conflict(
    ann: RealmClient,
) -> None:
    first = await ann.submit(Query.ask("hello", "echo"), key="k")
    reply = await first.answer()
    again = await ann.submit(Query.ask("hello", "echo"), key="k")
    assert again.id == first.id
    assert (await again.answer()).text == reply.text
    with pytest.raises(KeyConflict):
        await ann.submit(Query.ask("goodbye", "echo"), key="k")
    assert len(await ann.history()) == 1


@pytest.mark.asyncio
async def test_what_was_admitted_is_not_refused_when_it_is_said_again(tmp_path: Path) -> None:
    config = Config({"Intake": {"max_waiting": 1}})
    async with small_realm(tmp_path, config=config) as small, small.client() as client:
        first = await client.submit(Query.ask("hello", "stuck"), key="k")
        with pytest.raises(QuotaExceeded):
            await client.submit(Query.ask("hello", "stuck"), key="another")
        again = await client.submit(Query.ask("hello", "stuck"), key="k")
        assert again.id == first.id
        with pytest.raises(KeyConflict):
            await client.submit(Query.ask("goodbye", "stuck"), key="k")
        await first.cancel()


@pytest.mark.asyncio
async def test_of_fifty_at_once_funds_for_ten_admit_ten(
    small: SmallRealm, ann: RealmClient
) -> None:
    query = Query.ask("hello there", "stuck")
    hold = (await ann.quote(query)).hold_micro
    await small.realm.sysop.grant(OWNER, "ann", 10 * hold + hold // 2 - MICRO, "for ten")
    tried = await asyncio.gather(*(ann.submit(query) for _ in range(50)), return_exceptions=True)
    admitted = [running for running in tried if isinstance(running, Running)]
    refused = [error for error in tried if isinstance(error, InsufficientFunds)]
    assert (len(admitted), len(refused)) == (10, 40)
    await asyncio.gather(*(running.cancel() for running in admitted))


@pytest.mark.asyncio
async def test_anothers_query_is_as_unknown_as_none(small: SmallRealm, ann: RealmClient) -> None:
    mine = await ann.submit(Query.ask("secret", "echo"))
    await mine.answer()
    async with small.client("token-of-ben") as ben:
        for ask in (ben.info, ben.cancel):
            with pytest.raises(NotFound) as foreign:
                await ask(mine.id)
            with pytest.raises(NotFound) as unknown:
                await ask("0" * 32)
            assert foreign.value.message.replace(mine.id, "0" * 32) == unknown.value.message
        assert await ben.history() == []


@pytest.mark.asyncio
async def test_a_scope_for_pictures_asks_no_chat(small: SmallRealm) -> None:
    with pytest.raises(Forbidden, match="custom:mtor:query"):
        await small.realm.submit(PEOPLE[2][1], Query.ask("hello", "echo"), "k")


@pytest.mark.asyncio
async def test_quotas_refuse_with_their_rule_and_a_sysop_may_lift_them(
    small: SmallRealm, ann: RealmClient
) -> None:
    sysop = small.realm.sysop
    await ann.ask("make Ann known", model="echo")
    await sysop.quota(OWNER, "ann", Quotas(queries_per_minute=2))
    await ann.ask("one more passes", model="echo")
    with pytest.raises(QuotaExceeded) as refusal:
        await ann.ask("and this one does not", model="echo")
    assert refusal.value.rule == "queries_per_minute"
    assert 0 < (refusal.value.retry_after_seconds or 0) <= 60
    await sysop.quota(OWNER, "ann", None)
    await ann.ask("lifted", model="echo")


@pytest.mark.asyncio
async def test_a_cap_of_running_queries_keeps_the_others_waiting(
    small: SmallRealm, ann: RealmClient
) -> None:
    await ann.ask("make Ann known", model="echo")
    await small.realm.sysop.quota(OWNER, "ann", Quotas(running=1))
    running = [await ann.submit(Query.ask("one two three", model)) for model in ("silent", "echo")]
    await until(running[0], Started)
    assert (await ann.info(running[1].id)).stage == "queued"
    await running[0].cancel()
    assert (await running[1].answer()).text


@pytest.mark.asyncio
async def test_a_ban_closes_open_sockets_and_stops_what_runs(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ann.submit(Query.ask("one two three", "stuck"))
    await until(running, Started)
    async with asyncio.timeout(60):
        await small.realm.sysop.ban(OWNER, "ann", "too loud")
        with pytest.raises((Banned, QueryCancelled)):
            await running.answer()
    with pytest.raises(Banned):
        await ann.ask("let me in", model="echo")
    async with asyncio.timeout(60):
        while small.realm.lanes.busy:
            await asyncio.sleep(0.01)
    await small.realm.sysop.unban(OWNER, "ann")
    async with small.client("token-of-ann") as again:
        assert (await again.ask("thank you", model="echo")).text == "thank you"


@pytest.mark.asyncio
async def test_paused_admission_takes_nothing_new_and_ends_what_runs(
    small: SmallRealm, ann: RealmClient, owner: RealmClient
) -> None:
    running = await ann.submit(Query.ask("one two three", "slow"))
    await owner.sysop("pause", on=True)
    with pytest.raises(AdmissionPaused):
        await ann.ask("hello", model="echo")
    assert (await running.answer()).text.split()[:3] == ["one", "two", "three"]
    await owner.sysop("pause", on=False)
    assert (await ann.ask("hello", model="echo")).text == "hello"


@pytest.mark.asyncio
async def test_a_drained_worker_takes_nothing_new(small: SmallRealm, ann: RealmClient) -> None:
    sysop = small.realm.sysop
    running = await ann.submit(Query.ask("one two three", "slow"))
    await until(running, Chunk)
    await sysop.drain(OWNER, "worker-0", True)
    waiting = await ann.submit(Query.ask("later", "echo"))
    assert (await running.answer()).text.split()[:3] == ["one", "two", "three"]
    assert (await ann.info(waiting.id)).stage == "queued"
    await sysop.drain(OWNER, "worker-0", False)
    assert (await waiting.answer()).text == "later"


@pytest.mark.asyncio
async def test_the_catalogue_is_read_again_without_a_restart(
    small: SmallRealm, ann: RealmClient, tmp_path: Path
) -> None:
    with pytest.raises(UnknownModel):
        await ann.ask("hello", model="parrot")
    parrot = CATALOGUE.replace('name = "stuck"', 'name = "parrot"').replace("hang = true", "")
    (tmp_path / "catalogue.toml").write_text(parrot)
    await small.realm.sysop.reload(OWNER)
    assert (await ann.ask("hello", model="parrot")).text == "hello"


@pytest.mark.asyncio
async def test_a_catalogue_that_is_read_again_costs_no_attempt(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ann.submit(Query.ask("one two three", "slow"))
    await until(running, Chunk)
    for _ in range(3):
        await small.realm.sysop.reload(OWNER)
    reply = await running.answer()
    assert reply.attempts == 1
    assert reply.text.split()[:3] == ["one", "two", "three"]


@pytest.mark.asyncio
async def test_a_sysop_cannot_lock_the_realm_from_outside(
    small: SmallRealm, owner: RealmClient
) -> None:
    with pytest.raises(BadInput, match="ban yourself"):
        await small.realm.sysop.ban(OWNER, OWNER.name)
    assert (await owner.me()).user == OWNER.name


@pytest.mark.asyncio
async def test_a_store_that_cannot_write_for_a_while_loses_nothing(
    small: SmallRealm, ann: RealmClient
) -> None:
    """The database is made read-only under the realm, as a full quota does, and writable again."""
    await ann.ask("make Ann known", model="echo")
    running = [await ann.submit(Query.ask(f"{n} of six", "slow")) for n in range(6)]
    await until(running[0], Chunk)
    await small.realm.store.write(lambda db: db.exec_driver_sql("PRAGMA query_only = ON"))
    with pytest.raises(Unavailable):
        await ann.ask("not now", model="echo")
    async with asyncio.timeout(60):
        while small.realm.state().lanes[1].running:
            await asyncio.sleep(0.02)
    with contextlib.suppress(Unavailable):
        await small.realm.store.write(lambda db: db.exec_driver_sql("PRAGMA query_only = OFF"))
    for number, query in enumerate(running):
        assert (await query.answer()).text.startswith(f"{number} of six")


@pytest.mark.asyncio
async def test_a_realm_that_closed_in_good_order_goes_on_where_it_was(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small, small.client() as client:
        held = await client.submit(Query.ask("hold both", "slow"), key="a")
        waiting = [await client.submit(Query.ask(f"n{n}", "slow"), key=f"w{n}") for n in range(4)]
        await until(held, Chunk)
    async with small_realm(tmp_path) as small, small.client() as client:
        for query in (held, *waiting):
            async with asyncio.timeout(60):
                while (await client.info(query.id)).stage != "settled":
                    await asyncio.sleep(0.02)
        assert await small.realm.sysop.check_books() == []
        assert len(await client.history()) == 5


@pytest.mark.asyncio
async def test_every_act_of_the_sysop_is_in_the_audit_log(
    small: SmallRealm, ann: RealmClient
) -> None:
    sysop = small.realm.sysop
    await ann.me()
    await sysop.pause(OWNER, True, "maintenance")
    await sysop.pause(OWNER, False)
    await sysop.grant(OWNER, "ann", MICRO, "thanks")
    acts = [entry.action for entry in await sysop.audit(OWNER)]
    assert acts[:3] == ["grant", "unpause", "pause"]
    with pytest.raises(Forbidden):
        await sysop.audit(PEOPLE[0][1])
