"""The self-check: whatever is changed behind the ledger's back, it is noticed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.query import Answer
from mtor_kernel.storage import Store, endings, ledger
from tests.storage.helpers import (
    NOON,
    accept,
    behind,
    dispatch,
    new_query,
    opened,
    person,
    problems,
)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Store]:
    """A store with one query of each stage."""
    store = opened(tmp_path)
    person(store, "ann", 10_000)
    for end in ("queued", "running", "settled", "failed"):
        lead_to(store, end)
    yield store
    store.close()


def lead_to(store: Store, stage: str) -> None:
    new = new_query(key=stage)
    accept(store, new)
    if stage == "queued":
        return
    ran = dispatch(store, new.id)
    if stage == "settled":
        charge = Charge(60, Usage(4, 5))
        store.write_sync(
            lambda db: endings.settle(db, new.id, ran.attempt, store.epoch, Answer(), charge, NOON)
        )
    if stage == "failed":
        error = ErrorInfo("backend_failed", "It broke.")
        store.write_sync(lambda db: endings.fail(db, new.id, error, NOON))


def test_honest_books_add_up(books: Store) -> None:
    assert problems(books) == []


ANN = "'person/ann'"


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (f"UPDATE account SET posted_micro = posted_micro + 1 WHERE id = {ANN}", "instead of 0"),
        (f"UPDATE account SET posted_micro = posted_micro + 1 WHERE id = {ANN}", "person/ann"),
        (f"UPDATE account SET held_micro = held_micro + 1 WHERE id = {ANN}", "person/ann"),
        (f"UPDATE account SET posted_micro = -1 WHERE id = {ANN}", "below its floor"),
        ("UPDATE transfer SET amount_micro = 1 WHERE kind = 'settle'", "not the sum"),
        ("UPDATE transfer SET held_micro = -99 WHERE kind = 'settle'", "does not fit"),
        ("UPDATE transfer SET debit = 'system/mint' WHERE kind = 'void'", "does not fit"),
        ("UPDATE transfer SET query = 'x' WHERE kind = 'hold' AND id = 2", "do not agree"),
        ("DELETE FROM transfer WHERE kind = 'void'", "do not agree"),
        ("DELETE FROM transfer WHERE kind = 'grant'", "not the sum"),
        ("UPDATE query SET stage = 'failed', ended_at = 1 WHERE key = 'queued'", "do not agree"),
        ("UPDATE query SET ended_at = NULL WHERE key = 'failed'", "do not agree"),
        ("UPDATE query SET charge_micro = 61 WHERE key = 'settled'", "do not agree"),
        ("UPDATE query SET charge_micro = 61 WHERE key = 'settled'", "usage says 60"),
        ("UPDATE query SET hold_micro = 999 WHERE key = 'queued'", "do not agree"),
        ("UPDATE query SET hold_id = 1 WHERE key = 'queued'", "has no hold of its own"),
        ("UPDATE usage SET charge_micro = 0", "usage says 0"),
    ],
)
def test_every_kind_of_drift_is_named(
    books: Store, statement: str, sentence: str, tmp_path: Path
) -> None:
    with behind(tmp_path) as change:
        assert change(statement) > 0
    assert any(sentence in problem for problem in problems(books)), problems(books)


def test_a_hold_for_no_query_is_nobodys_business(books: Store) -> None:
    books.write_sync(lambda db: ledger.hold(db, "person/ann", 5, None, NOON))
    assert problems(books) == []
