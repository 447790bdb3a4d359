"""Durable writes: how many queries a second the store takes in, each on disk before its answer.

The floor is SQLite itself with the same settings: one row a transaction, one sync a transaction,
one after the other. Many at once share a sync, which is how the store gets past that floor.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
import sqlite3
import time
from pathlib import Path

from benchmarks.harness import Bench, median
from benchmarks.table import Row
from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.query import Answer, Modality, Priority, Query, Text
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.storage import Store, acceptance, endings, people, queries
from mtor_kernel.storage.rows import NewQuery

TITLE = "The store: durable writes (1/s)"
#: Who write at once.
WRITERS = (1, 16, 64)

_BODY = encode(Query.ask("How many lights are there?", "echo"))
_ANSWER = Answer((Text("There are four lights."),))
_CHARGE = Charge(10, Usage(input_tokens=5, output_tokens=5))


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    bench.say("durable writes")
    folder = bench.place("store")
    seconds, rounds = (0.5, 3) if bench.quick else (1.0, 5)
    store = await asyncio.to_thread(Store.open, f"sqlite:///{folder / 'realm.sqlite'}", folder)
    bare = Bare(folder / "bare.sqlite")
    floors: list[float] = []
    rates: dict[int, list[float]] = {writers: [] for writers in WRITERS}
    lives: list[float] = []
    try:
        await store.write(lambda db: people.ensure(db, "ann", Role.USER, 0.0, unlimited=True))
        for _ in range(rounds):
            floors.append(bare.rate(seconds / 2))
            for writers in WRITERS:
                rates[writers].append(await _rate(store, writers, seconds, life=False))
            lives.append(await _rate(store, WRITERS[-1], seconds, life=True))
        shared = store.statistics.works / store.statistics.commits
    finally:
        bare.close()
        await asyncio.to_thread(store.close)
    floor, floor_is = median(floors), "SQLite, a sync each"
    rows = [
        Row(f"accepted, {writers} at once", median(found), "1/s", floor, floor_is)
        for writers, found in rates.items()
    ]
    rows += [
        Row(
            f"whole lives of queries, {WRITERS[-1]} at once", median(lives), "1/s", floor, floor_is
        ),
        Row("writes that share a sync, on average", shared, "", 1.0, floor_is),
    ]
    return rows


async def _rate(store: Store, writers: int, seconds: float, *, life: bool) -> float:
    begun = time.perf_counter()
    counts = itertools.count()

    async def write() -> None:
        while time.perf_counter() < begun + seconds:
            await _once(store, life)
            next(counts)

    await asyncio.gather(*(write() for _ in range(writers)))
    return next(counts) / (time.perf_counter() - begun)


async def _once(store: Store, life: bool) -> None:
    new, epoch = _new(), store.epoch
    await store.write(lambda db: acceptance.accept(db, new, Quotas(), lambda *_: None))
    if life:
        now = time.time()
        await store.write(lambda db: queries.dispatch(db, [new.id], epoch, now))
        await store.write(lambda db: endings.settle(db, new.id, 1, epoch, _ANSWER, _CHARGE, now))


def _new() -> NewQuery:
    return NewQuery(
        id=secrets.token_hex(16),
        user="ann",
        key=secrets.token_hex(16),
        body_hash=hashlib.sha256(_BODY).hexdigest(),
        asked="echo",
        model="echo",
        modality=Modality.CHAT,
        priority=Priority.INTERACTIVE,
        body=_BODY,
        prompt="How many lights are there?",
        hold_micro=100,
        tokens=100,
        created_at=time.time(),
        expires_at=time.time() + 3600,
    )


class Bare:
    """A SQLite database with one table, each row a transaction of its own."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -16000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("CREATE TABLE query (id TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID")

    def rate(self, seconds: float) -> float:
        """Return how many rows a second it takes in."""
        begun, count = time.perf_counter(), 0
        while time.perf_counter() < begun + seconds:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO query VALUES (?, ?)", (secrets.token_hex(16), _BODY))
            self._db.execute("COMMIT")
            count += 1
        return count / (time.perf_counter() - begun)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
