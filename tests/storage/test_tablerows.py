"""A row of a table is asked once under its key, and again only where it was not answered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import (
    ErrorInfo,
    InsufficientFunds,
    KeyConflict,
    QuotaExceeded,
    RowsKnown,
)
from mtor_kernel.protocol.query import Answer, RowAnswer, Rows, Text
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.scheduling import admission
from mtor_kernel.storage import Store, acceptance, endings, queries, quotas, records, together
from mtor_kernel.storage.rows import NewQuery
from mtor_kernel.storage.schema import table_row
from mtor_kernel.storage.several import SIZES
from tests.storage.helpers import (
    NO_RULES,
    NOON,
    accept,
    admit_all,
    answer_to,
    balance,
    dispatch,
    new_query,
    person,
)

BROKE = ErrorInfo("worker_lost", "Its worker died.")
NO_ANSWER = Answer((Rows((RowAnswer(0, error=ErrorInfo("bad_input", "No.")),)),), "time")


def taken(store: Store, user: str = "ann") -> dict[str, tuple[str, int]]:
    """A person's keys, with the query and the position where each was asked."""
    wanted = sa.select(table_row).where(table_row.c.person == user)
    found = store.read_sync(lambda db: db.execute(wanted).all())
    return {row.key: (row.query, row.row) for row in found}


def asked(store: Store, *keys: str, user: str = "ann", **fields: object) -> NewQuery:
    """A query of these rows that is under way."""
    new = new_query(user, rows=keys, **fields)  # type: ignore[arg-type]
    accept(store, new)
    dispatch(store, new.id)
    return new


def settled(store: Store, new: NewQuery, answer: Answer, micro: int = 10) -> None:
    charge = Charge(micro, Usage(output_tokens=1))
    assert store.write_sync(
        lambda db: endings.settle(db, new.id, 1, store.epoch, answer, charge, NOON)
    )


def refused(store: Store, *keys: str, user: str = "ann") -> dict[str, object]:
    """Where rows were asked that are asked again."""
    with pytest.raises(RowsKnown) as known:
        accept(store, new_query(user, rows=keys))
    return known.value.details


def test_a_query_takes_the_keys_of_its_rows(store: Store, ann: str) -> None:
    new = new_query(rows=("a", "b", "c"))
    accept(store, new)
    assert taken(store) == {"a": (new.id, 0), "b": (new.id, 1), "c": (new.id, 2)}


@pytest.mark.parametrize("count", [1, SIZES[0], SIZES[-1], SIZES[-1] + 1, 256])
def test_as_many_as_there_are(store: Store, ann: str, count: int) -> None:
    keys = tuple(f"key-{n}" for n in range(count))
    new = asked(store, *keys)
    assert taken(store) == {key: (new.id, n) for n, key in enumerate(keys)}
    assert refused(store, *keys) == {str(n): f"{new.id}:{n}" for n in range(count)}
    settled(store, new, answer_to(*range(0, count, 2)))
    assert set(taken(store)) == set(keys[::2])


def test_rows_that_were_asked_are_named_with_their_query_and_nothing_is_asked(
    store: Store, ann: str
) -> None:
    one, other = asked(store, "a", "b"), asked(store, "c")
    held = balance(store, "ann")
    assert refused(store, "x", "c", "b") == {"1": f"{other.id}:0", "2": f"{one.id}:1"}
    assert balance(store, "ann") == held
    assert set(taken(store)) == {"a", "b", "c"}


def test_the_refusal_says_how_many_and_what_to_do(store: Store, ann: str) -> None:
    asked(store, "a", "b")
    with pytest.raises(RowsKnown, match=r"2 of these 3 rows already: .* send the rest"):
        accept(store, new_query(rows=("a", "b", "c")))


def test_two_people_may_use_the_same_keys_and_neither_hears_of_the_other(
    store: Store, ann: str
) -> None:
    person(store, "bob", 1000)
    mine, theirs = asked(store, "a"), asked(store, "a", user="bob")
    assert taken(store, "ann") == {"a": (mine.id, 0)}
    assert taken(store, "bob") == {"a": (theirs.id, 0)}
    store.write_sync(lambda db: endings.fail(db, theirs.id, BROKE, NOON))
    assert taken(store, "ann") == {"a": (mine.id, 0)}
    assert refused(store, "a") == {"0": f"{mine.id}:0"}


