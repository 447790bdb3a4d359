"""A process with a store, to be killed: ``python -m tests.storage.victim FOLDER DEED``.

It says on its output what the store has acknowledged, a line each, as soon as it has.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import signal
import sys
import time
from pathlib import Path

import msgspec
import sqlalchemy as sa

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.query import Answer, Text
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.storage import Store, acceptance, endings, ledger, people, queries, together
from mtor_kernel.storage.together import Ending
from tests.storage.helpers import admit_all, answer_to, new_query, opened

#: Who asks at the same time.
USERS = 8
#: Queries that one of them asks at once, at most.
ROWS = 20
ANSWER = Answer((Text("yes"),))


def say(*words: object) -> None:
    """Tell the parent, in one write: a line is never torn by the kill."""
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


async def live(store: Store, user: str) -> None:
    """Ask one query after the other."""
    await store.write(lambda db: people.ensure(db, user, Role.USER, 0.0, grant_micro=10**9))
    for number in itertools.count(1):
        now = time.time()
        # An id and a key that no process before has had.
        own = secrets.token_hex(16)
        new = msgspec.structs.replace(new_query(user, at=now, key=own), id=own)
        await store.write(lambda db, new=new: acceptance.accept(db, new, Quotas(), admit_all))
        say("accepted", new.id)
        ids = [new.id]
        await store.write(lambda db, ids=ids, at=now: queries.dispatch(db, ids, store.epoch, at))
        charge = Charge(number % 100, Usage(1, 1))
        await store.write(
            lambda db, new=new, charge=charge, at=now: endings.settle(
                db, new.id, 1, store.epoch, ANSWER, charge, at
            )
        )
        say("settled", new.id, charge.amount_micro)


async def live_on_slices(store: Store, user: str) -> None:
    """Ask many at once, as a map does, again and again."""
    await store.write(lambda db: people.ensure(db, user, Role.USER, 0.0, grant_micro=10**9))
    for number in itertools.count(1):
        now = time.time()
        names = [secrets.token_hex(16) for _ in range(1 + number % ROWS)]
        news = [msgspec.structs.replace(new_query(user, at=now, key=own), id=own) for own in names]
        asked = [(new, Quotas(), None) for new in news]
        await store.write(lambda db, asked=asked: together.accept_all(db, asked, admit_all))
        for own in names:
            say("accepted", own)
        await store.write(lambda db, ids=names, at=now: queries.dispatch(db, ids, store.epoch, at))
        ended = [
            Ending(own, user, "smollm2", 1, ANSWER, Charge(at % 100, Usage(1, 1)))
            for at, own in enumerate(names)
        ]
        await store.write(
            lambda db, ended=ended, at=now: together.settle_all(db, ended, store.epoch, at)
        )
        for one in ended:
            say("settled", one.id, one.charge.amount_micro)


async def live_on_rows(store: Store, user: str) -> None:
    """Ask about rows of a table, of which every other one is answered, again and again."""
    await store.write(lambda db: people.ensure(db, user, Role.USER, 0.0, grant_micro=10**9))
    for number in itertools.count(1):
        now, own = time.time(), secrets.token_hex(16)
        keys = tuple(f"{own}:{row}" for row in range(1 + number % ROWS))
        new = msgspec.structs.replace(new_query(user, at=now, key=own, rows=keys), id=own)
        await store.write(lambda db, new=new: acceptance.accept(db, new, Quotas(), admit_all))
        say("accepted", own)
        await store.write(lambda db, of=own, at=now: queries.dispatch(db, [of], store.epoch, at))
        answer = answer_to(*range(0, len(keys), 2))
        ended = [Ending(own, user, "smollm2", 1, answer, Charge(number % 100, Usage(1, 1)))]
        await store.write(
            lambda db, ended=ended, at=now: together.settle_all(db, ended, store.epoch, at)
        )
        say("settled", own, ended[0].charge.amount_micro)


async def work(store: Store) -> None:
    """Work until killed."""
    ways = [live, live_on_slices, live_on_rows]
    await asyncio.gather(*(ways[n % len(ways)](store, f"user{n}") for n in range(USERS)))


async def die_inside(store: Store) -> None:
    """Acknowledge one query; then die in the middle of a work that settles it and holds another."""
    await store.write(lambda db: people.ensure(db, "ann", Role.USER, 0.0, grant_micro=1000))
    new = new_query()
    await store.write(lambda db: acceptance.accept(db, new, Quotas(), admit_all))
    await store.write(lambda db: queries.dispatch(db, [new.id], store.epoch, 0.0))
    say("accepted", new.id)

    def last(db: sa.Connection) -> None:
        endings.settle(db, new.id, 1, store.epoch, Answer(), Charge(50), 0.0)
        ledger.grant(db, ledger.account_of("ann"), 5000, "", 0.0)
        acceptance.accept(db, new_query(hold=9), Quotas(), admit_all)
        rows = [(new_query(hold=9), Quotas(), store.epoch) for _ in range(3)]
        together.accept_all(db, rows, admit_all)
        ended = [Ending(row.id, "ann", row.model, 1, ANSWER, Charge(5)) for row, _, _ in rows]
        together.settle_all(db, ended, store.epoch, 0.0)
        os.kill(os.getpid(), signal.SIGKILL)

    await store.write(last)


async def hold_on(store: Store) -> None:
    """Keep the store open."""
    say("open", os.getpid())
    await asyncio.Event().wait()


if __name__ == "__main__":
    deeds = {"work": work, "die_inside": die_inside, "hold_on": hold_on}
    asyncio.run(deeds[sys.argv[2]](opened(Path(sys.argv[1]))))
