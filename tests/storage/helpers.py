"""What the tests of the store say often."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import (
    Answer,
    Image,
    Message,
    Modality,
    Priority,
    Query,
    RowAnswer,
    Rows,
    TableRow,
    Text,
)
from mtor_kernel.protocol.quota import Quotas, Standing
from mtor_kernel.storage import Store, acceptance, endings, ledger, people, queries, records
from mtor_kernel.storage.rows import Accepted, Dispatched, NewQuery

#: A day at noon, UTC.
NOON = 1_750_075_200.0
NO_RULES = Quotas()
ANSWER = Answer((Text("A queue and its slots."),))
#: In a folder whose database is on a server: its URL.
URL_FILE = "database.url"

_numbers = itertools.count(1)


def url_of(folder: Path) -> str:
    """The database of a folder: a file in it, or what a file in it names."""
    named = folder / URL_FILE
    return named.read_text() if named.exists() else f"sqlite:///{folder}/db/realm.db"


def opened(folder: Path) -> Store:
    """The store of a folder."""
    return Store.open(url_of(folder), folder / "blobs")


def admit_all(
    standing: Standing, quotas: Quotas, hold_micro: int, tokens: int, now: float, asked: int
) -> None:
    """Say yes."""


def query_id() -> str:
    """A query's id that no other test has."""
    return f"{next(_numbers):032x}"


def new_query(
    user: str = "ann",
    *,
    hold: int = 100,
    key: str = "",
    prompt: str = "What is a lane?",
    model: str = "smollm2",
    at: float = NOON,
    tokens: int = 50,
    blobs: frozenset[str] = frozenset(),
    rows: tuple[str, ...] = (),
) -> NewQuery:
    """A query that nothing is wrong with; with `rows` one of rows that have these keys."""
    name = query_id()
    parts = (Text(prompt), *(Image(blob) for blob in sorted(blobs)))
    table = tuple(TableRow(prompt, row) for row in rows)
    body = encode(Query((Message("user", parts),), model, rows=table))
    return NewQuery(
        id=name,
        user=user,
        key=key or f"key-{name}",
        body_hash=hashlib.sha256(body).hexdigest(),
        asked="chat",
        model=model,
        modality=Modality.CHAT,
        priority=Priority.INTERACTIVE,
        body=body,
        prompt=prompt,
        hold_micro=hold,
        tokens=tokens,
        created_at=at,
        expires_at=at + 600,
        blobs=dict.fromkeys(blobs, Image),
        rows=rows,
    )


def person(
    store: Store, name: str, micro: int = 0, *, role: Role = Role.USER, unlimited: bool = False
) -> str:
    """Make somebody known who has so many micro-credits."""
    store.write_sync(
        lambda db: people.ensure(db, name, role, NOON, unlimited=unlimited, grant_micro=micro)
    )
    return name


def accept(
    store: Store,
    new: NewQuery,
    quotas: Quotas = NO_RULES,
    decide: acceptance.Decide = admit_all,
) -> Accepted:
    """Write a query down."""
    return store.write_sync(lambda db: acceptance.accept(db, new, quotas, decide))


def answer_to(*rows: int) -> Answer:
    """An answer to these rows of a query."""
    return Answer((Rows(tuple(RowAnswer(row, (Text("yes"),)) for row in rows)),))


def dispatch(store: Store, id: str, at: float = NOON) -> Dispatched:
    """Begin an attempt of one query."""
    (begun,) = store.write_sync(lambda db: queries.dispatch(db, [id], store.epoch, at))
    return begun


def stage(store: Store, id: str) -> Stage:
    return store.read_sync(lambda db: records.info(db, id, None)).stage


def settle(
    store: Store, id: str, attempt: int = 1, epoch: int | None = None, micro: int = 60
) -> bool:
    of = store.epoch if epoch is None else epoch
    charge = Charge(micro, Usage(input_tokens=4, output_tokens=5))
    return store.write_sync(
        lambda db: endings.settle(db, id, attempt, of, ANSWER, charge, NOON + 2)
    )


def balance(store: Store, name: str) -> ledger.Balance:
    """What somebody has."""
    return store.read_sync(lambda db: ledger.balance(db, ledger.account_of(name)))


def problems(store: Store) -> list[str]:
    """What is wrong with the books."""
    return store.read_sync(ledger.check)


@contextmanager
def behind(folder: Path) -> Iterator[Callable[[str], int]]:
    """Change the database of a folder as an intruder would, with all guards of its own off.

    What it gives carries out a statement and returns how many rows that has changed.
    """
    engine = _strangers(folder)
    with engine.connect() as conn:
        if conn.dialect.name == "sqlite":
            conn.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
            for table in ("transfer", "audit", "seal"):
                for verb in ("update", "delete"):
                    conn.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_no_{verb}")
        else:
            conn.exec_driver_sql("SET session_replication_role = replica")
            for table in ("account", "transfer", "query"):
                for check in sa.inspect(conn).get_check_constraints(table):
                    conn.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {check['name']}")
        yield lambda said: conn.exec_driver_sql(said).rowcount
    engine.dispose()


@contextmanager
def stranger(folder: Path) -> Iterator[sa.Connection]:
    """A connection of somebody else's to the database of a folder."""
    engine = _strangers(folder)
    with engine.connect() as conn:
        yield conn
    engine.dispose()


def _strangers(folder: Path) -> sa.Engine:
    url = url_of(folder).replace("postgresql://", "postgresql+psycopg://")
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