def test_a_query_that_is_said_again_is_itself_and_not_refused(store: Store, ann: str) -> None:
    first = accept(store, new_query(key="k", rows=("a", "b")))
    again = accept(store, new_query(key="k", rows=("a", "b")))
    assert (again.query, again.repeated) == (first.query, True)
    with pytest.raises(KeyConflict):
        accept(store, new_query(key="k", rows=("a", "c")))


def test_without_funds_no_key_is_taken(store: Store, ann: str) -> None:
    with pytest.raises(InsufficientFunds):
        accept(store, new_query(rows=("a",), hold=1001))
    assert taken(store) == {}


def test_beyond_a_quota_no_key_is_taken_and_what_is_known_is_told_first(
    store: Store, ann: str
) -> None:
    def decide(*given: object) -> None:
        admission.admit(*given, paused=False)  # type: ignore[arg-type]

    rules = Quotas(queries_per_minute=3)
    accept(store, new_query(rows=("a", "b")), rules, decide)
    with pytest.raises(QuotaExceeded, match="have used 2; this query may take 2: ask for fewer"):
        accept(store, new_query(rows=("c", "d")), rules, decide)
    assert set(taken(store)) == {"a", "b"}
    with pytest.raises(RowsKnown):
        accept(store, new_query(rows=("b", "c", "d", "e")), rules, decide)
    accept(store, new_query(rows=("c",)), rules, decide)


def test_rows_count_as_queries_of_a_minute_and_as_one_that_waits(store: Store, ann: str) -> None:
    rules = Quotas(queries_per_minute=99, waiting=99, running=99)
    accept(store, new_query(rows=("a", "b", "c")))
    accept(store, new_query(rows=("d",)))
    asked(store)
    standing = store.read_sync(lambda db: quotas.standing(db, "ann", rules, NOON))
    uses = {rule: use.used for rule, use in standing.uses.items()}
    assert uses == {"queries_per_minute": 5, "waiting": 2, "running": 1}


def test_the_sums_of_a_day_count_answered_rows(store: Store, ann: str) -> None:
    for new, rows in ((asked(store, "a", "b", "c"), 2), (asked(store, "d"), 0), (asked(store), 1)):
        charge = Charge(10, Usage(output_tokens=4, rows=rows))
        answer = answer_to(*range(rows))
        store.write_sync(
            lambda db, of=new.id, what=answer, paid=charge: endings.settle(
                db, of, 1, store.epoch, what, paid, NOON
            )
        )
    (day,) = store.read_sync(lambda db: records.usage(db, "ann", NOON - 86_400))
    assert (day.queries, day.charge_micro, day.output_tokens) == (3, 30, 12)


def test_answered_rows_keep_their_keys_and_the_others_are_free(store: Store, ann: str) -> None:
    new = asked(store, "a", "b", "c", "d")
    settled(store, new, answer_to(0, 2))
    assert taken(store) == {"a": (new.id, 0), "c": (new.id, 2)}
    again = asked(store, "b", "d")
    assert taken(store)["d"] == (again.id, 1)
    assert refused(store, "a", "b") == {"0": f"{new.id}:0", "1": f"{again.id}:0"}


@pytest.mark.parametrize("answer", [Answer(), NO_ANSWER, Answer((Text("what?"),))])
def test_an_error_in_the_place_of_an_answer_is_none(store: Store, ann: str, answer: Answer) -> None:
    settled(store, asked(store, "a", "b"), answer)
    assert taken(store) == {}


def test_where_an_answer_names_rows_that_were_not_asked_the_others_are_free_all_the_same(
    store: Store, ann: str
) -> None:
    """What a worker says may be wrong."""
    settled(store, asked(store, "a", "b"), answer_to(0, 200))
    assert set(taken(store)) == {"a"}


def test_a_failed_query_frees_all_its_rows_also_where_it_never_began(
    store: Store, ann: str
) -> None:
    waits = new_query(rows=("c",))
    accept(store, waits)
    for id_ in (asked(store, "a", "b").id, waits.id):  # an expired one fails too
        store.write_sync(lambda db, of=id_: endings.fail(db, of, BROKE, NOON))
    assert taken(store) == {}


def test_a_cancelled_query_keeps_those_that_were_published(store: Store, ann: str) -> None:
    new = asked(store, "a", "b", "c")
    charge = Charge(5, Usage(rows=2))
    store.write_sync(
        lambda db: endings.cancel(db, new.id, NOON, answer=answer_to(0, 1), charge=charge)
    )
    assert set(taken(store)) == {"a", "b"}


