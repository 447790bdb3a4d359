"""Answers recorded beside a notebook and given again, through real kernels."""

import math
import os
from pathlib import Path

import pytest

from mtor_kernel.client.replay import Book
from tests.kernel.driving import Kernel, Ran, kernel
from tests.kernel.elsewhere import RealmElsewhere
from tests.led import LED, LedBackend, led
from tests.modalities import MODALITIES
from tests.realms import CATALOGUE

#: Each starts kernels; `test_kernel.py` and `test_extension.py` are for a quick run.
pytestmark = pytest.mark.slow

#: Where no realm is: whoever tries to reach one fails at once.
NOWHERE = {"MTOR_URL": "http://127.0.0.1:9/", "MTOR_TOKEN": "none"}


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory):
    slow = CATALOGUE[CATALOGUE.index('[[models]]\nname = "slow"') :]
    folder = tmp_path_factory.mktemp("realm")
    with led(folder):
        elsewhere = RealmElsewhere(folder, MODALITIES + slow + LED)
        yield elsewhere
        elsewhere.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "demo.mtor.jsonl"


def outputs(ran: Ran) -> list[dict[str, object]]:
    """What a notebook keeps of a cell's displays: each with its last data."""
    kept: dict[str, dict[str, object]] = {}
    for number, shown in enumerate(ran.displays):
        name = shown.get("transient", {}).get("display_id", str(number))
        kept[name] = {"data": shown["data"], "metadata": shown["metadata"]}
    return list(kept.values())


def asked(realm: RealmElsewhere) -> int:
    async def look() -> int:
        async with realm.small.client() as client:
            return len(await client.history(limit=200))

    return realm.run(look())


def texts(file: Path) -> list[str]:
    book = Book(file)
    book.refresh()
    return [one.query.messages[-1].text for one in book.records]


CELLS = [
    "%%mtor -m slow\nbees make honey",
    "%mtor ask What is it?",
    "%mtor ask What is it?",
    "Computer, what is up?",
    "%mtor chat -c bees My name is Ada.",
    "%mtor chat -c bees What is my name?",
    "%mtor imagine --seed 3 a red heart",
    "%mtor say Good morning. And good night.",
    "%mtor see {picture} What is it?",
    "%mtor listen {sound}",
    "%mtor embed the sea",
    "%mtor api weather city=Rome",
]
PREPARED = (
    "from tests import modalities\n"
    "picture, sound = modalities.picture(), modalities.sound()\n"
    "import mtor_kernel\n"
)


def run_all(running: Kernel, cells: list[str]) -> list[list[dict[str, object]]]:
    shown = []
    for cell in cells:
        ran = running.run(cell)
        assert ran.status == "ok", ran.traceback
        shown.append(outputs(ran))
    return shown


@pytest.mark.slow
def test_the_same_cells_give_the_same_outputs_with_no_realm(
    realm: RealmElsewhere, file: Path
) -> None:
    python = (
        "values = [realm.ask('one').text, ' '.join(realm.stream('two three')), realm.embed('x'),"
        " realm.map('say {}', ['a', 'b', 'a'], progress=False), str(realm.last_map),"
        " realm.imagine('a tree', seed=1).content, realm.say('Hi.').content,"
        " realm.see(picture, 'Whose?').charge, realm.ask('one').query]"
    )
    with kernel("mtor", MTOR_REPLAY_FILE=str(file), **realm.environment) as recording:
        recording.run(PREPARED)
        assert recording.run("%mtor replay on").printed == "Replay with demo.mtor.jsonl.\n"
        first = run_all(recording, CELLS)
        recording.run(python)
        values = recording.value("values")
    before = asked(realm)
    with kernel("mtor", MTOR_REPLAY="only", MTOR_REPLAY_FILE=str(file), **NOWHERE) as playing:
        playing.run(PREPARED + "realm = mtor_kernel.connect()")
        assert playing.run("%mtor replay on").printed == "Replay with demo.mtor.jsonl.\n"
        again = run_all(playing, CELLS)
        assert playing.run(python).status == "ok"
        assert playing.value("values") == values
        status = playing.run("%mtor replay status").plain
    assert again == first
    assert "only (by MTOR_REPLAY)" in status
    assert "not asked for so far  0" in " ".join(status.split("\n")).replace("     ", " ")
    with kernel("mtor", MTOR_REPLAY_FILE=str(file), **realm.environment) as both:
        both.run(PREPARED + "%mtor replay on")
        assert run_all(both, CELLS) == first
    assert asked(realm) == before


@pytest.mark.slow
def test_a_played_answer_is_one_display_without_updates(realm: RealmElsewhere, file: Path) -> None:
    with kernel("mtor", MTOR_REPLAY_FILE=str(file), **realm.environment) as running:
        running.run("%mtor replay on")
        LedBackend.hush()
        streamed = running.run("%mtor ask -m led bees make honey", seen=LedBackend.go_on)
        running.run("%mtor replay on")
        played = running.run("%mtor ask -m led bees make honey")
    assert len(streamed.displays) > 2
    assert [sent["msg_type"] for sent in played.messages if "display" in sent["msg_type"]] == [
        "display_data"
    ]
    assert played.plain == streamed.plain


