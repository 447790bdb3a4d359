"""A map goes on, or again, whatever is killed: each row is answered once and charged once."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.locate import Address
from tests.faults.processes import RealmProcess, realm_process
from tests.faults.test_kills import books_of, linked
from tests.realms import CATALOGUE

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(500)]

ROOT = Path(__file__).parents[3]
ROWS, PRICE = 5_000, 100
TEXTS = [f"row {number}" for number in range(ROWS)]

#: Some milliseconds a row.
PACED = """
[[models]]
name = "paced"
modality = "chat"
backend = "echo"
slots = 2
max_output_tokens = 100000
rates = { query_micro = 100 }
settings = { chunks = 1, rate = 500.0 }
"""


def killed(realm: RealmProcess) -> None:
    realm.kill()
    realm.start()


def restarted(realm: RealmProcess) -> None:
    realm.stop()
    realm.start()


def one_worker_less(realm: RealmProcess) -> None:
    realm.child("worker").send_signal(signal.SIGKILL)


@pytest.mark.asyncio
@pytest.mark.parametrize("happens", [killed, restarted, one_worker_less])
async def test_a_map_bears_what_happens_to_its_realm(
    tmp_path: Path, happens: Callable[[RealmProcess], None]
) -> None:
    with realm_process(tmp_path, catalogue=CATALOGUE + PACED) as realm:

        def where() -> Address:
            return Address(realm.runtime.url, realm.runtime.token)

        async with RealmClient(find=where, give_up_seconds=90) as client:
            await linked(client)
            how = {"ask_above": None, "progress": False}
            work = asyncio.create_task(client.map("{x}", TEXTS, "paced", **how))
            async with asyncio.timeout(100):
                while client.last_map is None or client.last_map.done < 500:
                    await asyncio.sleep(0.01)
            assert client.last_map.done < ROWS
            await asyncio.to_thread(happens, realm)
            assert await work == TEXTS
            assert (client.last_map.done, client.last_map.failed) == (ROWS, 0)
            me = await client.me()
            assert (me.balance_micro, me.held_micro) == (-ROWS * PRICE, 0)
            # All of it is known afterwards.
            assert await client.map("{x}", TEXTS, "paced", **how) == TEXTS
            assert (client.last_map.earlier, client.last_map.charged_micro) == (ROWS, 0)
        realm.stop()
        assert books_of(realm)[0] == []


MAPPING = """
import sys
from mtor_kernel.client import Realm, showing
realm = Realm(sys.argv[1], sys.argv[2])
texts = [f"row {number}" for number in range(int(sys.argv[3]))]
class Told:
    stopped = False
    def __init__(self, total, price): pass
    def show(self, report): print(report.done, flush=True)
    def close(self): pass
showing.offer(Told)
realm.map("{x}", texts, "paced", ask_above=None)
"""


def map_and_be_killed(realm: RealmProcess, rows: int) -> None:
    """Map in another process, which is killed as soon as so many rows have answers."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAPPING, realm.runtime.url, realm.runtime.token, str(ROWS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        while int(process.stdout.readline()) < rows:
            pass
    finally:
        process.kill()
        process.wait()


@pytest.mark.asyncio
async def test_a_client_killed_among_bundles_pays_nothing_twice(tmp_path: Path) -> None:
    with realm_process(tmp_path, catalogue=CATALOGUE + PACED) as realm:
        async with realm.client() as client:
            await linked(client)
            await asyncio.to_thread(map_and_be_killed, realm, 500)
            found = await client.map("{x}", TEXTS, "paced", ask_above=None, progress=False)
            assert found == TEXTS
            assert client.last_map is not None
            assert 500 <= client.last_map.earlier <= ROWS
            me = await client.me()
            assert (me.balance_micro, me.held_micro) == (-ROWS * PRICE, 0)
        realm.stop()
        assert books_of(realm)[0] == []
