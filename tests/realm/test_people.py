"""People in a running realm: groups, monthly credits, bans and pauses that outlast processes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from traitlets.config import Config

from mtor_kernel.protocol.account import MICRO
from mtor_kernel.protocol.errors import AdmissionPaused, BadInput, Banned, QuotaExceeded
from mtor_kernel.protocol.identity import Role, User
from mtor_kernel.protocol.ngram import Notice, Started
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.quota import NO_LIMIT, Quotas, RuleOf
from mtor_kernel.realm import acts
from mtor_kernel.realm.realm import Realm
from mtor_kernel.storage import audit, ledger, people, quotas, settings
from tests.realms import OWNER, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio

ANN = User("ann", groups=frozenset({"physics"}))
PEOPLE = [("token-of-ann", ANN), ("token-of-bob", User("bob"))]
#: Longest wait for anything that must happen, in seconds.
SOON = 60.0


def rules(**of: Any) -> Config:
    """A configuration in which everybody has funds."""
    return Config({"People": {"grant_credits": {"user": 1.0}, **of}})


async def elsewhere(small: SmallRealm, action: str, subject: str, work: Any) -> None:
    """Do what another process of the same realm does: write it, and its row of the audit log."""

    def both(db: Connection) -> None:
        work(db)
        audit.record(db, "root", action, subject, "from elsewhere", {}, time.time())

    await small.realm.store.write(both)


async def test_a_groups_rule_goes_before_the_roles_and_the_page_says_so(tmp_path: Path) -> None:
    config = rules(
        quotas_of={"user": {"queries_per_minute": 0, "waiting": 5}},
        quotas_of_groups={"physics": {"queries_per_minute": 2}},
    )
    async with (
        small_realm(tmp_path, people=PEOPLE, config=config) as small,
        small.client("token-of-ann") as ann,
        small.client("token-of-bob") as bob,
    ):
        with pytest.raises(QuotaExceeded, match="0 queries a minute"):
            await bob.ask("hello", model="echo")
        await ann.ask("hello", model="echo")
        me = await ann.me()
        assert me.groups == ("physics",)
        told = {quota.rule: (quota.limit, quota.set_for) for quota in me.quotas}
        assert told == {"queries_per_minute": (2, "group physics"), "waiting": (5, "role user")}


async def test_a_sysop_rules_for_roles_and_groups_while_the_realm_runs(tmp_path: Path) -> None:
    config = rules(quotas_of={"user": {"queries_per_minute": 0}})
    async with (
        small_realm(tmp_path, people=PEOPLE, config=config) as small,
        small.client("token-of-ann") as ann,
        small.client("token-of-bob") as bob,
    ):
        rule = small.realm.sysop.quota
        for client in (ann, bob):
            with pytest.raises(QuotaExceeded):
                await client.ask("hello", model="echo")
        lifted = Quotas(queries_per_minute=NO_LIMIT)
        await rule(OWNER, "physics", lifted, "exam week", RuleOf.GROUP)
        await ann.ask("hello", model="echo")
        with pytest.raises(QuotaExceeded):
            await bob.ask("hello", model="echo")
        await rule(OWNER, "user", Quotas(queries_per_minute=9), kind=RuleOf.ROLE)
        await bob.ask("hello", model="echo")
        with pytest.raises(BadInput, match="no role 'wizard'"):
            await rule(OWNER, "wizard", lifted, kind=RuleOf.ROLE)
    # It holds after a restart too, and is taken back by ruling nothing.
    async with (
        small_realm(tmp_path, people=PEOPLE, config=config) as small,
        small.client("token-of-bob") as bob,
    ):
        await bob.ask("hello", model="echo")
        await small.realm.sysop.quota(OWNER, "user", None, kind=RuleOf.ROLE)
        with pytest.raises(QuotaExceeded):
            await bob.ask("hello", model="echo")


async def test_a_configuration_that_names_no_role_is_refused_at_the_start(tmp_path: Path) -> None:
    for faulty in (
        {"quotas_of": {"wizard": {}}},
        {"quotas_of": {"user": {"warp": 9}}},
        {"monthly_credits": {"everybody": 1.0}},
    ):
        with pytest.raises(BadInput, match=r"People\."):
            await Realm.open(tmp_path / "faulty", config=Config({"People": faulty}))


async def test_monthly_credits_come_once_a_month_across_restarts(tmp_path: Path) -> None:
    config = Config({"People": {"monthly_credits": {"user": 2.5}}})
    for _ in range(3):
        async with (
            small_realm(tmp_path, people=PEOPLE, config=config) as small,
            small.client("token-of-ann") as ann,
        ):
            assert (await ann.me()).balance_micro == 2_500_000
            assert await small.realm.sysop.check_books() == []


async def test_monthly_credits_come_once_to_who_knocks_often_at_the_same_time(
    tmp_path: Path,
) -> None:
    config = Config({"People": {"monthly_credits": {"user": 2.5}}})
    async with (
        small_realm(tmp_path, people=PEOPLE, config=config) as small,
        small.client("token-of-ann") as ann,
    ):
        await asyncio.gather(*(small.realm.arrive(ANN) for _ in range(20)))
        assert (await ann.me()).balance_micro == 2_500_000


async def test_who_is_banned_gets_no_monthly_credits_until_they_are_welcome(
    tmp_path: Path,
) -> None:
    first = Config({"People": {"grant_credits": {"user": 1.0}}})
    async with small_realm(tmp_path, people=PEOPLE, config=first) as small:
        await small.realm.arrive(ANN)
        await small.realm.sysop.ban(OWNER, "ann", "for a while")
    config = Config({"People": {"monthly_credits": {"user": 2.5}}})
    async with small_realm(tmp_path, people=PEOPLE, config=config) as small:
        with pytest.raises(Banned):
            await small.realm.arrive(ANN)
        balance = await small.realm.store.read(
            lambda db: ledger.balance(db, ledger.account_of("ann"))
        )
        assert balance.posted_micro == MICRO
        await small.realm.sysop.unban(OWNER, "ann")
        async with small.client("token-of-ann") as ann:
            assert (await ann.me()).balance_micro == 3_500_000


async def test_a_pause_outlasts_a_restart(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small:
        await small.realm.sysop.pause(OWNER, True, "a new GPU")
    async with small_realm(tmp_path) as small, small.client() as client:
        assert not (await client.queue()).admission_open
        with pytest.raises(AdmissionPaused):
            await client.ask("hello", model="echo")
        await small.realm.sysop.pause(OWNER, False)
        await client.ask("hello", model="echo")
    async with small_realm(tmp_path) as small, small.client() as client:
        await client.ask("hello", model="echo")


async def test_roles_groups_and_caps_are_known_of_what_waits_over_a_restart(
    tmp_path: Path,
) -> None:
    config = rules(quotas_of_groups={"physics": {"running": 1}})
    async with (
        small_realm(tmp_path, people=PEOPLE, config=config) as small,
        small.client("token-of-ann") as ann,
    ):
        for _ in range(2):
            await ann.submit(Query.ask("wait", "stuck"))
    async with small_realm(tmp_path, people=PEOPLE, config=config) as small:
        assert small.realm.people.last_seen("ann").groups == frozenset({"physics"})
        assert small.realm.people.running_cap("ann") == 1
        assert small.realm.people.running_cap("bob") is None
        await small.realm.sysop.stop_queries(OWNER, "ann")


async def test_a_ban_in_another_process_closes_open_sockets_here(tmp_path: Path) -> None:
    async with (
        small_realm(tmp_path, people=PEOPLE, config=rules()) as small,
        small.client("token-of-ann") as ann,
    ):
        running = await ann.submit(Query.ask("wait", "stuck"))
        async for event in running.events():
            if isinstance(event, Started):
                break
        now = time.time()
        await elsewhere(small, "ban", "ann", lambda db: people.ban(db, "ann", "too loud", now))
        async with asyncio.timeout(SOON):
            with pytest.raises(Banned, match="too loud"):
                await running.answer()
        with pytest.raises(Banned):
            await small.realm.submit(ANN, Query.ask("more", "echo"), "k")
        assert small.realm.lanes.busy  # to stop what runs is another act
        await elsewhere(small, "stop_queries", "ann", lambda db: None)
        async with asyncio.timeout(SOON):
            while small.realm.lanes.busy:
                await asyncio.sleep(0.01)
        await elsewhere(small, "unban", "ann", lambda db: people.unban(db, "ann"))
        async with small.client("token-of-ann") as again, asyncio.timeout(SOON):
            while True:
                try:
                    await again.ask("thank you", model="echo")
                except Banned:
                    await asyncio.sleep(0.05)
                else:
                    break


async def test_rules_pauses_and_notices_of_another_process_hold_here(tmp_path: Path) -> None:
    async with (
        small_realm(tmp_path, people=PEOPLE, config=rules()) as small,
        small.client("token-of-ann") as ann,
        small.client("token-of-bob") as bob,
    ):
        await ann.ask("hello", model="echo")
        ruled = Quotas(queries_per_minute=0)
        await elsewhere(
            small, "quota", "user", lambda db: quotas.set_override(db, "user", ruled, RuleOf.ROLE)
        )
        async with asyncio.timeout(SOON):
            while (await small.realm.me(ANN)).quotas == ():
                await asyncio.sleep(0.05)
        with pytest.raises(QuotaExceeded):
            await ann.ask("hello", model="echo")
        paused = settings.Admission(True)
        await elsewhere(small, "pause", "", lambda db: settings.set_admission(db, paused))
        async with asyncio.timeout(SOON):
            while (await bob.queue()).admission_open:
                await asyncio.sleep(0.05)
        watching = bob.watch()
        await anext(watching)
        await elsewhere(small, "notice", "", lambda db: None)
        async with asyncio.timeout(SOON):
            while not isinstance(news := await anext(watching), Notice):
                pass
        assert news.text == "from elsewhere"
        await watching.aclose()


async def test_a_notice_of_ones_own_process_is_said_once(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small, small.client() as client:
        watching = client.watch()
        await anext(watching)
        heard: list[str] = []
        await small.realm.sysop.notice(OWNER, "one")
        await small.realm.acts.look()
        await small.realm.sysop.notice(OWNER, "two")
        async with asyncio.timeout(SOON):
            async for news in watching:
                if isinstance(news, Notice):
                    heard.append(news.text)
                    if news.text == "two":
                        break
        assert heard == ["one", "two"]


async def test_who_was_kept_from_running_runs_once_the_rule_is_lifted(tmp_path: Path) -> None:
    async with (
        small_realm(tmp_path, people=PEOPLE, config=rules()) as small,
        small.client("token-of-ann") as ann,
    ):
        rule = small.realm.sysop.quota
        holding = await ann.submit(Query.ask("hold the slot", "stuck"))
        async for event in holding.events():
            if isinstance(event, Started):
                break
        waiting = await ann.submit(Query.ask("wait", "stuck"))
        await rule(OWNER, "ann", Quotas(running=0))
        assert small.realm.lanes.blocked == {"ann"}
        with pytest.raises(QuotaExceeded, match="0 queries running at once"):
            await ann.ask("hello", model="echo")
        for running in (waiting, holding):
            await running.cancel()
        async with asyncio.timeout(SOON):
            while small.realm.lanes.busy:
                await asyncio.sleep(0.02)
        await rule(OWNER, "ann", None)
        assert (await ann.ask("hello", model="echo")).text == "hello"


async def test_a_ban_may_let_what_runs_end(tmp_path: Path) -> None:
    async with (
        small_realm(tmp_path, people=PEOPLE, config=rules()) as small,
        small.client("token-of-ann") as ann,
    ):
        running = await ann.submit(Query.ask("one two three", "slow"))
        await small.realm.sysop.ban(OWNER, "ann", "later", stop=False)
        async with asyncio.timeout(SOON):
            while small.realm.lanes.busy:
                await asyncio.sleep(0.02)
        assert (await small.realm.info(ANN, running.id)).stage == "settled"


async def test_a_key_that_could_be_none_is_refused_by_the_realm_itself(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small:
        for key in ("", "with space", "ä", "x" * 129):
            with pytest.raises(BadInput, match="key"):
                await small.realm.submit(OWNER, Query.ask("hello", "echo"), key)


async def test_what_was_transferred_is_sealed_and_the_check_finds_all_whole(
    tmp_path: Path,
) -> None:
    async with small_realm(tmp_path) as small, small.client() as client:
        await client.ask("hello", model="echo")
        await small.realm.sysop.seal()
        found = await small.realm.sysop.check(OWNER)
        assert (found.ledger, found.audit, found.seals) == ((), (), ())


async def test_a_role_that_is_configured_anew_changes_who_comes(tmp_path: Path) -> None:
    async with small_realm(tmp_path, people=PEOPLE, config=rules()) as small:
        await small.realm.arrive(ANN)
        await small.realm.arrive(User("ann", Role.CONTRIBUTOR))
        found = small.realm.people.last_seen("ann")
        assert (found.role, found.groups) == (Role.CONTRIBUTOR, frozenset())


async def test_what_another_process_ruled_is_looked_for_often_enough_to_hold_within_a_second() -> (
    None
):
    assert acts.LOOK_SECONDS <= 0.5
