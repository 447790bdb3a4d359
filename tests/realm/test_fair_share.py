"""Fair shares through the whole line: who sends much waits, and nobody waits for them.

Nothing here measures time: what counts is the order in which queries began, of those that have
ended. They may end in another one: where a worker's thread is starved the next slot goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from traitlets.config import Config

from mtor_kernel.protocol.identity import Role, User
from mtor_kernel.protocol.query import Priority, Query, TableRow
from tests.plugins import HELD, HeldBackend, held
from tests.realms import OWNER, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio

#: Everybody has funds.
CONFIG = Config({"People": {"grant_credits": dict.fromkeys(("user", "contributor"), 1000.0)}})
#: Longest wait for anything that must happen, in seconds.
SOON = 60.0

LANES = """
[[models]]
name = "one"
modality = "chat"
backend = "echo"
slots = 2
rates = { query_micro = 10, input_token_micro = 1, output_token_micro = 2 }

[[models]]
name = "two"
modality = "chat"
backend = "echo"
slots = 2
rates = { query_micro = 10, input_token_micro = 1, output_token_micro = 2 }
"""
ASKED = Query.ask("one two three four", max_tokens=20)
#: What is asked of it takes a while, so that a slice is few of them.
PACED = """
[[models]]
name = "paced"
modality = "chat"
backend = "echo"
slots = 2
rates = { query_micro = 10 }
settings = { delay = 0.005 }
"""
#: The people's names in the order in which their queries began, of those that were settled.
_ORDER = sa.text(
    "SELECT person FROM query WHERE model = :model AND stage = 'settled' ORDER BY started_at, id"
)


async def submit(small: SmallRealm, user: User, model: str, count: int) -> None:
    await small.realm.arrive(user)
    await submit_all(small, user, [msgspec.structs.replace(ASKED, model=model)] * count)


async def submit_all(small: SmallRealm, user: User, asked: Sequence[Query]) -> None:
    tried = (small.realm.submit(user, query, f"{query.model}-{n}") for n, query in enumerate(asked))
    await asyncio.gather(*tried)


async def settled(small: SmallRealm, model: str) -> list[str]:
    told = {"model": model}
    return await small.realm.store.read(lambda db: list(db.scalars(_ORDER, told)))


async def until_had(small: SmallRealm, model: str, users: Sequence[User], each: int) -> list[str]:
    """Wait until each of `users` has had so many; return who had what until then, in order."""
    async with asyncio.timeout(SOON):
        while True:
            order = await settled(small, model)
            had = Counter(order)
            if all(had[user.name] >= each for user in users):
                break
            await asyncio.sleep(0.02)
    had = Counter()
    for at, name in enumerate(order):
        had[name] += 1
        if all(had[user.name] >= each for user in users):
            return order[: at + 1]
    raise AssertionError("unreachable")


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 where all have the same."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


async def test_nine_with_ten_queries_wait_as_if_the_tenth_sent_ten_on_every_lane(
    tmp_path: Path,
) -> None:
    crowd, nine = User("crowd"), [User(f"user{n}") for n in range(9)]
    async with small_realm(tmp_path, catalogue=LANES, config=CONFIG) as small:
        # All of them wait before anything starts, the thousand's worth first.
        await small.realm.sysop.drain(OWNER, "worker-0", True)
        for model in ("one", "two"):
            await submit(small, crowd, model, 150)
            for user in nine:
                await submit(small, user, model, 10)
        await small.realm.sysop.drain(OWNER, "worker-0", False)
        for model in ("one", "two"):
            order = await until_had(small, model, nine, 10)
            # The crowd has had its ten like anybody, and what ran beside the last of the nine.
            assert Counter(order)["crowd"] <= 10 + 2 + 2
            # While all waited, all had the same.
            shares = Counter(order[:80])
            assert jain([shares[user.name] for user in (crowd, *nine)]) >= 0.95
        await small.realm.sysop.stop_queries(OWNER, "crowd")
        async with asyncio.timeout(SOON):
            while small.realm.lanes.busy:
                await asyncio.sleep(0.02)
        assert await small.realm.sysop.check_books() == []


async def test_a_role_of_twice_the_weight_has_twice_the_share(tmp_path: Path) -> None:
    ann, bob = User("ann"), User("bob", Role.CONTRIBUTOR)
    async with small_realm(tmp_path, catalogue=LANES, config=CONFIG) as small:
        await small.realm.sysop.drain(OWNER, "worker-0", True)
        for user in (ann, bob):
            await submit(small, user, "one", 60)
        await small.realm.sysop.drain(OWNER, "worker-0", False)
        order = await until_had(small, "one", [ann], 25)
        had = Counter(order[:60])
        assert had["bob"] == pytest.approx(2 * had["ann"], abs=4)


async def test_who_comes_late_does_not_wait_for_what_others_sent_before(tmp_path: Path) -> None:
    crowd, late = User("crowd"), User("late")
    with held(tmp_path / "plugins", words=3):
        async with small_realm(tmp_path, catalogue=HELD, config=CONFIG) as small:
            await small.realm.arrive(crowd)
            # Twenty have three words, and are answered; the next ones stop before their fourth.
            short, long = Query.ask("one two three", max_tokens=20), ASKED
            asked = [msgspec.structs.replace(one, model="held") for one in (short, long)]
            await submit_all(small, crowd, asked[:1] * 20 + asked[1:] * 280)
            await until_had(small, "held", [crowd], 20)
            # All five have come before the next turn.
            await submit(small, late, "held", 5)
            assert len(await settled(small, "held")) == 20
            HeldBackend.let()
            order = await until_had(small, "held", [late], 5)
            # Since they came: their five, the crowd's turns between, and what ran meanwhile.
            between = Counter(order[order.index("late") :])["crowd"]
            assert between <= 5 + 2 + 2
            await small.realm.sysop.stop_queries(OWNER, "crowd")
            async with asyncio.timeout(SOON):
                while small.realm.lanes.busy:
                    await asyncio.sleep(0.02)


async def test_who_asks_about_rows_together_has_no_more_than_who_asks_one_by_one(
    tmp_path: Path,
) -> None:
    together, alone, rows = User("together"), User("alone"), 10
    asked = msgspec.structs.replace(ASKED, model="paced", priority=Priority.BATCH)
    async with small_realm(tmp_path, catalogue=PACED, config=CONFIG) as small:
        await small.realm.sysop.drain(OWNER, "worker-0", True)
        for user in (together, alone):
            await small.realm.arrive(user)
        words = asked.messages[0].text
        tables = (
            tuple(TableRow(words, f"{number}-{row}") for row in range(rows)) for number in range(60)
        )
        bundles = [msgspec.structs.replace(asked, rows=table) for table in tables]
        await submit_all(small, together, bundles)
        await submit_all(small, alone, [asked] * 600)
        await small.realm.sysop.drain(OWNER, "worker-0", False)
        had = Counter(await until_had(small, "paced", [alone], 400))
        # Both of them wait all the time, the one in slices, the other in slices of bundles.
        assert had["together"] * rows == pytest.approx(400, abs=150)
        for name in ("together", "alone"):
            await small.realm.sysop.stop_queries(OWNER, name)
        async with asyncio.timeout(SOON):
            while small.realm.lanes.busy:
                await asyncio.sleep(0.02)
        assert await small.realm.sysop.check_books() == []


@pytest.mark.slow
@pytest.mark.timeout(900)  # 4,000 queries through a line whose every part is in this process
async def test_two_hundred_people_with_twenty_queries_each_all_end_and_have_equal_shares(
    tmp_path: Path,
) -> None:
    people = [(f"token-of-{n}", User(f"person{n:03}")) for n in range(200)]
    async with small_realm(tmp_path, catalogue=LANES, people=people, config=CONFIG) as small:
        await small.realm.sysop.drain(OWNER, "worker-0", True)

        async def ask_all(token: str, number: int) -> None:
            async with small.client(token) as client:
                running = [
                    await client.submit(Query.ask(f"{number} asks {n}", "one", max_tokens=10))
                    for n in range(20)
                ]
                waiting.release()
                for query in running:
                    assert (await query.answer()).text

        waiting = asyncio.Semaphore(0)
        asked = [asyncio.create_task(ask_all(token, n)) for n, (token, _) in enumerate(people)]
        for _ in people:
            await waiting.acquire()
        await small.realm.sysop.drain(OWNER, "worker-0", False)
        await asyncio.gather(*asked)
        order = await settled(small, "one")
        assert Counter(order) == {user.name: 20 for _, user in people}
        half = Counter(order[:2000])
        assert jain([half[user.name] for _, user in people]) >= 0.95
        assert await small.realm.sysop.check_books() == []
        check = await small.realm.sysop.check(OWNER)
        assert (check.ledger, check.audit, check.seals) == ((), (), ())
        total = await small.realm.store.read(
            lambda db: db.scalar(sa.text("SELECT sum(posted_micro) FROM account"))
        )
        held = await small.realm.store.read(
            lambda db: db.scalar(sa.text("SELECT sum(held_micro) FROM account"))
        )
        assert (total, held) == (0, 0)
