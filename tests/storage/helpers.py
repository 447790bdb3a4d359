"""What the tests of the store say often."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.query import Image, Message, Modality, Priority, Query, Text
from mtor_kernel.protocol.quota import Quotas, Standing
from mtor_kernel.storage import Store, ledger, people, queries

#: A day at noon, UTC.
NOON = 1_750_075_200.0
NO_RULES = Quotas()

_numbers = itertools.count(1)


def opened(folder: Path) -> Store:
    """The store of a folder."""
    return Store.open(f"sqlite:///{folder}/db/realm.db", folder / "blobs")


def admit_all(standing: Standing, quotas: Quotas, hold_micro: int, tokens: int, now: float) -> None:
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
) -> queries.NewQuery:
    """A query that nothing is wrong with."""
    name = query_id()
    parts = (Text(prompt), *(Image(blob) for blob in sorted(blobs)))
    body = encode(Query((Message("user", parts),), model))
    return queries.NewQuery(
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
    new: queries.NewQuery,
    quotas: Quotas = NO_RULES,
    decide: queries.Decide = admit_all,
) -> queries.Accepted:
    """Write a query down."""
    return store.write_sync(lambda db: queries.accept(db, new, quotas, decide))


def dispatch(store: Store, id: str, at: float = NOON) -> queries.Dispatched:
    """Begin an attempt of one query."""
    (begun,) = store.write_sync(lambda db: queries.dispatch(db, [id], store.epoch, at))
    return begun


def balance(store: Store, name: str) -> ledger.Balance:
    """What somebody has."""
    return store.read_sync(lambda db: ledger.balance(db, ledger.account_of(name)))


def problems(store: Store) -> list[str]:
    """What is wrong with the books."""
    return store.read_sync(ledger.check)
