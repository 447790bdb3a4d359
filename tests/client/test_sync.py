"""The plain face: in scripts, in notebooks, interrupted, forked."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mtor_kernel.client import Realm, RealmClient, connect
from mtor_kernel.protocol.errors import QueryCancelled, QuotaExceeded
from mtor_kernel.protocol.ngram import Cancelled, Settled
from mtor_kernel.protocol.query import Query
from tests.client.conftest import Elsewhere

ROOT = Path(__file__).parents[2]
PROMPT = "one two three four"


def test_it_asks_streams_and_looks(elsewhere: Elsewhere) -> None:
    with Realm(elsewhere.realm.url, elsewhere.realm.token) as realm:
        assert realm.ask(PROMPT).text == PROMPT
        assert "".join(realm.stream(PROMPT)) == PROMPT
        assert [model.name for model in realm.models()] == ["echo"]
        assert realm.me().user == "ada"
        assert realm.queue().admission_open
        running = realm.submit(Query.ask(PROMPT))
        assert isinstance(list(running.events())[-1], Settled)
        assert running.answer().text == PROMPT


@pytest.mark.asyncio
async def test_it_works_inside_a_running_loop(elsewhere: Elsewhere) -> None:
    with connect(elsewhere.realm.url, elsewhere.realm.token) as realm:
        assert realm.ask(PROMPT).text == PROMPT
        assert "".join(realm.stream(PROMPT)) == PROMPT


def test_it_lives_as_long_as_what_it_gave_out(elsewhere: Elsewhere) -> None:
    running = connect(elsewhere.realm.url, elsewhere.realm.token).submit(Query.ask(PROMPT))
    assert running.answer().text == PROMPT


def test_errors_come_through(elsewhere: Elsewhere) -> None:
    elsewhere.realm.refusal = QuotaExceeded("Enough.")
    with Realm(elsewhere.realm.url, elsewhere.realm.token) as realm:
        with pytest.raises(QuotaExceeded):
            realm.ask(PROMPT)
        with pytest.raises(QuotaExceeded):
            list(realm.stream(PROMPT))


def test_leaving_early_cancels(elsewhere: Elsewhere) -> None:
    elsewhere.realm.pause_after = 1
    with Realm(elsewhere.realm.url, elsewhere.realm.token) as realm:
        for _ in realm.stream(PROMPT):
            break
        assert elsewhere.run(elsewhere.realm.cancelled.wait())
        with realm.submit(Query.ask(PROMPT)) as running:
            pass
        with pytest.raises(QueryCancelled):
            running.answer()


def test_a_closed_realm_says_so(elsewhere: Elsewhere) -> None:
    realm = Realm(elsewhere.realm.url, elsewhere.realm.token)
    realm.close()
    realm.close()
    with pytest.raises(RuntimeError, match="connect"):
        realm.ask(PROMPT)


INTERRUPTED = """
    import sys
    from mtor_kernel.client import Realm
    from mtor_kernel.protocol.query import Query

    realm = Realm(sys.argv[1], sys.argv[2])
    try:
        {statement}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    realm.close()
"""


@pytest.mark.parametrize(
    "statement",
    [
        "print('asking', flush=True); realm.ask('a b c')",
        "print('asking', flush=True); list(realm.stream('a b c'))",
        # Between two statements anything may be interrupted: `with` leaves no gap after it.
        "with realm.submit(Query.ask('a b c')) as it: print('asking', flush=True); it.answer()",
        "with realm.submit(Query.ask('a b c')) as it: print('asking', flush=True); [*it.events()]",
    ],
)
def test_an_interrupt_arrives_at_once_and_cancels(elsewhere: Elsewhere, statement: str) -> None:
    realm = elsewhere.realm
    realm.pause_after = 1
    program = textwrap.dedent(INTERRUPTED).format(statement=statement)
    with subprocess.Popen(
        [sys.executable, "-c", program, realm.url, realm.token],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as asker:
        assert asker.stdout is not None
        assert asker.stdout.readline() == "asking\n"
        elsewhere.run(paused(realm))
        asker.send_signal(signal.SIGINT)
        assert elsewhere.run(asyncio.wait_for(realm.cancelled.wait(), 50))
        assert asker.stdout.readline() == "interrupted\n"
        assert asker.wait(60) == 0
    (record,) = realm.records.values()
    assert isinstance(record.end, Cancelled)


async def paused(realm) -> None:
    """Wait until the answer has begun and stopped."""
    async with asyncio.timeout(50), realm.changed:
        await realm.changed.wait_for(lambda: any(record.text for record in realm.records.values()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_is_told_to_connect_again(elsewhere: Elsewhere) -> None:
    program = """
    import os, sys
    from mtor_kernel.client import Realm

    realm = Realm(sys.argv[1], sys.argv[2])
    assert realm.ask("hi").text == "hi"
    child = os.fork()
    if child == 0:
        try:
            realm.ask("hi")
        except RuntimeError as error:
            os._exit(7 if "connect" in str(error) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert realm.ask("again").text == "again"
    """
    subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(program),
            elsewhere.realm.url,
            elsewhere.realm.token,
        ],
        cwd=ROOT,
        check=True,
        timeout=100,
    )


def test_the_public_names_are_there() -> None:
    import mtor_kernel

    assert mtor_kernel.RealmClient is RealmClient
    assert mtor_kernel.connect is connect


def test_importing_the_client_loads_no_network_library() -> None:
    program = "import mtor_kernel.client, sys; assert 'tornado' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=100)
