"""Rows of all sizes, scripts, speeds and forms, in tables of all kinds, go together."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import dask.dataframe as dd
import msgspec
import pandas as pd
import polars as pl
import pytest

from mtor_kernel.client import Realm
from mtor_kernel.client.mapping.bundles import Pace
from mtor_kernel.client.mapping.report import Report
from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.query import MAX_TABLE_ROWS
from tests.client.mapping.moods import MoodBackend
from tests.holds import until_nothing_is_held

#: What a row of ``moody`` costs.
PRICE = 105
LOTS: dict[str, Any] = {"max_tokens": 100_000, "ask_above": None, "progress": False}


class Note(msgspec.Struct):
    label: str


@pytest.fixture
def word() -> Iterator[str]:
    """A word that no other test's rows have; ``hush`` silences the model until the test is over."""
    MoodBackend.speaks.clear()
    yield uuid.uuid4().hex[:8]
    MoodBackend.speaks.set()


def rows_of(realm: Realm, word: str) -> list[int]:
    return [one.charge.usage.rows for one in realm.queries(word, limit=200) if one.charge]


def test_prompts_of_all_sizes_and_scripts_come_back_as_they_went(realm: Realm, word: str) -> None:
    kinds = ["a", "é", "語", "🐝", "\x01", '"', "\\", "\n|", "\u2028", "e\u0301"]
    texts = [
        f"{word} {at} {kinds[at % len(kinds)] * (at * 37 % 400 if at % 25 else 9_000)}."
        for at in range(150)
    ]
    assert realm.map("{x}", texts, "echo", **LOTS) == texts


def test_rows_of_control_characters_fit_into_a_frame(realm: Realm, word: str) -> None:
    texts = [f"{word} " + "\x01" * 9_900 + str(at) for at in range(12)]
    assert realm.map("{x}", texts, "echo", **LOTS) == texts


@pytest.mark.parametrize("length", [120_000, 200_000, 261_000])
def test_a_long_system_prompt_leaves_less_room_for_rows(
    realm: Realm, word: str, length: int
) -> None:
    texts = [f"{word} {at} " + "\x01" * (at % 3 * 300) for at in range(60)]
    how = {"system": "s" * length, "max_tokens": 1000, "ask_above": None, "progress": False}
    found = realm.map("{x}", texts, "echo", **how)
    misfits = {at for at, text in enumerate(texts) if length + 6 * len(text) > 255 * 1024}
    assert set(found.errors) <= misfits
    assert [text for at, text in enumerate(found) if at not in found.errors] == [
        text for at, text in enumerate(texts) if at not in found.errors
    ]


def test_half_of_a_surrogate_pair_fails_alone(realm: Realm, word: str) -> None:
    texts = [f"{word} {at}" for at in range(100)]
    texts[50] = f"{word} \ud800"
    found = realm.map("{x}", texts, "moody", progress=False)
    assert list(found.errors) == [50]
    assert found[51] == texts[51]


def test_a_large_row_among_small_ones_is_asked_under_the_same_key_in_any_company(
    realm: Realm, word: str
) -> None:
    large = f"{word} " + "x" * 12_000
    small = [f"{word} {at}" for at in range(40)]
    how = {"model": "echo", **LOTS}
    assert realm.map("{x}", [large, *small], **how) == [large, *small]
    assert realm.map("{x}", [*small[:7], large, *small[7:]], **how)[7] == large
    assert realm.last_map is not None
    assert (realm.last_map.earlier, realm.last_map.charged_micro) == (41, 0)


def test_misfits_among_fits_are_mended_alone(realm: Realm, word: str) -> None:
    texts = [f"{word} {at}" for at in range(200)]
    texts[50], texts[51], texts[180] = f"{word} loose", f"{word} lost", f"{word} loose too"
    before = realm.me().balance_micro
    found = realm.map("{x}", texts, "moody", schema=Note, progress=False)
    assert list(found.errors) == [51]
    assert "gave no answer that fits the schema, asked 3 times" in found.errors[51]
    assert [one.label for one in found if one] == [text for text in texts if "lost" not in text]
    assert realm.last_map is not None
    # Two are asked once more, and one twice.
    assert realm.last_map.charged_micro == 204 * PRICE == before - realm.me().balance_micro
    again = realm.map("{x}", texts, "moody", schema=Note, progress=False)
    assert [one.label for one in again if one] == [text for text in texts if "lost" not in text]


def test_a_model_without_form_is_found_out_though_some_rows_cannot_be_asked(
    realm: Realm, word: str
) -> None:
    texts = ["", " "] * 10 + [f"{word} lost {at}" for at in range(100)]
    with pytest.raises(BackendFailed, match="keeps to no form"):
        realm.map("{x}", texts, "moody", schema=Note, retries=0, progress=False)
    assert sum(bool(MoodBackend.asked[text]) for text in texts) == 8
    assert realm.me().held_micro == 0


