"""The audit trail: what was written stays, and a change shows."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.storage import Store, audit
from tests.storage.helpers import NOON, behind


@pytest.fixture
def trail(store: Store) -> list[audit.Entry]:
    """Five things that a sysop did."""
    return [
        store.write_sync(
            lambda db, n=n: audit.record(
                db, "root", "grant", f"p{n}", "für Ärger", {"z": n, "a": 0.1}, NOON + n
            )
        )
        for n in range(5)
    ]


def test_what_was_done_is_listed_newest_first(store: Store, trail: list[audit.Entry]) -> None:
    assert store.read_sync(audit.entries) == trail[::-1]
    page = store.read_sync(lambda db: audit.entries(db, before=trail[3].id, limit=2))
    assert page == [trail[2], trail[1]]
    assert trail[0].details == '{"a":0.1,"z":0}'
    assert store.read_sync(audit.verify) == []


def test_a_reason_that_a_database_keeps_otherwise_breaks_no_chain(store: Store) -> None:
    for reason in ("a\0b", "\x1b[2J", "1\n2\u2028"):
        store.write_sync(
            lambda db, why=reason: audit.record(db, "ro\0ot", "quota", "\0", why, {"a": "\0"}, NOON)
        )
    assert store.read_sync(audit.verify) == []


def test_nothing_is_written_down_of_what_did_not_happen(store: Store) -> None:
    def fail(db: sa.Connection) -> None:
        audit.record(db, "root", "grant", "ann", "", {}, NOON)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write_sync(fail)
    assert store.read_sync(audit.entries) == []
    assert store.read_sync(audit.head) == audit.GENESIS


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_the_trail(
    store: Store, trail: list[audit.Entry], statement: str
) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="append-only"):
        store.write_sync(lambda db: db.exec_driver_sql(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'eve' WHERE id = 3",
        "UPDATE audit SET subject = 'p9' WHERE id = 1",
        "UPDATE audit SET at = at + 1 WHERE id = 5",
        "UPDATE audit SET details = '{}' WHERE id = 2",
        "UPDATE audit SET hash = '0123456789abcdef' WHERE id = 4",
        "DELETE FROM audit WHERE id = 3",
        "DELETE FROM audit WHERE id = 1",
        "UPDATE audit SET id = 9 WHERE id = 5",
    ],
)
def test_a_change_around_the_trigger_shows(
    store: Store, trail: list[audit.Entry], statement: str, tmp_path: Path
) -> None:
    with behind(tmp_path) as change:
        assert change(statement) == 1
    assert store.read_sync(audit.verify)


def test_rows_cut_off_at_the_end_show_against_a_head_that_was_kept(
    store: Store, trail: list[audit.Entry], tmp_path: Path
) -> None:
    head = store.read_sync(audit.head)
    assert head == trail[-1].hash
    with behind(tmp_path) as change:
        change("DELETE FROM audit WHERE id = 5")
    assert store.read_sync(audit.head) != head
