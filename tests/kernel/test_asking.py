"""Asking from a cell, through a real kernel, gateway, realm and worker."""

import itertools
import re
import time
from typing import Any

import pytest

from mtor_kernel.magics.bundle import ANSWER_MIME
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.views import QueryInfo
from tests.holds import until_nothing_is_held_by
from tests.kernel.driving import Kernel, Message, kernel
from tests.kernel.elsewhere import RealmElsewhere
from tests.led import LedBackend

pytestmark = pytest.mark.slow


def latest(realm: RealmElsewhere) -> QueryInfo:
    """The query asked last."""

    async def look() -> QueryInfo:
        async with realm.small.client() as client:
            return await client.info((await client.history(limit=1))[0].id)

    return realm.run(look())


def ended(realm: RealmElsewhere) -> QueryInfo:
    """The query asked last, when it has ended."""
    until_nothing_is_held_by(realm)
    return latest(realm)


def shows(words: str) -> Any:
    """Tell whether a message shows `words`."""

    def seen(message: Message) -> bool:
        return words in message["content"].get("data", {}).get("text/plain", "")

    return seen


def test_an_answer_streams_into_one_display(mtor: Kernel) -> None:
    LedBackend.hush()
    ran = mtor.run("%%mtor -m led\nbees make honey and wasps make none", seen=LedBackend.go_on)
    assert ran.status == "ok"
    assert len(ran.display_ids) == 1
    assert "" not in ran.display_ids
    kinds = [sent["msg_type"] for sent in ran.messages if "display" in sent["msg_type"]]
    assert kinds == ["display_data"] + ["update_display_data"] * (len(kinds) - 1)
    texts = [shown["data"]["text/plain"].rpartition("\n\n")[0] for shown in ran.displays]
    assert len(set(texts)) > 3
    assert all(after.startswith(before) for before, after in itertools.pairwise(texts))


def test_updates_come_at_most_fifteen_times_a_second(mtor: Kernel) -> None:
    ran = mtor.run("%%mtor -m slow\nbees make honey")
    times = [sent["header"]["date"] for sent in ran.messages if "display" in sent["msg_type"]]
    seconds = (times[-1] - times[0]).total_seconds()
    assert len(times) - 2 <= 15 * seconds + 1  # the first and the last go out at once


def test_an_answer_ends_with_its_figures(mtor: Kernel) -> None:
    ran = mtor.run("%mtor ask hello **world**")
    data = ran.displays[-1]["data"]
    assert next(iter(data)) == "text/plain"
    assert data["text/plain"].startswith("hello **world**\n\necho · 4 tokens · ")
    assert "<strong>world</strong>" in data["text/html"]
    assert data[ANSWER_MIME]["text"] == "hello **world**"
    assert data[ANSWER_MIME]["charge"]["amount_micro"] > 0


@pytest.mark.parametrize("how", ["option", "environment"])
def test_without_streaming_there_is_one_display(mtor: Kernel, how: str) -> None:
    if how == "environment":
        mtor.run("%env MTOR_STREAM=0")
    try:
        ran = mtor.run(f"%mtor ask {'--no-stream' if how == 'option' else ''} -m slow hello")
    finally:
        mtor.run("%env MTOR_STREAM=")
    assert [sent["msg_type"] for sent in ran.messages if "display" in sent["msg_type"]] == [
        "display_data"
    ]
    assert ran.display_ids == {""}
    assert "slow ·" in ran.plain


def test_a_variable_is_filled_in(mtor: Kernel) -> None:
    mtor.run("town, row = 'Paris', [1, 2]")
    assert mtor.run("%mtor ask {town} {row[1]} {{town}}").plain.startswith("Paris 2 {town}\n")
    assert mtor.run("%%mtor\n{'a': {town}} $town {town!r:>8}").plain.startswith(
        "{'a': Paris} $town  'Paris'\n"
    )


