"""Conversations that outlive their kernel."""

import json
from pathlib import Path

import pytest

from tests.kernel.driving import Kernel, kernel
from tests.kernel.elsewhere import RealmElsewhere

#: Each starts kernels; `test_kernel.py` and `test_extension.py` are for a quick run.
pytestmark = pytest.mark.slow


def test_a_conversation_is_listed_shown_renamed_and_exported(mtor: Kernel, tmp_path: Path) -> None:
    mtor.run("%mtor chat -c otters --system 'Be brief.' What do otters eat?")
    mtor.run("%mtor chat -c otters And drink?")
    listed = mtor.run("%mtor conversations").plain
    assert "otters" in listed
    assert "here" in listed
    shown = mtor.run("%mtor conversations show otters").plain
    assert "What do otters eat?" in shown
    assert "And drink?" in shown
    renamed = mtor.run("%mtor conversations rename otters 'Otters, daily'")
    assert renamed.printed == "otters is called Otters, daily from now on.\n"
    mtor.run("%mtor chat -c 'Otters, daily' And sleep?")
    ran = mtor.run(f"%mtor conversations export 'Otters, daily' {tmp_path / 'otters.md'}")
    assert ran.status == "ok", ran.traceback
    told = (tmp_path / "otters.md").read_text()
    assert told.startswith("# Otters, daily\n\n> Be brief.\n\n## 1. Asked on ")
    assert told.count("What do otters eat?") == 2  # the question, and the echo of it
    assert "## 3. Asked on" in told
    mtor.run(f"%mtor conversations export 'Otters, daily' {tmp_path / 'otters.json'}")
    document = json.loads((tmp_path / "otters.json").read_text())
    assert document["turns"] == len(document["queries"]) == 3
    again = mtor.run(f"%mtor conversations export 'Otters, daily' {tmp_path / 'otters.md'}")
    assert "already" in again.reply["evalue"]
    wrong = mtor.run(f"%mtor conversations export 'Otters, daily' {tmp_path / 'otters.pdf'}")
    assert ".md" in wrong.reply["evalue"]


def test_another_kernel_goes_on_with_it(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("%mtor chat -c foxes --system 'Be brief.' first")
    with kernel("mtor", **realm.environment) as other:
        resumed = other.run("%mtor conversations resume foxes")
        assert resumed.printed == "1 turn of foxes: go on with %mtor chat -c foxes.\n"
        other.run("%mtor chat -c foxes second")
        shown = other.run("%mtor conversations show foxes").plain
    assert "second" in shown

    async def turns() -> list[str]:
        async with realm.small.client() as client:
            info = await client.info((await client.history("second", 1))[0].id)
            assert info.query is not None
            return [turn.text for turn in info.query.messages]

    assert realm.run(turns()) == ["Be brief.", "first", "first", "second"]


def test_a_forgotten_one_is_gone_and_its_queries_stay(mtor: Kernel) -> None:
    mtor.run("%mtor chat -c badgers What do badgers eat?")
    forgot = mtor.run("%mtor conversations forget badgers")
    assert forgot.printed == "Forgot badgers. Its queries stay in your history.\n"
    assert "badgers" not in mtor.run("%mtor conversations").plain
    assert "What do badgers eat?" in mtor.run("%mtor history badgers").plain
    assert (
        "There is no conversation badgers"
        in (mtor.run("%mtor conversations show badgers").reply["evalue"])
    )
    assert "means nothing" in mtor.run("%mtor conversations destroy x").reply["evalue"]


def test_forgetting_in_the_kernel_begins_another_one(mtor: Kernel) -> None:
    mtor.run("%mtor chat -c moles first")
    mtor.run("%mtor forget moles")
    mtor.run("%mtor chat -c moles second")
    assert mtor.run("%mtor conversations").plain.count("moles") == 2
    python = "[one.turns for one in realm.conversations() if one.name == 'moles']"
    assert mtor.value(python) == "[1, 1]"
