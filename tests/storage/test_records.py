"""What people may read of their queries, and what they may not."""

import pytest

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Answer, Data, Query, Text
from mtor_kernel.protocol.views import QueryInfo, UsageRow
from mtor_kernel.storage import Store, endings, records
from mtor_kernel.storage.records import Sought
from mtor_kernel.storage.rows import NewQuery
from tests.storage.helpers import NOON, accept, dispatch, new_query, person, query_id

DAY = 86_400.0


def info(store: Store, id: str, user: str | None) -> QueryInfo:
    return store.read_sync(lambda db: records.info(db, id, user))


def settled(store: Store, new: NewQuery, charge: Charge, at: float) -> None:
    accept(store, new)
    ran = dispatch(store, new.id, at)
    answer = Answer((Text("yes"),))
    assert store.write_sync(
        lambda db: endings.settle(db, new.id, ran.attempt, store.epoch, answer, charge, at)
    )


def test_the_owner_and_the_sysop_see_a_query_whole(store: Store, ann: str) -> None:
    new = new_query()
    accept(store, new)
    ran = dispatch(store, new.id, NOON + 5)
    for user in ("ann", None):
        assert info(store, new.id, user) == QueryInfo(
            id=new.id,
            asked="chat",
            model="smollm2",
            modality=new.modality,
            stage=Stage.RUNNING,
            created_at=NOON,
            attempt=ran.attempt,
            started_at=NOON + 5,
            hold_micro=100,
            prompt=new.prompt,
            query=Query.ask(new.prompt, "smollm2"),
        )


def test_somebody_elses_query_answers_exactly_as_one_that_is_not_there(
    store: Store, ann: str
) -> None:
    person(store, "eve")
    new = new_query()
    accept(store, new)
    told = []
    for wanted in (new.id, query_id()):
        with pytest.raises(NotFound) as refused:
            info(store, wanted, "eve")
        told.append(encode(refused.value.info()).replace(wanted.encode(), b"ID"))
    assert told[0] == told[1]


def test_an_answer_of_any_parts_comes_back_as_it_was(store: Store, ann: str) -> None:
    new = new_query()
    accept(store, new)
    answer = Answer((Text("née\x00 \u2028"), Data({"box": [1, 2.5, None]})), "length")
    assert store.read_sync(lambda db: records.answer(db, new.id)) is None
    assert store.write_sync(lambda db: endings.cancel(db, new.id, NOON, answer=answer))
    assert store.read_sync(lambda db: records.answer(db, new.id)) == answer
    assert info(store, new.id, "ann").answer == answer


def test_history_goes_back_page_by_page_without_gap_or_repeat(store: Store, ann: str) -> None:
    person(store, "bob", 1000)
    # Many at the same moment: the time alone is no cursor.
    mine = [new_query(hold=1, at=NOON + n // 4) for n in range(22)]
    for new in mine:
        accept(store, new)
        accept(store, new_query("bob", hold=1))
    seen, before = [], ""
    while True:
        page = store.read_sync(lambda db, b=before: records.history(db, "ann", before=b, limit=5))
        seen += page.items
        before = page.next
        if not before:
            break
        assert len(page.items) == 5
    assert len(seen) == len({one.id for one in seen}) == 22
    assert {one.id for one in seen} == {one.id for one in mine}
    assert [one.created_at for one in seen] == sorted((n.created_at for n in mine), reverse=True)
    assert seen[0].query is None
    assert seen[0].answer is None


def test_a_foreign_cursor_shows_nothing(store: Store, ann: str) -> None:
    person(store, "bob", 1000)
    accept(store, new_query("ann"))
    theirs = new_query("bob", at=NOON + 9)
    accept(store, theirs)
    page = store.read_sync(lambda db: records.history(db, "ann", before=theirs.id))
    assert page.items == ()


@pytest.mark.parametrize(
    ("search", "found"),
    [("LANE", 1), ("100%", 1), ("%", 1), ("_", 1), ("' OR 1=1 --", 0), ("", 3), ("\\", 0)],
)
def test_history_is_searched_for_words_as_they_are(
    store: Store, ann: str, search: str, found: int
) -> None:
    for prompt in ("What is a lane?", "Am I 100% sure", "snake_case"):
        accept(store, new_query(prompt=prompt))
    page = store.read_sync(lambda db: records.history(db, "ann", Sought(search)))
    assert len(page.items) == found


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (Sought(model="chat"), ["one", "two", "three"]),
        (Sought(model="smollm2"), ["one", "two", "three"]),
        (Sought(model="other"), []),
        (Sought(stage=Stage.QUEUED), ["one", "two", "three"]),
        (Sought(stage=Stage.SETTLED), []),
        (Sought(since=NOON + 10), ["two", "three"]),
        (Sought(until=NOON + 10), ["one"]),
        (Sought("t", since=NOON + 10, until=NOON + 20), ["two"]),
    ],
)
def test_history_is_searched_by_model_stage_and_time_among_ones_own(
    store: Store, ann: str, sought: Sought, found: list[str]
) -> None:
    person(store, "bob", 1000)
    accept(store, new_query("bob", prompt="not mine", at=NOON + 10))
    for at, prompt in enumerate(("one", "two", "three")):
        accept(store, new_query(prompt=prompt, at=NOON + 10 * at))
    page = store.read_sync(lambda db: records.history(db, "ann", sought))
    assert [one.prompt for one in reversed(page.items)] == found


@pytest.mark.parametrize(("limit", "items"), [(-1, 1), (0, 1), (10**9, 200), (2**70, 200)])
def test_a_page_is_never_empty_by_mistake_and_never_endless(
    store: Store, ann: str, limit: int, items: int
) -> None:
    for _ in range(201):
        accept(store, new_query(hold=1))
    page = store.read_sync(lambda db: records.history(db, "ann", limit=limit))
    assert len(page.items) == items


def test_unfinished_queries_are_ones_own_in_order(store: Store, ann: str) -> None:
    person(store, "bob", 1000)
    new = [new_query(at=NOON - n) for n in range(4)]
    for one in new:
        accept(store, one)
    accept(store, new_query("bob"))
    dispatch(store, new[1].id)
    store.write_sync(lambda db: endings.cancel(db, new[2].id, NOON))
    unfinished = store.read_sync(lambda db: records.unfinished(db, "ann"))
    assert unfinished == [new[0].id, new[1].id, new[3].id]


def test_usage_counts_pictures_sound_and_characters_too(store: Store, ann: str) -> None:
    for usage in (Usage(images=2, audio_ms=1500), Usage(images=1, characters=40)):
        settled(store, new_query(), Charge(5, usage), NOON)
    (row,) = store.read_sync(lambda db: records.usage(db, "ann", NOON - DAY))
    assert (row.images, row.audio_ms, row.characters) == (3, 1500, 40)


def test_usage_is_summed_by_day_and_model(store: Store, ann: str) -> None:
    for at, model, micro in (
        (NOON - DAY, "smollm2", 5), (NOON, "smollm2", 7), (NOON + 1, "smollm2", 8),
        (NOON, "qwen", 9), (NOON - 3 * DAY, "smollm2", 1),
    ):  # fmt: skip
        settled(store, new_query(model=model, at=at), Charge(micro, Usage(10, micro)), at)
    accept(store, new_query())
    rows = store.read_sync(lambda db: records.usage(db, "ann", NOON - DAY))
    assert rows == [
        UsageRow("2025-06-16", "qwen", 1, 9, 10, 9),
        UsageRow("2025-06-16", "smollm2", 2, 15, 20, 15),
        UsageRow("2025-06-15", "smollm2", 1, 5, 10, 5),
    ]