@pytest.mark.parametrize("answer", [None, Answer()])
def test_a_query_that_is_cancelled_before_it_said_anything_frees_all(
    store: Store, ann: str, answer: Answer | None
) -> None:
    new = asked(store, "a", "b")
    store.write_sync(lambda db: endings.cancel(db, new.id, NOON, answer=answer))
    assert taken(store) == {}


def test_what_waits_again_keeps_its_keys(store: Store, ann: str) -> None:
    new = asked(store, "a", "b")
    store.write_sync(lambda db: queries.requeue(db, new.id, 1, store.epoch, NOON))
    assert set(taken(store)) == {"a", "b"}
    assert refused(store, "b") == {"0": f"{new.id}:1"}


def test_an_end_that_comes_too_late_frees_nothing(store: Store, ann: str) -> None:
    new = asked(store, "a")
    settled(store, new, answer_to(0))
    assert not store.write_sync(lambda db: endings.fail(db, new.id, BROKE, NOON))
    assert not store.write_sync(lambda db: endings.cancel(db, new.id, NOON))
    epoch, late = store.epoch, Answer()
    assert not store.write_sync(
        lambda db: endings.settle(db, new.id, 1, epoch, late, Charge(), NOON)
    )
    assert set(taken(store)) == {"a"}


def settled_together(store: Store, ended: Sequence[tuple[NewQuery, Answer]]) -> bool:
    ends = [
        together.Ending(new.id, new.user, new.model, 1, answer, Charge(1, Usage(rows=1)))
        for new, answer in ended
    ]
    epoch = store.epoch
    return store.write_sync(lambda db: together.settle_all(db, ends, epoch, NOON))


@pytest.mark.parametrize("count", [2, SIZES[0] + 1, SIZES[-1] + 2])
def test_what_ends_together_frees_what_each_left_open(store: Store, count: int) -> None:
    person(store, "ann", 10**6)
    person(store, "bob", 10**6)
    ended, kept = [], set()
    for n in range(count):
        new = asked(store, f"{n}.0", f"{n}.1", f"{n}.2", user="ann" if n % 2 else "bob")
        ended.append((new, answer_to(*range(n % 4))))
        kept |= {f"{n}.{row}" for row in range(n % 4)}
    plain = asked(store)
    assert settled_together(store, [*ended, (plain, Answer((Text("yes"),)))])
    assert {*taken(store, "ann"), *taken(store, "bob")} == kept


def test_where_one_is_stale_no_row_of_any_is_freed(store: Store, ann: str) -> None:
    ended = [(asked(store, "a", "b"), answer_to(0)), (asked(store, "c"), Answer())]
    store.write_sync(lambda db: queries.requeue(db, ended[0][0].id, 1, store.epoch, NOON))
    assert not settled_together(store, ended)
    assert set(taken(store)) == {"a", "b", "c"}


def test_what_ends_together_without_any_rows_in_its_answer_frees_all(
    store: Store, ann: str
) -> None:
    """As from a worker that has gone wrong: nobody could ask them ever again."""
    assert settled_together(
        store, [(asked(store, "a", "b"), Answer()), (asked(store, "c"), Answer((Text("what?"),)))]
    )
    assert taken(store) == {}


def test_a_work_that_is_undone_takes_and_frees_nothing(store: Store, ann: str) -> None:
    before = asked(store, "a")

    class Unwanted(Exception):
        pass

    def work(db: sa.Connection) -> None:
        endings.fail(db, before.id, BROKE, NOON)
        acceptance.accept(db, new_query(rows=("a", "b")), NO_RULES, admit_all)
        raise Unwanted

    with pytest.raises(Unwanted):
        store.write_sync(work)
    assert taken(store) == {"a": (before.id, 0)}


def test_of_two_that_come_with_one_commit_the_first_has_the_row(store: Store, ann: str) -> None:
    first, second = new_query(rows=("a", "b")), new_query(rows=("b", "c"))

    def both(db: sa.Connection) -> None:
        acceptance.accept(db, first, NO_RULES, admit_all)
        with pytest.raises(RowsKnown):
            acceptance.accept(db, second, NO_RULES, admit_all)

    store.write_sync(both)
    assert set(taken(store)) == {"a", "b"}
    assert balance(store, "ann").held_micro == first.hold_micro
