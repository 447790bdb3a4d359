"""The ledger: it sums to zero, ends a hold once, and the database itself refuses the rest."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.errors import BadInput, InsufficientFunds, NotFound
from mtor_kernel.storage import Store, ledger
from mtor_kernel.storage.schema import account, transfer
from tests.storage.helpers import NOON, balance, person, problems, stranger

#: A statement that the other kind of database does not have.
FOREIGN = {"sqlite": "TRUNCATE", "postgresql": "INSERT OR REPLACE"}

ANN = ledger.account_of("ann")


def hold(store: Store, amount: int) -> int:
    return store.write_sync(lambda db: ledger.hold(db, ANN, amount, None, NOON))


def settle(store: Store, number: int, amount: int) -> None:
    store.write_sync(lambda db: ledger.settle(db, number, amount, NOON))


def void(store: Store, number: int) -> None:
    store.write_sync(lambda db: ledger.void(db, number, NOON))


def of(store: Store, name: str) -> int:
    return store.read_sync(lambda db: ledger.balance(db, name)).posted_micro


def test_a_grant_comes_from_the_mint(store: Store, ann: str) -> None:
    assert (of(store, ANN), of(store, ledger.MINT)) == (1000, -1000)


def test_a_hold_is_not_available_and_a_charge_goes_to_the_house(store: Store, ann: str) -> None:
    number = hold(store, 300)
    assert balance(store, "ann") == ledger.Balance(1000, 300, False)
    settle(store, number, 120)
    assert balance(store, "ann") == ledger.Balance(880, 0, False)
    assert of(store, ledger.HOUSE) == 120


def test_a_void_gives_everything_back(store: Store, ann: str) -> None:
    void(store, hold(store, 300))
    assert balance(store, "ann") == ledger.Balance(1000, 0, False)


@pytest.mark.parametrize("first", [settle, lambda store, number, _: void(store, number)])
@pytest.mark.parametrize("second", [settle, lambda store, number, _: void(store, number)])
def test_a_hold_ends_once(store: Store, ann: str, first: object, second: object) -> None:
    number = hold(store, 300)
    first(store, number, 10)
    before = balance(store, "ann")
    with pytest.raises(ledger.LedgerRefused, match="ended already"):
        second(store, number, 10)
    assert balance(store, "ann") == before


def test_a_charge_is_never_above_its_hold(store: Store, ann: str) -> None:
    number = hold(store, 300)
    for amount, told in ((301, "at least 301"), (-1, "a charge of -1")):
        with pytest.raises(ledger.LedgerRefused, match=told):
            settle(store, number, amount)
    assert balance(store, "ann") == ledger.Balance(1000, 300, False)
    settle(store, number, 300)


def test_only_a_hold_can_be_ended(store: Store, ann: str) -> None:
    number = hold(store, 300)
    settle(store, number, 300)
    for other in (number + 1, number - 1, 10**6):
        with pytest.raises(ledger.LedgerRefused):
            void(store, other)


def test_a_refusal_says_what_is_needed_and_what_is_there(store: Store, ann: str) -> None:
    hold(store, 900)
    with pytest.raises(InsufficientFunds, match="grant") as refused:
        hold(store, 101)
    assert refused.value.details == {"needed": 101, "available": 100}
    assert refused.value.rule == "funds"
    hold(store, 100)


def test_nothing_may_be_held_of_an_empty_account(store: Store) -> None:
    person(store, "bob")
    bob = ledger.account_of("bob")
    store.write_sync(lambda db: ledger.hold(db, bob, 0, None, NOON))
    with pytest.raises(InsufficientFunds):
        store.write_sync(lambda db: ledger.hold(db, bob, 1, None, NOON))


def test_a_grant_is_taken_back_down_to_what_is_held(store: Store, ann: str) -> None:
    hold(store, 300)
    with pytest.raises(InsufficientFunds, match="taken back"):
        store.write_sync(lambda db: ledger.grant(db, ANN, -701, "too much", NOON))
    store.write_sync(lambda db: ledger.grant(db, ANN, -700, "a mistake", NOON))
    assert balance(store, "ann") == ledger.Balance(300, 300, False)
    assert of(store, ledger.MINT) == -300


def test_a_grant_of_nothing_or_to_nobody_is_refused(store: Store) -> None:
    with pytest.raises(BadInput):
        store.write_sync(lambda db: ledger.grant(db, ANN, 0, "", NOON))
    with pytest.raises(NotFound):
        store.write_sync(lambda db: ledger.grant(db, ANN, 5, "", NOON))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfer SET amount_micro = 1",
        "UPDATE transfer SET reason = 'nothing to see'",
        "DELETE FROM transfer",
        "TRUNCATE transfer CASCADE",
        "INSERT OR REPLACE INTO transfer SELECT * FROM transfer WHERE id = 1",
    ],
)
def test_the_database_refuses_to_change_a_transfer(
    store: Store, ann: str, statement: str, kind: str
) -> None:
    if statement.startswith(FOREIGN[kind]):
        pytest.skip(f"{kind} has no such statement")
    with pytest.raises(sa.exc.IntegrityError, match="append-only"):
        store.write_sync(lambda db: db.exec_driver_sql(statement))


def test_a_connection_of_somebody_elses_is_refused_too(
    store: Store, ann: str, tmp_path: Path
) -> None:
    with stranger(tmp_path) as conn:
        for statement in ("UPDATE transfer SET amount_micro = 1", "DELETE FROM transfer"):
            with pytest.raises(sa.exc.IntegrityError, match="append-only"):
                conn.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("column", "value"), [("posted_micro", -1), ("held_micro", 1001), ("held_micro", -1)]
)
def test_the_database_refuses_an_account_below_its_floor(
    store: Store, ann: str, column: str, value: int
) -> None:
    change = sa.update(account).where(account.c.id == ANN).values({column: value})
    with pytest.raises(sa.exc.IntegrityError):
        store.write_sync(lambda db: db.execute(change))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "gift"},
        {"kind": "grant", "held_micro": 1},
        {"kind": "grant", "amount_micro": -1},
        {"kind": "grant", "credit": ledger.MINT},
        {"kind": "hold", "amount_micro": 1},
        {"kind": "settle", "amount_micro": 1},
        {"kind": "settle", "amount_micro": 2, "held_micro": -1, "pending_id": 1},
        {"kind": "void", "amount_micro": 1, "held_micro": -1, "pending_id": 1},
        {"kind": "grant", "credit": "person/nobody"},
    ],
)
def test_the_database_refuses_a_transfer_of_no_known_kind(
    store: Store, ann: str, wrong: dict[str, object]
) -> None:
    row = {
        "debit": ledger.MINT, "credit": ANN, "amount_micro": 0, "held_micro": 0,
        "pending_id": None, "query": None, "reason": "", "created_at": NOON, **wrong,
    }  # fmt: skip
    with pytest.raises(sa.exc.IntegrityError):
        store.write_sync(lambda db: db.execute(sa.insert(transfer), row))


def test_the_largest_amounts_add_up(store: Store) -> None:
    person(store, "ann", 2**53 - 1)
    settle(store, hold(store, 2**53 - 1), 2**53 - 1)
    assert of(store, ledger.HOUSE) == 2**53 - 1
    assert problems(store) == []
