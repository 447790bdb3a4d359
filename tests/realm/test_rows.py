"""Rows of a table through the whole line: each is answered once and paid once, whatever happens."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
import pytest_asyncio

from dask_workers.runtime import Runtime
from mtor_kernel.client import RealmClient
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, Step
from mtor_kernel.protocol.errors import (
    BackendFailed,
    BadInput,
    Expired,
    Forbidden,
    NotFound,
    QueryCancelled,
    QueryFailed,
    QuotaExceeded,
    RealmError,
    RowsKnown,
)
from mtor_kernel.protocol.identity import SCOPE_QUERY, User
from mtor_kernel.protocol.query import (
    Modality,
    Part,
    Priority,
    Query,
    RowAnswer,
    TableRow,
    answered,
    row_answers,
)
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.protocol.task import OUT_OF_TIME, ROWS_SECONDS
from tests.plugins import ReadyBackend, register
from tests.realms import OWNER, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio

#: Longest wait for anything that must happen, in seconds.
SOON = 60.0
MODEL = """
[[models]]
name = "{name}"
modality = "{modality}"
backend = "{backend}"
slots = 1
rates = {{ query_micro = 10, output_token_micro = 1 }}
settings = {{ {settings} }}
"""


def model(name: str, backend: str = "oracle", modality: str = "chat", settings: str = "") -> str:
    return MODEL.format(name=name, backend=backend, modality=modality, settings=settings)


CATALOGUE = """
[aliases]
chain = ["ill", "eye", "one"]
""" + "".join(
    [
        model("one"),
        model("ill", "echo", settings="fail = true"),
        model("eye", "echo", "vision"),
        model("vectors", "echo", "embedding").replace("output_token", "input_token"),
    ]
)
GUEST, TOKEN_OF_GUEST = User("guest", scopes=frozenset({SCOPE_QUERY})), "token-of-the-guest"
DEAF, TOKEN_OF_DEAF = User("deaf", scopes=frozenset({f"{SCOPE_QUERY}:image"})), "token-of-deaf"


class OracleBackend(ReadyBackend):
    """Says back what it is asked, a token each: ``bad``, ``broken``, ``nap`` and ``hang`` do so."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})
    #: Set when a row hangs, by whichever test.
    hangs: ClassVar[threading.Event] = threading.Event()

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        told = query.messages[-1].text
        cancelled = threading.Event()
        context.on_cancel(cancelled.set)
        if told.startswith("bad"):
            raise BadInput("Nobody can answer that: ask another.")
        if told.startswith("broken"):
            raise BackendFailed("It broke.")
        if told.startswith("nap"):
            cancelled.wait(0.01)
        if told.startswith("hang"):
            self.hangs.set()
            cancelled.wait()
            return
        yield Delta(told)
        yield Done(Usage(output_tokens=1))


@pytest_asyncio.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallRealm]:
    register(tmp_path / "plugins", monkeypatch, oracle=OracleBackend)
    OracleBackend.hangs.clear()
    people = [(TOKEN_OF_GUEST, GUEST), (TOKEN_OF_DEAF, DEAF)]
    async with small_realm(tmp_path, catalogue=CATALOGUE, people=people) as small:
        await small.realm.people.welcome(GUEST)
        await small.realm.sysop.grant(OWNER, GUEST.name, 1_000_000_000, "for the test")
        give_time(small, SOON)
        yield small
        await all_quiet(small)
        assert await small.realm.sysop.check_books() == []


@pytest_asyncio.fixture
async def guest(small: SmallRealm) -> AsyncIterator[RealmClient]:
    async with small.client(TOKEN_OF_GUEST) as client:
        yield client


def give_time(small: SmallRealm, seconds: float) -> None:
    """Have rows take so long together: as they are few here, on a slow machine too."""
    for worker in small.workers:
        for runtime in vars(worker).values():
            if isinstance(runtime, Runtime):
                runtime.rows_seconds = seconds


async def all_quiet(small: SmallRealm) -> None:
    """Wait until nothing is under way."""
    async with asyncio.timeout(SOON):
        while small.realm.lanes.busy:
            await asyncio.sleep(0.02)


def table(texts: Sequence[str], model: str = "one", run: str = "", ttl: int = 600) -> Query:
    """A query of rows; in the same `run` the same text has the same key."""
    name = run or secrets.token_hex(8)
    rows = tuple(TableRow(text, f"{name}-{text.replace(' ', '-')}") for text in texts)
    asked = Query.ask(texts[0], model)
    return msgspec.structs.replace(asked, rows=rows, priority=Priority.BATCH, ttl_seconds=ttl)


def told(parts: Sequence[Part]) -> dict[int, RowAnswer]:
    found = row_answers(parts)
    assert len({one.row for one in found}) == len(found)
    return {one.row: one for one in found}


async def spent(client: RealmClient) -> int:
    """What somebody who was given a thousand credits has spent; nothing may be held."""
    me = await client.me()
    assert me.held_micro == 0
    return 1_000_000_000 - me.balance_micro


