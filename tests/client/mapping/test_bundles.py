"""Small rows go together, and each is answered, refused, paid and kept as if it had gone alone."""

from __future__ import annotations

import _thread
import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator

import pandas as pd
import pytest

from mtor_kernel.client import Realm
from mtor_kernel.client.mapping.bundles import BUNDLE_SECONDS, FIRST_GUESS, Pace
from mtor_kernel.client.mapping.report import Report
from mtor_kernel.protocol.errors import BackendFailed, BadInput, QueryCancelled, TooLarge
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import MAX_TABLE_ROWS, row_answers
from tests.client.mapping.moods import MoodBackend
from tests.kernel.elsewhere import RealmElsewhere
from tests.realms import TOKEN

PATIENCE_SECONDS = 60


@pytest.fixture
def word() -> Iterator[str]:
    """A word that no other test's rows have; ``hush`` silences the model until the test is over."""
    MoodBackend.speaks.clear()
    yield uuid.uuid4().hex[:8]
    MoodBackend.speaks.set()


def report_of(realm: Realm) -> Report:
    assert realm.last_map is not None
    return realm.last_map


@contextlib.contextmanager
def in_background(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def until(condition: Callable[[], object]) -> None:
    pause, waited = threading.Event(), 0
    while not condition():
        pause.wait(0.02)
        waited += 1
        assert waited < PATIENCE_SECONDS * 50


def test_many_rows_are_few_queries_and_come_back_in_order(realm: Realm, word: str) -> None:
    texts = [f"{word} {number}" for number in range(2_000)]
    before = realm.me().balance_micro
    assert realm.map("{x}", texts, "moody", progress=False) == texts
    asked = realm.queries(word, limit=200)
    assert len(asked) < 200
    report = report_of(realm)
    assert (report.done, report.charged_micro) == (2_000, 2_000 * 105)
    assert before - realm.me().balance_micro == report.charged_micro
    assert sum(one.charge.usage.rows for one in asked if one.charge is not None) == 2_000


def test_what_is_asked_together_is_kept_row_by_row(realm: Realm, word: str) -> None:
    realm.map("{x}", [f"{word} {number}" for number in range(500)], "moody", progress=False)
    most = max(realm.queries(word), key=lambda one: one.charge.usage.rows if one.charge else 0)
    assert most.charge is not None
    kept = realm.info(most.id)
    assert kept.query is not None
    assert kept.answer is not None
    assert most.prompt.startswith(f"{len(kept.query.rows)} rows, the first: {word}")
    answers = row_answers(kept.answer.parts)
    # A worker that had no time for the last of them has left those out.
    assert [one.row for one in answers] == list(range(most.charge.usage.rows))
    texts = [row.text for row in kept.query.rows]
    assert kept.answer.text.splitlines() == texts[: len(answers)]


def test_a_row_that_is_at_fault_fails_alone_and_costs_nothing(realm: Realm, word: str) -> None:
    texts = [f"{word} {number}" for number in range(300)]
    texts[40], texts[299] = f"{word} rude", f"{word} rude too"
    found = realm.map("{x}", texts, "moody", progress=False)
    assert {at: str(told) for at, told in found.errors.items()} == dict.fromkeys(
        (40, 299), "Say that again, politely."
    )
    assert [said for said in found if said] == [text for text in texts if "rude" not in text]
    report = report_of(realm)
    assert isinstance(report.errors[40], BadInput)
    assert (report.done, report.failed, report.charged_micro) == (298, 2, 298 * 105)


def test_a_row_on_which_the_model_breaks_fails_alone(realm: Realm, word: str) -> None:
    texts = [f"{word} {number}" for number in range(200)]
    texts[0], texts[90] = f"{word} ill", f"{word} ill too"
    found = realm.map("{x}", texts, "moody", progress=False)
    assert list(found.errors) == [0, 90]
    assert all(isinstance(error, BackendFailed) for error in report_of(realm).errors.values())
    assert [said for said in found if said] == [text for text in texts if "ill" not in text]
    # What was answered beside them was asked once.
    assert {MoodBackend.asked[text] for text in texts if "ill" not in text} == {1}


def test_a_row_that_the_realm_does_not_take_fails_alone(realm: Realm, word: str) -> None:
    texts = [f"{word} {number}" for number in range(100)]
    texts[33] = f"{word} " + "a word too many " * 2_500  # more than its context, however it is cut
    found = realm.map("{x}", texts, "moody", progress=False)
    assert list(found.errors) == [33]
    assert isinstance(report_of(realm).errors[33], TooLarge)


def test_the_first_failure_ends_the_map_where_that_is_wanted(realm: Realm, word: str) -> None:
    texts = [f"{word} {number}" for number in range(300)]
    texts[150] = f"{word} rude"
    with pytest.raises(BadInput, match=r"^Row 150: Say that again"):
        realm.map("{x}", texts, "moody", on_error="raise", progress=False)
    assert realm.me().held_micro == 0


def test_only_what_was_added_to_a_table_is_asked(realm: Realm, word: str) -> None:
    texts = [f"{word} {number}" for number in range(400)]
    realm.map("{x}", pd.DataFrame({"x": texts}), "moody", progress=False)
    more = [f"{word} new", *texts[:200], f"{word} newer", *texts[200:]]
    found = realm.map("{x}", pd.DataFrame({"x": more}), "moody", progress=False)
    assert list(found.answer) == more
    report = report_of(realm)
    assert (report.earlier, report.charged_micro) == (400, 2 * 105)
    assert {MoodBackend.asked[text] for text in more} == {1}


def test_equal_rows_are_asked_one_by_one(realm: Realm, word: str) -> None:
    assert realm.map("{x}", [word] * 300, "moody", progress=False) == [word] * 300
    assert MoodBackend.asked[word] == 300
    assert realm.map("{x}", [word] * 300, "moody", progress=False) == [word] * 300
    assert (MoodBackend.asked[word], report_of(realm).earlier) == (300, 300)


def test_an_interrupt_keeps_what_was_answered_beside_the_row_that_hangs(
    realm: Realm, word: str
) -> None:
    texts = [f"{word} {number}" for number in range(600)]
    texts[500] = f"{word} hush"

    def interrupt() -> None:
        until(lambda: realm.last_map is not None and realm.last_map.done >= 300)
        until(lambda: MoodBackend.asked[texts[500]])
        _thread.interrupt_main()

    with in_background(interrupt), pytest.raises(KeyboardInterrupt):
        realm.map("{x}", texts, "moody", progress=False)
    report = report_of(realm)
    kept = report.result()
    assert [said for said in kept if said] == [
        text for text, said in zip(texts, kept, strict=True) if said
    ]
    until(lambda: realm.me().held_micro == 0)  # the worker has a moment to heed the cancel
    MoodBackend.speaks.set()
    assert realm.map("{x}", texts, "moody", progress=False) == texts
    assert report_of(realm).earlier >= report.done
    assert {MoodBackend.asked[text] for text in texts[:400]} == {1}
    paid = sum(one.charge.amount_micro for one in realm.queries(word, limit=200) if one.charge)
    assert report.charged_micro + report_of(realm).charged_micro <= paid


def test_one_that_somebody_cancels_is_not_asked_again(
    realm: Realm, elsewhere: RealmElsewhere, word: str
) -> None:
    texts = [f"{word} {number}" for number in range(100)]
    texts[60] = f"{word} hush"

    def cancel() -> None:
        until(lambda: MoodBackend.asked[texts[60]])
        with Realm(elsewhere.small.url, TOKEN) as panel:
            # What was asked beside it ends by itself.
            until(lambda: len(panel.queries(word, status=Stage.RUNNING)) == 1)
            (running,) = panel.queries(word, status=Stage.RUNNING)
            panel.cancel(running.id)

    with in_background(cancel):
        found = realm.map("{x}", texts, "moody", progress=False)
    assert 60 in found.errors
    assert all(isinstance(one, QueryCancelled) for one in report_of(realm).errors.values())
    assert MoodBackend.asked[texts[60]] == 1
    assert found[0] == texts[0]


def test_two_of_the_same_map_at_the_same_time_ask_each_row_once(
    realm: Realm, elsewhere: RealmElsewhere, word: str
) -> None:
    texts = [f"{word} {number}" for number in range(1_000)]
    found: list[list[str]] = []

    def map_too() -> None:
        with Realm(elsewhere.small.url, TOKEN) as other:
            found.append(other.map("{x}", texts, "moody", progress=False))

    with in_background(map_too):
        found.append(realm.map("{x}", texts, "moody", progress=False))
    assert found == [texts, texts]
    assert {MoodBackend.asked[text] for text in texts} == {1}


def test_vectors_come_back_in_order(realm: Realm, word: str) -> None:
    texts = [f"{word} {number}" for number in range(300)]
    together = realm.map("{x}", texts, "vectors", progress=False)
    alone = [realm.embed(text, "vectors") for text in texts[::60]]
    assert [list(vector) for vector in together[::60]] == [list(vector) for vector in alone]


def test_a_window_bounds_the_rows_under_way(realm: Realm, word: str) -> None:
    texts = [f"{word} {number}" for number in range(60)]
    assert realm.map("{x}", texts, "moody", window=3, progress=False) == texts
    rows = [one.charge.usage.rows for one in realm.queries(word, limit=200) if one.charge]
    assert max(rows) <= 3


def test_rows_whose_pace_nobody_knows_are_few_and_slow_ones_go_alone() -> None:
    pace = Pace(slots=4, most=MAX_TABLE_ROWS)
    assert pace.rows(10_000) == FIRST_GUESS
    pace.be_patient()
    assert pace.rows(10_000) == 1
    pace.learn(1, 2_000)
    assert pace.rows(10_000) == 1


def test_a_bundle_takes_a_moment_and_leaves_no_slot_without_work() -> None:
    pace = Pace(slots=4, most=MAX_TABLE_ROWS)
    for _ in range(20):
        pace.learn(100, 100)
    assert pace.rows(10_000) == round(BUNDLE_SECONDS / 0.001)
    assert pace.rows(120) == 30
    assert pace.rows(8) >= 8  # they take less than a query does
    for _ in range(20):
        pace.learn(MAX_TABLE_ROWS, 0)
    assert pace.rows(10_000) == MAX_TABLE_ROWS
    assert Pace(4, most=3).rows(100) == 3
