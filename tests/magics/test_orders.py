"""A sysop's orders in words, in a notebook and in a terminal, carried out by a real realm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from IPython.core.error import UsageError
from traitlets.config import Config

from mtor_kernel.client import Realm
from mtor_kernel.magics.orders import RULES, carry_out, order_of
from mtor_kernel.magics.table import Table
from mtor_kernel.protocol.errors import BadInput, Banned, Forbidden, NotFound
from mtor_kernel.protocol.identity import User
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.quota import NO_LIMIT, Quotas
from tests.realms import TOKEN, SmallRealm, small_realm

PEOPLE = [("token-of-ann", User("ann", groups=frozenset({"physics"})))]
CONFIG = Config({"People": {"grant_credits": {"user": 1.0}}})


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallRealm]:
    """A realm in which Ann has been."""
    async with small_realm(tmp_path, people=PEOPLE, config=CONFIG) as small:
        await small.realm.arrive(PEOPLE[0][1])
        yield small
        assert await small.realm.sysop.check_books() == []


async def say(small: SmallRealm, words: str, token: str = TOKEN) -> str:
    """Give an order and return what is shown for it."""

    def order() -> Table | str:
        with Realm(small.url, token) as realm:
            return carry_out(realm, order_of(words), time.time())

    answer = await asyncio.to_thread(order)
    return answer.plain() if isinstance(answer, Table) else answer


@pytest.mark.asyncio
async def test_people_are_seen_banned_and_welcome_again(small: SmallRealm) -> None:
    assert "physics" in await say(small, "people")
    assert "closed to ann" in await say(small, "ban ann too many loops")
    assert "too many loops" in await say(small, "people")
    with pytest.raises(Banned, match="too many loops"):
        await small.realm.arrive(PEOPLE[0][1])
    assert "open to ann" in await say(small, "unban ann she is sorry")
    await small.realm.arrive(PEOPLE[0][1])
    with pytest.raises(NotFound):
        await say(small, "ban nobody")


@pytest.mark.asyncio
async def test_credits_are_given_and_taken(small: SmallRealm) -> None:
    assert await say(small, "grant ann 2.5 for the course") == "Gave 2.50 credits to ann."
    assert await say(small, "grant ann -1") == "Took 1.00 credits from ann."
    assert "2.50" in await say(small, "people")


@pytest.mark.asyncio
async def test_rules_are_set_one_by_one_seen_and_taken_back(small: SmallRealm) -> None:
    assert "no rule is set" in await say(small, "quota")
    await say(small, "quota ann waiting=5 --reason 'exam week'")
    shown = await say(small, "quota ann credits_per_day=2.5 running=none")
    assert "running none" in shown
    assert "waiting 5" in shown
    assert "credits_per_day 2.50" in shown
    ann = PEOPLE[0][1]
    assert small.realm.people.quotas(ann) == Quotas(credits_per_day_micro=2_500_000, waiting=5)
    await say(small, "quota --group physics tokens_per_day=9")
    await say(small, "quota --role user tokens_per_day=3 waiting=7")
    assert small.realm.people.quotas(ann).tokens_per_day == 9
    assert len((await say(small, "quota")).splitlines()) == 5
    await say(small, "quota ann --clear")
    assert small.realm.people.quotas(ann) == Quotas(tokens_per_day=9, waiting=7)


@pytest.mark.asyncio
@pytest.mark.parametrize("rule", ["warp=9", "waiting", "waiting=-1", "waiting=x", "waiting=1e400"])
async def test_a_rule_that_is_none_is_refused(small: SmallRealm, rule: str) -> None:
    with pytest.raises(BadInput):
        await say(small, f"quota ann {rule}")


@pytest.mark.asyncio
async def test_a_rule_for_nobody_is_refused(small: SmallRealm) -> None:
    for words in ("quota waiting=5", "quota --clear"):
        with pytest.raises(BadInput, match="For whom"):
            await say(small, words)


@pytest.mark.asyncio
async def test_queries_are_seen_without_what_they_are_about_and_stopped(
    small: SmallRealm,
) -> None:
    async with small.client("token-of-ann") as ann:
        await ann.submit(Query.ask("my darkest secret", "stuck"))
        shown = await say(small, "queries")
        assert "ann" in shown
        assert "secret" not in shown
        assert "secret" not in await say(small, "queries ann")
        assert await say(small, "stop ann enough") == "Stopped of ann: 1 query."
    async with asyncio.timeout(60):
        while "none" not in await say(small, "queries"):
            pass


@pytest.mark.asyncio
async def test_a_worker_admission_and_everybody_are_told(small: SmallRealm) -> None:
    await say(small, "drain worker-0 a new driver")
    assert small.realm.workers.infos()[0].state == "draining"
    await say(small, "resume worker-0")
    assert small.realm.workers.infos()[0].state == "well"
    assert "kept out" in await say(small, "remove worker-0 worn out")
    async with asyncio.timeout(60):
        while small.realm.workers.infos()[0].state != "removed":
            await asyncio.sleep(0.01)
    await say(small, "resume worker-0")
    await say(small, "pause repairs")
    assert not small.realm.admission_open
    await say(small, "unpause")
    assert small.realm.admission_open
    assert "told" in await say(small, "notice Don't panic: back at noon")
    log = await say(small, "audit -n 8")
    assert "Don't panic: back at noon" in log
    assert "a new driver" in log
    assert "worn out" in log


@pytest.mark.asyncio
async def test_the_books_are_checked(small: SmallRealm) -> None:
    assert (await say(small, "check")).count("all is well") == 3


@pytest.mark.asyncio
async def test_whoever_is_no_sysop_is_told_which_scope_it_takes(small: SmallRealm) -> None:
    for words in ("people", "audit", "grant ann 5", "queries", "check"):
        with pytest.raises(Forbidden, match="custom:mtor:sysop"):
            await say(small, words, "token-of-ann")


@pytest.mark.asyncio
@pytest.mark.parametrize("amount", ["nan", "inf", "1e999"])
async def test_what_is_no_amount_is_not_granted(small: SmallRealm, amount: str) -> None:
    with pytest.raises(BadInput, match="no amount of credits"):
        await say(small, f"grant ann {amount}")


@pytest.mark.parametrize(
    "words", ["", "dance", "ban", "grant ann lots", "quota --group a --role b"]
)
def test_an_order_that_makes_no_sense_is_refused_with_what_does(words: str) -> None:
    with pytest.raises(UsageError):
        order_of(words)


def test_every_rule_can_be_said() -> None:
    assert set(RULES.values()) == set(Quotas.__struct_fields__)
    assert NO_LIMIT == 2**53 - 1