async def hanging(small: SmallRealm) -> None:
    """Wait until a row hangs."""
    async with asyncio.timeout(SOON):
        while not OracleBackend.hangs.is_set():
            await asyncio.sleep(0.01)


async def refused(client: RealmClient, query: Query, kind: type[RealmError]) -> RealmError:
    with pytest.raises(kind) as refusal:
        await client.submit(query)
    return refusal.value


async def test_what_there_was_no_time_for_is_left_out_not_charged_and_asked_again(
    small: SmallRealm, guest: RealmClient
) -> None:
    give_time(small, ROWS_SECONDS)
    texts, charged, rounds = [f"nap {n}" for n in range(100)], 0, 0
    left = list(texts)
    while left:
        running = await guest.submit(table(left, run="nap"))
        reply = await running.answer()
        done = answered(reply.parts)
        # They come in turn: what was answered are the first of them.
        assert done == set(range(len(done)))
        assert done or reply.finish_reason != "stop"
        assert reply.finish_reason == ("stop" if len(done) == len(left) else OUT_OF_TIME)
        assert [one.parts[0].text for one in told(reply.parts).values()] == left[: len(done)]
        assert reply.charge.amount_micro == 11 * len(done)
        assert reply.charge.usage.rows == len(done)
        # Those are known from now on, and where.
        known = await refused(guest, table(left[:1], run="nap"), RowsKnown)
        assert known.details == {"0": f"{running.id}:0"}
        left, charged, rounds = left[len(done) :], charged + reply.charge.amount_micro, rounds + 1
    assert rounds > 1
    assert await spent(guest) == charged == 1100
    (day,) = await guest.usage()
    assert day.queries == 100


async def test_a_row_at_fault_is_told_and_not_charged_and_may_be_asked_again(
    small: SmallRealm, guest: RealmClient
) -> None:
    reply = await (await guest.submit(table(["one", "bad", "two"], run="r"))).answer()
    found = told(reply.parts)
    assert found[1].error is not None
    assert found[1].error.code == "bad_input"
    assert reply.charge.amount_micro == await spent(guest) == 22
    again = await (await guest.submit(table(["bad"], run="r"))).answer()
    assert (again.charge.amount_micro, again.finish_reason) == (0, "stop")


async def test_a_refusal_takes_neither_a_slot_nor_funds(
    small: SmallRealm, guest: RealmClient
) -> None:
    await (await guest.submit(table(["one", "two"], run="r"))).answer()
    before = await guest.me()
    for _ in range(5):
        await refused(guest, table(["three", "two"], run="r"), RowsKnown)
    assert await guest.me() == before
    await all_quiet(small)
    assert small.realm.lanes["one"].free(1) == 1
    assert (await guest.ask("still there", "one")).text == "still there"


async def test_a_submission_that_is_said_again_is_the_same_query(
    small: SmallRealm, guest: RealmClient
) -> None:
    asked = table(["one", "two"])
    first = await guest.submit(asked, key="k")
    await first.answer()
    again = await guest.submit(asked, key="k")
    assert (again.id, again.repeated) == (first.id, True)
    assert answered((await again.answer()).parts) == {0, 1}


async def test_a_model_that_breaks_in_the_middle_keeps_what_was_answered(
    small: SmallRealm, guest: RealmClient
) -> None:
    running = await guest.submit(table(["one", "broken", "two"], run="r"))
    reply = await running.answer()
    assert (answered(reply.parts), reply.finish_reason, reply.attempts) == ({0}, OUT_OF_TIME, 1)
    assert await spent(guest) == 11
    # Its turn comes first now: it fails by itself, and takes nobody else's money or key.
    failing = await guest.submit(table(["broken", "two"], run="r"))
    with pytest.raises(QueryFailed):
        await failing.answer()
    assert (await guest.info(failing.id)).attempt == small.realm.max_attempts
    assert await spent(guest) == 11
    small.realm.lanes["one"].record(True)
    last = await (await guest.submit(table(["two"], run="r"))).answer()
    assert answered(last.parts) == {0}


async def stopped(running: Running) -> tuple[Part, ...]:
    async with asyncio.timeout(SOON):
        await running.cancel(confirm_seconds=SOON)
        with pytest.raises(QueryCancelled):
            await running.answer()
    return running.parts


async def test_what_is_cancelled_is_charged_by_the_rows_that_were_answered(
    small: SmallRealm, guest: RealmClient
) -> None:
    running = await guest.submit(table(["one", "bad", "two", "hang", "three"], run="r"))
    await hanging(small)
    assert answered(await stopped(running)) == {0, 2}
    assert await spent(guest) == 22
    charge = (await guest.info(running.id)).charge
    assert charge is not None
    assert (charge.amount_micro, charge.usage.rows) == (22, 2)
    known = await refused(guest, table(["one", "bad", "two", "three"], run="r"), RowsKnown)
    assert known.details == {"0": f"{running.id}:0", "2": f"{running.id}:2"}
    assert answered((await (await guest.submit(table(["three"], run="r"))).answer()).parts) == {0}