def test_an_unknown_variable_fails_the_cell_by_name(mtor: Kernel) -> None:
    ran = mtor.run("%mtor ask Hello {twon}")
    assert ran.status == "error"
    assert ran.reply["ename"] == "UsageError"
    assert "no variable 'twon'" in ran.reply["evalue"]
    assert not ran.displays


def test_the_answer_can_be_bound_to_a_variable(mtor: Kernel) -> None:
    assert mtor.run("%mtor ask --as answer What is it?").status == "ok"
    assert mtor.value("str(answer)") == "'What is it?'"
    assert mtor.value("answer.model") == "'echo'"
    shown = mtor.run("answer").contents("execute_result")[0]["data"]
    assert next(iter(shown)) == "text/plain"
    assert ANSWER_MIME in shown


def test_every_option_reaches_the_realm(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("%mtor ask -m echo -t 0.5 --max-tokens 9 --seed 7 --system 'Be brief.' Hi")
    query = latest(realm).query
    assert query is not None
    assert (query.options.temperature, query.options.max_tokens, query.options.seed) == (0.5, 9, 7)
    assert [(turn.role, turn.text) for turn in query.messages] == [
        ("system", "Be brief."),
        ("user", "Hi"),
    ]


@pytest.mark.parametrize(
    ("cell", "name", "says"),
    [
        ("%mtor ask -m nosuch Hi", "UnknownModel", "nosuch"),
        ("%mtor ask -m broken Hi", "BackendFailed", ""),
        ("%mtor ask -t 9 Hi", "UnknownOption", "temperature"),
        ("%mtor ask --max-tokens 999999 Hi", "", "max_tokens"),
        ("%mtor cancel 00000000", "NotFound", "No query of yours begins with 00000000"),
    ],
)
def test_an_error_fails_the_cell_and_says_what_to_do(
    mtor: Kernel, cell: str, name: str, says: str
) -> None:
    ran = mtor.run(cell)
    assert ran.status == "error"
    assert name in ran.reply["ename"]
    assert says in ran.reply["evalue"]
    assert len(ran.traceback.splitlines()) <= 3
    assert "File " not in ran.traceback


def test_a_refusal_names_its_rule_and_when_to_try_again(
    mtor: Kernel, realm: RealmElsewhere
) -> None:
    async def admission(open: bool) -> None:
        async with realm.small.client() as client:
            await client.sysop("pause", on=not open)

    realm.run(admission(open=False))
    try:
        ran = mtor.run("%mtor ask Hi")
    finally:
        realm.run(admission(open=True))
    assert ran.reply["ename"] == "AdmissionPaused"
    assert ran.plain == "not asked · nothing charged"


def test_an_interrupt_cancels_the_query_and_frees_the_hold(
    mtor: Kernel, realm: RealmElsewhere
) -> None:
    ran = mtor.run("%%mtor -m endless\none two three", seen=shows("one two three"))
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert ended(realm).stage is Stage.CANCELLED
    # On a machine that is busy its end may not be known in time.
    assert re.match("one two three\n\n(cancelled|cancelling) · ", ran.plain)
    assert re.search("cancelled|cancelling", ran.traceback)


def test_an_interrupt_takes_less_than_a_second(mtor: Kernel, realm: RealmElsewhere) -> None:
    pressed = 0.0

    def seen(message: Message) -> bool:
        nonlocal pressed
        pressed = time.time()
        return shows("one two three")(message)

    taken = []
    while not taken or (taken[-1] >= 1 and len(taken) < 5):  # a busy machine may stand still once
        mtor.run("%%mtor -m endless\none two three", seen=seen)
        free_at, ended_at = time.time(), ended(realm).ended_at
        assert ended_at is not None
        taken.append(max(free_at, ended_at) - pressed)
    assert min(taken) < 1


def test_a_query_without_a_word_yet_can_be_interrupted(mtor: Kernel, realm: RealmElsewhere) -> None:
    ran = mtor.run("%mtor ask -m stuck Hi", seen=shows("…"))
    assert ran.reply["ename"] == "KeyboardInterrupt"
    until_nothing_is_held_by(realm)
    assert mtor.run("%mtor ask Hello").status == "ok"


def test_a_cell_that_awaits_can_be_interrupted_in_a_query(
    mtor: Kernel, realm: RealmElsewhere
) -> None:
    code = "import asyncio\nawait asyncio.sleep(0)\n%mtor ask -m endless one two three"
    ran = mtor.run(code, seen=shows("one two three"))
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert ended(realm).stage is Stage.CANCELLED


def turns(info: QueryInfo) -> list[str]:
    assert info.query is not None
    return [turn.text for turn in info.query.messages]


def test_a_conversation_remembers_until_it_is_forgotten(
    mtor: Kernel, realm: RealmElsewhere
) -> None:
    mtor.run("%%mtor chat -c bees\nfirst")
    mtor.run("%%mtor chat -c wasps\nother")
    mtor.run("%mtor chat -c bees second")
    assert turns(latest(realm)) == ["first", "first", "second"]
    assert "1 turn)" not in mtor.run("%mtor forget bees").printed
    mtor.run("%mtor chat -c bees third")
    assert turns(latest(realm)) == ["third"]
    refused = mtor.run("%mtor forget nobody")
    assert "there are: bees, wasps" in refused.reply["evalue"]
    assert "Forgot the conversation wasps (1 turn)" in mtor.run("%mtor forget -c wasps").printed


def test_a_conversation_is_cut_from_its_oldest_turns(mtor: Kernel, realm: RealmElsewhere) -> None:
    for number in range(12):
        ran = mtor.run(
            f"%mtor chat -c long -m forgetful --max-tokens 20 turn {number} {'word ' * 10}"
        )
        assert ran.status == "ok"
    asked = turns(latest(realm))
    assert 1 < len(asked) < 10
    assert asked[-1].startswith("turn 11")
    assert asked[0].startswith("turn")


def test_a_turn_without_an_answer_is_not_remembered(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("%mtor chat -c brave -m endless one two three", seen=shows("one two three"))
    mtor.run("%mtor chat -c brave -m nosuch first")
    mtor.run("%mtor chat -c brave second")
    assert turns(latest(realm)) == ["second"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("models", "endless"),
        ("workers", "worker-0"),
        ("queue", "forgetful"),
        ("me", "owner"),
        ("history", "credits"),
    ],
)
def test_a_look_is_a_table(mtor: Kernel, command: str, says: str) -> None:
    ran = mtor.run(f"%mtor {command}")
    assert ran.status == "ok"
    assert list(ran.displays[0]["data"]) == ["text/plain", "text/html"]
    assert says in ran.displays[0]["data"]["text/plain"]


def test_the_history_can_be_searched(mtor: Kernel) -> None:
    mtor.run("%mtor ask what do xylophones eat")
    assert "xylophones" in mtor.run("%mtor history xylophones").plain
    assert "nothing" in mtor.run("%mtor history zeppelins").plain


def test_a_query_is_cancelled_by_the_first_letters_of_its_id(
    mtor: Kernel, realm: RealmElsewhere
) -> None:
    with kernel("mtor", **realm.environment) as other:
        cancelled = []

        def seen(message: Message) -> bool:
            if not cancelled and shows("one two three")(message):
                queue = mtor.run("%mtor queue")
                assert "running" in queue.displays[1]["data"]["text/plain"]
                cancelled.append(mtor.run(f"%mtor cancel {latest(realm).id[:8]}"))
            return False

        ran = other.run("%mtor ask -m endless one two three", seen=seen)
    assert cancelled[0].status == "ok"
    assert ran.reply["ename"] == "QueryCancelled"
    assert ran.plain.startswith("one two three\n\ncancelled")
