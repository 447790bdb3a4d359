"""A map that was broken off goes on where it stopped, whoever broke it off."""

from __future__ import annotations

import _thread
import asyncio
import math
import subprocess
import sys
import threading
import uuid
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtor_kernel.client import Realm, RealmClient
from mtor_kernel.client.mapping.report import NOT_ASKED
from mtor_kernel.protocol.errors import InsufficientFunds
from mtor_kernel.protocol.identity import User
from tests.holds import nothing_held, until_nothing_is_held
from tests.kernel.elsewhere import RealmElsewhere
from tests.led import LedBackend
from tests.realms import TOKEN, small_realm

ROOT = Path(__file__).parents[3]
#: What echo gives back as it came.
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)
PROPERTY = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@PROPERTY
@given(texts=st.lists(WORDS, min_size=1, max_size=12), window=st.integers(1, 8))
def test_answers_come_in_the_order_of_the_rows(realm: Realm, texts: list[str], window: int) -> None:
    assert realm.map("{x}", texts, window=window, progress=False) == texts


@PROPERTY
@given(rows=st.lists(st.sampled_from("abcd"), min_size=2, max_size=10), data=st.data())
def test_only_what_is_missing_is_asked_and_charged(
    realm: Realm, rows: list[str], data: st.DataObject
) -> None:
    first = data.draw(st.lists(st.sampled_from(rows), min_size=1, max_size=len(rows)))
    name = uuid.uuid4().hex
    realm.map("{x}", first, run=name, progress=False)
    before = realm.me().balance_micro
    assert realm.map("{x}", rows, run=name, progress=False) == rows
    report = realm.last_map
    assert report is not None
    known = (Counter(first) & Counter(rows)).total()
    assert (report.done, report.earlier) == (len(rows), known)
    assert before - realm.me().balance_micro == report.charged_micro
    assert (report.charged_micro == 0) == (known == len(rows))


def test_an_interrupt_keeps_what_is_done_and_cancels_the_rest(realm: Realm) -> None:
    texts = list("abcdef")

    def interrupt() -> None:
        while realm.last_map is None or realm.last_map.done < 4:
            if over.wait(0.02):
                return
        _thread.interrupt_main()

    over = threading.Event()
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            realm.map("{x}", texts, "halting", progress=False)
    finally:
        over.set()
        watcher.join()
    report = realm.last_map
    assert report is not None
    assert report.done == 4
    kept = report.result()
    assert [text for text in kept if text] == [
        text for text, said in zip(texts, kept, strict=True) if said
    ]
    assert set(kept.errors.values()) == {NOT_ASKED}
    until_nothing_is_held(realm)
    assert realm.map("{x}", texts, "halting", progress=False) == texts
    assert realm.last_map is not None
    assert realm.last_map.earlier == 4


MAPPING = """
import sys
from mtor_kernel.client import Realm
realm = Realm(sys.argv[1], sys.argv[2])
print("begun", flush=True)
realm.map("row {n} of eight", list(range(8)), "led", window=2, progress=False)
"""


@pytest.mark.fault
def test_a_killed_client_loses_nothing_and_pays_nothing_twice(
    realm: Realm, elsewhere: RealmElsewhere
) -> None:
    before = realm.me().balance_micro
    LedBackend.hush()
    LedBackend.let(4 * 4)  # four rows of four words
    process = subprocess.Popen(
        [sys.executable, "-c", MAPPING, elsewhere.small.url, TOKEN],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        waiting = threading.Event()
        while rows_paid(realm) < 3:
            assert process.poll() is None
            waiting.wait(0.05)
    finally:
        process.kill()
        process.wait()
    known = rows_paid(realm)
    assert known < 8
    LedBackend.let(math.inf)
    found = realm.map("row {n} of eight", list(range(8)), "led", progress=False)
    assert found == [f"row {n} of eight" for n in range(8)]
    report = realm.last_map
    assert report is not None
    assert report.earlier >= known
    assert rows_paid(realm) == 8
    paid = sum(one.charge.amount_micro for one in asked(realm) if one.charge is not None)
    assert before - realm.me().balance_micro == paid


def asked(realm: Realm) -> list:
    return realm.queries("of eight", limit=50)


def rows_paid(realm: Realm) -> int:
    return sum(one.charge.usage.rows for one in asked(realm) if one.charge is not None)


def test_a_row_that_failed_is_asked_anew_by_the_next_run(realm: Realm) -> None:
    found = realm.map("{x}", ["a", "b"], "stubborn", progress=False)
    assert (found, found.errors) == ([None, None], {0: "Not today.", 1: "Not today."})
    report = realm.last_map
    assert report is not None
    assert (report.failed, report.charged_micro) == (2, 0)
    found = realm.map("{x}", ["a", "b"], "stubborn", progress=False)
    assert (found, found.errors) == (["Dear Sir"] * 2, {})
    assert realm.last_map is not None
    assert (realm.last_map.earlier, realm.last_map.charged_micro) == (0, 14)


def test_another_name_asks_anew(realm: Realm) -> None:
    realm.map("named {x}", ["a"], progress=False)
    realm.map("named {x}", ["a"], run="again", progress=False)
    assert realm.last_map is not None
    assert realm.last_map.earlier == 0
    assert len(realm.queries("named")) == 2


@pytest.mark.asyncio
async def test_a_cancelled_map_frees_its_holds(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small, small.client() as client:
        mapping = asyncio.create_task(client.map("{x}", ["a"] * 40, "stuck", progress=False))
        async with asyncio.timeout(60):
            while (await client.me()).held_micro == 0:
                await asyncio.sleep(0.02)
        mapping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await mapping
        async with asyncio.timeout(60):
            await nothing_held(client)
        assert client.last_map is not None
        assert client.last_map.done == 0


@pytest.mark.asyncio
async def test_quotas_slow_a_map_and_a_lack_of_funds_stops_it(tmp_path: Path) -> None:
    from traitlets.config import Config

    config = Config()
    config.People.quotas_of = {"user": {"waiting": 2}}
    config.People.grant_credits = {"user": 0.02}
    people = [("token-of-ann", User("ann"))]
    async with (
        small_realm(tmp_path, people=people, config=config) as small,
        small.client() as owner,
        RealmClient(small.url, "token-of-ann") as ann,
    ):
        texts = [f"row {number}" for number in range(30)]
        how = {"max_tokens": 1000, "progress": False, "window": 12}
        assert await ann.map("{x}", texts, **how) == texts
        more = [f"word {number} " + "on and on " * 40 for number in range(60)]
        with pytest.raises(InsufficientFunds):
            await ann.map("{x}", more, **how)
        report = ann.last_map
        assert report is not None
        assert 0 < report.done < 60
        assert (await ann.me()).held_micro == 0
        await owner.sysop("grant", user="ann", micro=1_000_000, reason="go on")
        assert await ann.map("{x}", more, **how) == more
        assert ann.last_map is not None
        assert ann.last_map.earlier == report.done