async def test_what_is_cancelled_before_any_row_was_answered_costs_nothing(
    small: SmallRealm, guest: RealmClient
) -> None:
    running = await guest.submit(table(["hang", "one"], run="r"))
    waiting = await guest.submit(table(["two", "three"], run="r"))
    await hanging(small)
    assert await stopped(waiting) == ()
    assert await stopped(running) == ()
    assert await spent(guest) == 0
    assert (await (await guest.submit(table(["one", "two", "three"], run="r"))).answer()).text


async def test_what_expires_costs_nothing_and_its_rows_are_free(
    small: SmallRealm, guest: RealmClient
) -> None:
    running = await guest.submit(table(["one", "hang"], run="r", ttl=1))
    with pytest.raises(Expired):
        async with asyncio.timeout(SOON):
            await running.answer()
    assert await spent(guest) == 0
    assert answered((await (await guest.submit(table(["one"], run="r"))).answer()).parts) == {0}


async def test_the_next_of_a_chain_answers_and_one_that_takes_no_rows_is_passed_over(
    small: SmallRealm, guest: RealmClient
) -> None:
    running = await guest.submit(table(["one", "two", "three"], "chain"))
    reply = await running.answer()
    assert (reply.model, answered(reply.parts)) == ("one", {0, 1, 2})
    assert reply.charge.amount_micro == await spent(guest) == 33


async def test_texts_have_their_vectors(small: SmallRealm, guest: RealmClient) -> None:
    reply = await (await guest.submit(table(["bees", "honey"], "vectors"))).answer()
    assert answered(reply.parts) == {0, 1}
    assert reply.charge.usage.rows == 2
    assert reply.charge.usage.input_tokens > 0


async def test_everybody_has_keys_of_their_own(small: SmallRealm, guest: RealmClient) -> None:
    async with small.client() as owner:
        mine = await guest.submit(table(["one"], run="r"))
        theirs = await owner.submit(table(["one"], run="r"))
        assert mine.id != theirs.id
        await asyncio.gather(mine.answer(), theirs.answer())
        known = await refused(owner, table(["one"], run="r"), RowsKnown)
        assert known.details == {"0": f"{theirs.id}:0"}
        # Where somebody else's row was asked is no secret of theirs that could be followed.
        with pytest.raises(NotFound):
            await guest.info(theirs.id)


async def test_who_may_not_ask_hears_nothing_of_rows(small: SmallRealm) -> None:
    async with small.client(TOKEN_OF_DEAF) as deaf:
        await refused(deaf, table(["one", "two"]), Forbidden)


async def test_a_cap_on_what_runs_holds_for_rows_as_for_queries(
    small: SmallRealm, guest: RealmClient
) -> None:
    await small.realm.sysop.quota(OWNER, GUEST.name, Quotas(running=1, waiting=2))
    hangs = await guest.submit(table(["hang", "one"]))
    await hanging(small)
    waiting = [await guest.submit(table([f"{n}", "two"])) for n in range(2)]
    error = await refused(guest, table(["three"]), QuotaExceeded)
    assert isinstance(error, QuotaExceeded)
    assert error.rule == "waiting"
    await stopped(hangs)
    for one in waiting:
        assert answered((await one.answer()).parts) == {0, 1}


async def test_rows_of_a_minute_are_counted_as_queries(
    small: SmallRealm, guest: RealmClient
) -> None:
    await small.realm.sysop.quota(OWNER, GUEST.name, Quotas(queries_per_minute=5))
    await (await guest.submit(table(["1", "2", "3"]))).answer()
    error = await refused(guest, table(["4", "5", "6"]), QuotaExceeded)
    assert error.retry_after_seconds is not None
    error = await refused(guest, table([f"{n}" for n in range(6)]), QuotaExceeded)
    assert error.retry_after_seconds is None
    assert "ask for fewer rows at once" in error.message
    await (await guest.submit(table(["4", "5"]))).answer()
    with pytest.raises(QuotaExceeded):
        await guest.ask("6", "one")


async def test_a_lane_learns_of_rows_what_one_takes(small: SmallRealm, guest: RealmClient) -> None:
    lane = small.realm.lanes["one"]
    reply = await (await guest.submit(table([f"nap {n}" for n in range(40)]))).answer()
    rows = len(answered(reply.parts))
    assert lane.estimator.output_tokens == 1
    assert lane.estimator.seconds is not None
    assert lane.estimator.seconds * rows == pytest.approx(reply.running_seconds, abs=0.001)
    quote = await guest.quote(Query.ask("hello", "one"))
    assert quote.eta_seconds == 0


async def test_rows_that_were_all_refused_teach_nobody_how_quick_a_model_is(
    small: SmallRealm, guest: RealmClient
) -> None:
    await guest.ask("nap", "one")
    estimator = small.realm.lanes["one"].estimator
    before = estimator.seconds, estimator.output_tokens, estimator.work(1.0)
    await (await guest.submit(table([f"bad {n}" for n in range(100)]))).answer()
    assert (estimator.seconds, estimator.output_tokens, estimator.work(1.0)) == before