def test_an_interrupted_map_keeps_the_answers_that_had_their_form(realm: Realm, word: str) -> None:

    async def cancelled(texts: list[str]) -> None:
        work = asyncio.ensure_future(realm.amap("{x}", texts, "moody", schema=Note, progress=False))
        while not MoodBackend.asked[texts[100]]:
            await asyncio.sleep(0.01)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    def interrupted(run: str) -> tuple[list[str], int, Report]:
        """A map, what it cost in the end, and what it tells of itself."""
        texts = [f"{run} {at}" for at in range(120)]
        texts[100] = f"{run} hush"
        asyncio.run(cancelled(texts))
        assert realm.last_map is not None
        found = realm.last_map.result()
        assert sum(one is not None for one in found) == realm.last_map.done >= 8
        until_nothing_is_held(realm)
        asked = realm.queries(run, limit=200)
        paid = sum(one.charge.amount_micro for one in asked if one.charge)
        assert realm.last_map.charged_micro <= paid
        return texts, paid, realm.last_map

    for run in range(5):
        texts, paid, report = interrupted(f"{word}-{run}")
        if report.charged_micro == paid:
            break  # else the machine stood still for the second in which the realm is waited for
    assert report.charged_micro == paid == report.done * PRICE
    earlier = report.done
    MoodBackend.speaks.set()
    found = realm.map("{x}", texts, "moody", schema=Note, progress=False)
    assert [one.label for one in found] == texts
    assert realm.last_map.earlier == earlier


@pytest.mark.slow
@pytest.mark.parametrize("slow", [range(100, 112), range(8), range(0, 400, 40)])
def test_a_model_that_changes_its_pace_keeps_every_slot_at_work(
    realm: Realm, word: str, slow: range
) -> None:
    texts = [f"{word} {'long ' if at in slow else ''}{at}" for at in range(400)]
    assert realm.map("{x}", texts, "moody", progress=False) == texts
    assert {MoodBackend.asked[text] for text in texts} == {1}
    assert realm.last_map is not None
    assert realm.last_map.charged_micro == 400 * PRICE


def test_two_maps_in_one_client_do_not_disturb_each_other(realm: Realm, word: str) -> None:
    one = [f"{word} one {at}" for at in range(500)]
    two = [f"{word} two {at}" for at in range(500)]

    async def both() -> list[list[str]]:
        return await asyncio.gather(
            realm.amap("{x}", one, "moody", progress=False),
            realm.amap("{x}", two, "moody", progress=False),
            realm.amap("{x}", one, "moody", progress=False),
        )

    assert asyncio.run(both()) == [one, two, one]
    assert {MoodBackend.asked[text] for text in one + two} == {1}


def test_a_dask_table_of_many_parts_keeps_its_order(realm: Realm, word: str) -> None:
    texts = [f"{word} {at}" for at in range(500)]
    table = dd.from_pandas(pd.DataFrame({"x": texts}), npartitions=50)
    found = realm.map("{x}", table, "moody", progress=False)
    assert list(found["answer"].compute()) == texts
    assert len(rows_of(realm, word)) < 200


def test_a_polars_table_gets_its_column(realm: Realm, word: str) -> None:
    texts = [f"{word} {at}" for at in range(100)]
    texts[7] = f"{word} rude"
    found = realm.map("{x}", pl.DataFrame({"x": texts}), "moody", progress=False)
    assert found["answer"].to_list()[:9] == [*texts[:7], None, texts[8]]


def test_a_map_of_which_all_was_asked_takes_rows_over_many_at_a_time() -> None:
    pace = Pace(slots=4, most=MAX_TABLE_ROWS)
    sizes = []
    for _ in range(6):
        sizes.append(pace.rows(10_000))
        pace.were_known(sizes[-1])
    assert sizes == [16, 32, 64, 128, 256, 256]


def test_rows_on_which_a_model_breaks_give_the_others_no_rest(realm: Realm, word: str) -> None:
    texts = [f"{word} {'ill ' if at % 20 == 9 else ''}{at}" for at in range(400)]
    found = realm.map("{x}", texts, "moody", progress=False)
    assert list(found.errors) == list(range(9, 400, 20))
    assert [said for said in found if said] == [text for text in texts if "ill" not in text]
    assert {MoodBackend.asked[text] for text in texts if "ill" not in text} == {1}
    (lane,) = (lane for lane in realm.queue().lanes if lane.model == "moody")
    assert lane.breaker == "closed"


def test_rows_on_which_the_first_of_a_chain_breaks_are_answered_by_the_next(
    realm: Realm, word: str
) -> None:
    texts = [f"{word} {'ill ' if at in (0, 50, 51, 120, 199) else ''}{at}" for at in range(200)]
    assert realm.map("{x}", texts, "patient", progress=False) == texts


def test_a_map_that_is_cancelled_twice_takes_its_queries_along(realm: Realm, word: str) -> None:
    texts = [f"{word} {at}" for at in range(200)]
    texts[30] = f"{word} hush"

    async def cancelled() -> None:
        work = asyncio.ensure_future(realm.amap("{x}", texts, "moody", progress=False))
        while not MoodBackend.asked[texts[30]]:
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())
    until_nothing_is_held(realm)
    MoodBackend.speaks.set()
    assert realm.map("{x}", texts, "moody", progress=False) == texts


def test_the_first_failure_is_raised_though_other_rows_hang(realm: Realm, word: str) -> None:
    texts = [f"{word} {at}" for at in range(100)]
    texts[0], texts[40] = f"{word} hush", f"{word} rude"
    with pytest.raises(BadInput, match=r"^Row 40: Say that again"):
        realm.map("{x}", texts, "moody", on_error="raise", progress=False)
    until_nothing_is_held(realm)
