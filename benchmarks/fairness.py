"""Fair shares through the whole line: one person sends 1,000 queries, nine send ten each.

A realm of many people, its gateway, store, scheduler and worker real and in this process;
the echo backend takes 20 ms a query. All queries wait before the first one starts. The floor is the
same realm with the tenth person sending ten queries like the others: what the nine would wait if
nobody sent much.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from distributed import Scheduler, Worker
from tornado.netutil import bind_sockets
from traitlets.config import Config

from benchmarks.harness import Bench, median, until
from benchmarks.table import Row
from mtor_kernel.gateway.app import make_app, make_server
from mtor_kernel.gateway.identity import PersonalToken
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, Role, User
from mtor_kernel.protocol.query import Query
from mtor_kernel.realm.realm import Realm

TITLE = "Fair shares: one sends 1,000 queries, nine send ten each"
#: What is asked for: Jain's index of the shares while all ten wait.
LEAST_JAIN = 0.95
#: The nine wait about as if the tenth had sent ten: in turns, which no busy machine lengthens.
MOST_RATIO = 1.2
FLOOR = "the tenth sends ten"
ROUNDS = 3

OWNER = User("owner", Role.SYSOP, frozenset({SCOPE_QUERY, SCOPE_SYSOP}))
TENTH, NINE = User("tenth"), [User(f"user{number}") for number in range(9)]
_EACH = 10
_SLOTS = 4

CATALOGUE = f"""
[[models]]
name = "echo"
modality = "chat"
backend = "echo"
slots = {_SLOTS}
rates = {{ query_micro = 10, input_token_micro = 1, output_token_micro = 2 }}
settings = {{ chunks = 2, rate = 100.0 }}
"""
_CONFIG = Config({"People": {"grant_credits": {"user": 1000.0}}})
_STORY = sa.text("SELECT person, started_at, ended_at FROM query WHERE ended_at IS NOT NULL")
_LINK_TOKEN = "of-the-worker"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one scene showed."""

    #: Seconds that each query of the nine waited.
    waits: list[float]
    #: How many queries started before each of them.
    before: list[int]
    #: Jain's index of what the ten had while all of them waited.
    jain: float
    #: What the tenth had by the time that the nine had all of theirs.
    tenth: int


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    bench.say("fair shares")
    logging.getLogger("distributed").setLevel(logging.WARNING)
    many = int(bench.pick(1000, 300))
    floors, ours = [], []
    for number in range(1 if bench.quick else ROUNDS):
        # In turns, so that a busy moment of the machine falls on both.
        floors.append(await _scene(bench.place(f"ten-{number}"), _EACH))
        ours.append(await _scene(bench.place(f"many-{number}"), many))
    turns, fair_turns = (
        median(_mean(one.before) for one in outcomes) for outcomes in (ours, floors)
    )
    index = min(one.jain for one in ours)
    return [
        Row(
            "Jain's index while all ten wait, at worst",
            index,
            floor=min(one.jain for one in floors),
            floor_is=FLOOR,
            aim=f"≥ {LEAST_JAIN}",
            met=index >= LEAST_JAIN,
        ),
        Row(
            "turns before a query of the nine",
            turns,
            floor=fair_turns,
            floor_is=FLOOR,
            aim=f"≤ {MOST_RATIO} ×",
            met=turns <= MOST_RATIO * fair_turns,
        ),
        Row(
            f"its wait, the tenth sends {many:,}",
            median(_mean(one.waits) for one in ours) * 1000,
            "ms",
            median(_mean(one.waits) for one in floors) * 1000,
            FLOOR,
        ),
        Row(
            "queries that the tenth had meanwhile",
            max(one.tenth for one in ours),
            floor=max(one.tenth for one in floors),
            floor_is=FLOOR,
        ),
    ]


async def _scene(folder: Path, count: int) -> Outcome:
    """Have the tenth send `count` queries and the nine ten each; return how they fared."""
    async with _realm(folder) as realm:
        worker = realm.workers.infos()[0].name
        await realm.sysop.drain(OWNER, worker, True)
        await _submit(realm, TENTH, count)
        for user in NINE:
            await _submit(realm, user, _EACH)
        begun = time.time()
        await realm.sysop.drain(OWNER, worker, False)

        async def all_nine() -> bool:
            return _all_nine(await _story(realm))

        await until(all_nine, "the nine's last query")
        await realm.sysop.stop_queries(OWNER, TENTH.name)
        return _outcome([row for row in await _story(realm) if row[1] is not None], begun)


def _outcome(story: Sequence[tuple[str, float, float]], begun: float) -> Outcome:
    """Work out waits and shares from the starts."""
    nine = {user.name for user in NINE}
    in_order = sorted(story, key=lambda row: row[1])
    last = max(started for name, started, _ in story if name in nine)
    # The first of the ten whose last query has started waits no more.
    whole = min(
        max(started for name, started, _ in story if name == one) for one in (*nine, TENTH.name)
    )
    shares = Counter(name for name, started, _ in story if started < whole)
    return Outcome(
        [started - begun for name, started, _ in story if name in nine],
        [at for at, (name, _, _) in enumerate(in_order) if name in nine],
        _jain([shares[one] for one in (*nine, TENTH.name)]),
        sum(name == TENTH.name and started <= last for name, started, _ in story),
    )


def _all_nine(story: Sequence[tuple[str, float, float]]) -> bool:
    had = Counter(name for name, _, _ in story)
    return all(had[user.name] == _EACH for user in NINE)


async def _story(realm: Realm) -> list[tuple[str, float, float]]:
    return await realm.store.read(lambda db: [tuple(row) for row in db.execute(_STORY)])


async def _submit(realm: Realm, user: User, count: int) -> None:
    await realm.arrive(user)
    query = Query.ask("one two three four", "echo", max_tokens=20)
    await asyncio.gather(*(realm.submit(user, query, str(number)) for number in range(count)))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _jain(shares: Sequence[float]) -> float:
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


@contextlib.asynccontextmanager
async def _realm(folder: Path) -> AsyncIterator[Realm]:
    """Open a realm of many people, whose scheduler and worker live in this process."""
    (folder / "catalogue.toml").write_text(CATALOGUE)
    near = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    async with contextlib.AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(Scheduler(host="127.0.0.1", port=0, **near))
        await stack.enter_async_context(
            Worker(scheduler.address, nthreads=16, local_directory=str(folder / "dask"), **near)
        )
        realm = await Realm.open(
            folder / "data", catalogue_path=str(folder / "catalogue.toml"), config=_CONFIG
        )
        stack.push_async_callback(realm.close)
        server = make_server(make_app(realm, PersonalToken("of-nobody", OWNER, _LINK_TOKEN)))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        stack.callback(server.stop)
        link = f"ws://127.0.0.1:{sockets[0].getsockname()[1]}/link"
        await realm.serve(scheduler.address, link_url=link, link_token=_LINK_TOKEN)

        async def linked() -> bool:
            return bool(realm.workers.infos())

        await until(linked, "the worker")
        yield realm
