"""Where all is played, whatever is not recorded fails at once, in a sentence, and asks nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.driving import Kernel, kernel

pytestmark = pytest.mark.slow

#: No question, so nothing that could be recorded.
LOOKS = [
    *(f"%mtor {word}" for word in ("workers", "queue", "me", "history", "conversations")),
    "%mtor cancel 1234",
    "%mtor conversations export main talk.md",
    "%mtor sysop people",
    "%mtor replay check",
    *(f"realm.{word}()" for word in ("workers", "queue", "me", "queries", "usage", "history")),
    "realm.info('0' * 32)",
    "realm.cancel('0' * 32)",
    "realm.conversations()",
    "realm.sysop.people()",
    "realm.upload(b'x')",
    "next(realm.watch())",
    "realm.address()",
]
#: Questions, and a use of the camera.
QUESTIONS = [
    "%mtor ask What do bees make?",
    "%%mtor chat\nWhat do bees make?",
    "Computer, what do bees make?",
    "%mtor imagine a heart",
    "%mtor say Good morning.",
    "%mtor embed the sea",
    "%mtor api weather city=Rome",
    "%mtor see {picture}",
    "%%mtor\nWhat is in {picture}?",
    "%mtor listen {sound}",
    "%mtor see camera",
    "%mtor listen microphone",
    "%mtor doc len",
    "%mtor write sort a list",
    "realm.ask('What?')",
    "list(realm.stream('What?'))",
    "realm.submit(realm.prepare('What?'))",
    "realm.map('Say {}', ['one'], progress=False)",
    "await realm.amap('Say {}', ['one'], progress=False)",
    "realm.see(picture)",
    "realm.imagine('a heart')",
    "realm.say('Hi')",
    "realm.listen(sound)",
    "realm.embed('Hi')",
    "realm.api('weather', city='Rome')",
    "import mtor_kernel; mtor_kernel.connect().ask('What?')",
    "from mtor_kernel.widgets import Camera; await Camera().frame()",
    "from mtor_kernel.widgets import Microphone; await Microphone().recording()",
]


@pytest.fixture(scope="module")
def only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("only")
    empty = folder / "demo.ipynb"
    with kernel("mtor", MTOR_REPLAY="only", MTOR_REPLAY_FILE=str(empty)) as running:
        running.run(
            # Heavy, and loaded here, so that no cell below takes the time for it.
            "from mtor_kernel.widgets import Camera, Microphone\n"
            "from tests import modalities\n"
            "picture, sound = modalities.picture(), modalities.sound()"
        )
        yield running
        assert running.run("1 / 0").status == "error"
        for aid in ("explain", "fix"):
            assert "NotRecorded" in running.run(f"%mtor {aid}").traceback
        assert not list(Path(folder).iterdir())


@pytest.mark.parametrize("cell", LOOKS)
def test_a_look_says_that_no_realm_is_asked(only: Kernel, cell: str) -> None:
    ran = only.run(cell)
    assert "no realm is asked" in ran.traceback, ran.traceback
    assert "NotRecorded" in ran.traceback


@pytest.mark.parametrize("cell", QUESTIONS)
def test_a_question_says_that_it_is_not_recorded(only: Kernel, cell: str) -> None:
    began = time.monotonic()
    ran = only.run(cell)
    assert "NotRecorded" in ran.traceback, (ran.traceback, ran.printed)
    assert "demo.mtor.jsonl" in ran.traceback
    assert time.monotonic() - began < 25  # nobody was waited for


def test_what_needs_nobody_goes_on(only: Kernel) -> None:
    for cell in ("%mtor help", "%mtor models", "%mtor replay status", "%mtor forget none"):
        assert "NotRecorded" not in only.run(cell).traceback