@pytest.mark.slow
def test_a_changed_question_says_which_cell_is_stale(realm: RealmElsewhere, file: Path) -> None:
    with kernel("mtor", MTOR_REPLAY_FILE=str(file), **realm.environment) as running:
        running.run("%mtor replay on")
        running.run("%mtor ask What do bees make?")
        running.run("%mtor ask -t 0.5 What do wasps make?")
    with kernel("mtor", MTOR_REPLAY_FILE=str(file), **NOWHERE) as playing:
        playing.run("%mtor replay only")
        stale = playing.run("%mtor ask What do ants make?")
        assert stale.reply["ename"] == "NotRecorded"
        assert "In [2] (%mtor ask What do ants make?) is stale" in stale.reply["evalue"]
        assert (
            "Recorded was “What do bees make?”, and now it is “What do ants"
            in stale.reply["evalue"]
        )
        assert "%mtor replay on" in stale.reply["evalue"]
        assert len(stale.traceback.splitlines()) <= 3
        assert stale.plain == "not asked · nothing charged"
        playing.run("%mtor ask What do bees make?")
        stale = playing.run("%mtor ask -t 0.7 What do wasps make?")
        assert "the options have changed: temperature" in stale.reply["evalue"]
        again = playing.run("%mtor ask What do bees make?")
        assert (
            "was recorded once in demo.mtor.jsonl, and is asked once more" in again.reply["evalue"]
        )
        for look in ("%mtor me", "%mtor models\n%mtor queue", "realm.history()"):
            refused = playing.run(look)
            assert refused.reply["ename"] == "NotRecorded"
            assert "no realm is asked" in refused.reply["evalue"]


@pytest.mark.slow
def test_a_cell_that_is_run_again_plays_its_own_answer(realm: RealmElsewhere, file: Path) -> None:
    with kernel("mtor", MTOR_REPLAY_FILE=str(file), **realm.environment) as running:
        running.run("%mtor replay on")
        first = running.run("%mtor ask Hello", cell="c1")
        second = running.run("%mtor ask Hello", cell="c2")
        assert outputs(running.run("%mtor ask Hello", cell="c1")) == outputs(first)
        assert outputs(running.run("%mtor ask Hello", cell="c2")) == outputs(second)
        assert outputs(first) != outputs(second)  # two queries, each with its id
        assert texts(file) == ["Hello", "Hello"]
        running.run("%mtor replay anew")
        anew = running.run("%mtor ask Hello", cell="c1")
        assert outputs(anew) != outputs(first)
        assert texts(file) == ["Hello", "Hello"]
        running.run("%mtor replay on")
        assert outputs(running.run("%mtor ask Hello")) == outputs(anew)
        assert outputs(running.run("%mtor ask Hello")) == outputs(second)
        running.run("%mtor replay off")
        running.run("%mtor ask Hello")
        assert texts(file) == ["Hello", "Hello"]


@pytest.mark.slow
def test_what_was_interrupted_or_failed_is_asked_again(realm: RealmElsewhere, file: Path) -> None:
    with kernel("mtor", MTOR_REPLAY_FILE=str(file), **realm.environment) as running:
        running.run("%mtor replay on")
        LedBackend.hush()
        LedBackend.let()
        running.run(
            "%mtor ask -m led bees make honey",
            seen=lambda sent: "bees" in str(sent["content"].get("data", "")),
        )
        assert not file.exists() or texts(file) == []
        LedBackend.let(math.inf)
        whole = running.run("%mtor ask -m led bees make honey")
    with kernel("mtor", MTOR_REPLAY="only", MTOR_REPLAY_FILE=str(file), **NOWHERE) as playing:
        assert outputs(playing.run("%mtor ask -m led bees make honey")) == outputs(whole)


def test_a_notebook_that_nobody_names_is_told_how_to_name_it(realm: RealmElsewhere) -> None:
    with kernel("mtor", MTOR_REPLAY="only", JPY_SESSION_NAME="", **NOWHERE) as running:
        for cell in ("%mtor ask Hello", "%mtor replay on", "realm.ask('Hello')"):
            ran = running.run(cell)
            assert "Nobody has said which notebook this is" in ran.reply["evalue"]
            assert "MTOR_REPLAY_FILE" in ran.reply["evalue"]
        assert "Nobody has said" in running.run("%mtor replay").plain


def test_a_mode_that_is_none_asks_nobody(realm: RealmElsewhere) -> None:
    with kernel("mtor", MTOR_REPLAY="onyl", **realm.environment) as running:
        ran = running.run("%mtor ask Hello")
        assert "MTOR_REPLAY is 'onyl': it may be off, on, only, anew." in ran.reply["evalue"]


@pytest.mark.slow
def test_jupyter_server_names_the_notebook(realm: RealmElsewhere, tmp_path: Path) -> None:
    session = os.fspath(tmp_path / "mine.ipynb")
    with kernel("mtor", JPY_SESSION_NAME=session, **realm.environment) as running:
        running.run("%mtor replay on")
        running.run("%mtor ask Hello")
        assert texts(tmp_path / "mine.mtor.jsonl") == ["Hello"]
        running.run(f"%mtor replay on {tmp_path / 'other.ipynb'}")
        running.run("%mtor ask Hello")
        assert texts(tmp_path / "other.mtor.jsonl") == ["Hello"]
        nowhere = running.run("%mtor replay on /no/such/folder/x.ipynb")
        assert "There is no folder /no/such/folder" in nowhere.reply["evalue"]


@pytest.mark.slow
def test_a_damaged_file_stops_the_cell_and_can_be_mended(realm: RealmElsewhere, file: Path) -> None:
    with kernel("mtor", MTOR_REPLAY_FILE=str(file), **realm.environment) as running:
        running.run("%mtor replay on")
        running.run("%mtor ask one")
        running.run("%mtor ask two")
        file.write_bytes(file.read_bytes()[:-20])
        ran = running.run("%mtor ask three")
        assert ran.reply["ename"] == "ReplayDamaged"
        assert "demo.mtor.jsonl, line 2: it is cut off" in ran.reply["evalue"]
        assert running.run("%mtor replay mend").printed == (
            "1 line moved to demo.mtor.jsonl.damaged.\n"
        )
        assert running.run("%mtor ask three").status == "ok"
        assert texts(file) == ["one", "three"]
